"""What is drawn, how often, and what never is."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from graphs import GRAPHS, Graph, count, graph_named, graph_of, keys_of
from oracles import SIDES
from scipy.stats import binomtest, chisquare

from negsamp import SAMPLERS, PoolNegativeSampler

#: below this a test at a fixed seed does not believe in chance
UNLIKELY = 1e-3
IMPOSSIBLE = 1e-12


def draw_tails(sampler: PoolNegativeSampler, triple: tuple[int, int, int], batch_size: int = 100) -> np.ndarray:
    """Draw tails for one triple, and count each entity."""
    torch.manual_seed(0)
    negatives, mask = sampler.sample(torch.tensor([triple]).repeat(batch_size, 1))
    assert mask is None
    return count(negatives[..., 2], sampler.num_entities)


def check_uniform(counts: np.ndarray, allowed: set[int]) -> None:
    """Accept the uniform distribution over the allowed entities, and no other."""
    assert set(counts.nonzero()[0]) == allowed
    observed = counts[sorted(allowed)]
    assert chisquare(observed).pvalue > UNLIKELY
    # a control: draws that prefer one entity by a third, and draws that never give one
    wrong = np.ones(len(observed))
    wrong[0] = 4 / 3
    assert chisquare(observed, wrong * observed.sum() / wrong.sum()).pvalue < IMPOSSIBLE
    more = np.append(observed, 0)
    assert chisquare(more).pvalue < IMPOSSIBLE


#: which of the ten tails of the relation the head knows
KNOWN = {
    "at the start": {0, 1, 2},
    "in the middle": {4, 5},
    "at the end": {8, 9},
    "scattered": {0, 3, 4, 9},
    "all but two": {0, 1, 2, 3, 5, 6, 7, 8},
    "one": {7},
}


@pytest.mark.parametrize("known", KNOWN.values(), ids=KNOWN)
def test_draws_are_uniform_over_what_exclusions_leave(known: set[int]):
    graph = graph_of({(10, 0, t) for t in known} | {(11, 0, t) for t in range(10)}, num_entities=12, num_relations=1)
    sampler = graph.sampler("corrupt", num_negs_per_pos=1000, corruption="tail")
    check_uniform(draw_tails(sampler, (10, 0, min(known))), set(range(10)) - known)


@pytest.mark.parametrize("own", [0, 5, 9])
def test_draws_are_uniform_over_all_but_the_replaced_entity(own: int):
    graph = graph_of({(10, 0, t) for t in range(10)}, num_entities=11, num_relations=1)
    sampler = graph.sampler("corrupt", num_negs_per_pos=1000, corruption="tail", filtered=False)
    check_uniform(draw_tails(sampler, (10, 0, own)), set(range(10)) - {own})


@pytest.mark.parametrize("own", [0, 3, 6, 9])
def test_draws_are_uniform_for_a_triple_that_training_does_not_hold(own: int):
    known = {1, 2, 7}
    graph = graph_of({(10, 0, t) for t in known} | {(11, 0, t) for t in range(10)}, num_entities=12, num_relations=1)
    sampler = graph.sampler("corrupt", num_negs_per_pos=1000, corruption="tail")
    check_uniform(draw_tails(sampler, (10, 0, own)), set(range(10)) - known - {own})


def test_draws_from_everything_are_uniform():
    graph = graph_named("umls")
    triple = tuple(graph.lines[100].tolist())
    sampler = graph.sampler("random", num_negs_per_pos=1000, corruption="tail")
    counts = draw_tails(sampler, triple)
    assert set(counts.nonzero()[0]) == (allowed := graph.oracle.candidates("random", *triple, "tail"))
    assert chisquare(counts[sorted(allowed)]).pvalue > UNLIKELY


@pytest.mark.parametrize("name", SAMPLERS)
def test_both_sides_of_real_triples_are_drawn_uniformly(name: str):
    graph = graph_named("nations")
    sampler = graph.sampler(name, num_negs_per_pos=2000)
    # three triples whose pools hold something on both sides
    chosen = []
    options = graph.oracle_options(name)
    for triple in map(tuple, graph.lines.tolist()):
        pools = [graph.oracle.candidates(name, *triple, side, **options) for side in SIDES]
        if min(map(len, pools)) > 1:
            chosen.append((triple, pools))
    chosen = chosen[:: max(len(chosen) // 3, 1)][:3]
    torch.manual_seed(0)
    negatives, mask = sampler.sample(torch.tensor([triple for triple, _ in chosen]))
    assert mask is None
    for row, (triple, pools) in zip(negatives, chosen, strict=True):
        for column, pool in zip((0, 2), pools, strict=True):
            changed = row[row[:, column] != triple[column], column]
            counts = count(changed, graph.num_entities)
            assert counts.sum() == 1000
            assert set(counts.nonzero()[0]) == pool
            assert chisquare(counts[sorted(pool)]).pvalue > UNLIKELY


# Sides


@pytest.mark.parametrize("n", [1, 3, 7])
def test_the_odd_slot_is_given_by_a_fair_coin(n: int):
    graph = graph_named("umls")
    torch.manual_seed(0)
    positives = graph.lines[:2000]
    negatives, _ = graph.sampler("random", num_negs_per_pos=n).sample(positives)
    heads = (negatives[..., 0] != positives[:, None, 0]).sum(dim=-1)
    assert set(heads.tolist()) == {n // 2, n // 2 + 1}
    more_heads = int((heads > n // 2).sum())
    assert binomtest(more_heads, len(positives)).pvalue > UNLIKELY
    assert binomtest(more_heads, len(positives), 0.6).pvalue < IMPOSSIBLE


@pytest.mark.parametrize("n", [2, 3, 4])
def test_every_order_of_sides_is_equally_likely_for_each_positive(n: int):
    graph = graph_named("umls")
    positives = graph.lines[:3]
    sampler = graph.sampler("random", num_negs_per_pos=n)
    torch.manual_seed(0)
    orders = []
    for _ in range(3000):
        negatives, _ = sampler.sample(positives)
        is_head = negatives[..., 0] != positives[:, None, 0]
        orders.append((is_head * 2 ** torch.arange(n)).sum(dim=-1))
    allowed = [order for order in range(2**n) if order.bit_count() in {n // 2, n - n // 2}]
    for column in torch.stack(orders).T:
        counts = count(column, 2**n)
        assert set(counts.nonzero()[0]) == set(allowed)
        assert chisquare(counts[allowed]).pvalue > UNLIKELY
        wrong = np.where(np.arange(len(allowed)) == 0, 2.0, 1.0)
        assert chisquare(counts[allowed], wrong * counts.sum() / wrong.sum()).pvalue < IMPOSSIBLE


def test_bernoulli_replaces_heads_by_the_cardinality_of_the_relation():
    # relation 0: one head with 9 tails, tph 9 and hpt 1; relation 1 the reverse
    triples = {(0, 0, t) for t in range(1, 10)} | {(h, 1, 0) for h in range(1, 10)}
    graph = graph_of(triples, num_entities=30, num_relations=3)
    sampler = graph.sampler("random", corruption="bernoulli", num_negs_per_pos=100)
    torch.manual_seed(0)
    for triple, probability in (((0, 0, 1), 0.9), ((1, 1, 0), 0.1), ((5, 2, 6), 0.5)):
        negatives, _ = sampler.sample(torch.tensor([triple]).repeat(50, 1))
        heads = int((negatives[..., 0] != triple[0]).sum())
        assert binomtest(heads, 5000, probability).pvalue > UNLIKELY
        assert binomtest(heads, 5000, probability / 2).pvalue < IMPOSSIBLE


def test_bernoulli_equals_the_definition_on_every_relation():
    graph = graph_named("nations")
    triples = graph.oracle.triples
    found = graph.sampler("random", corruption="bernoulli").head_probabilities
    for r in range(graph.num_relations):
        pairs = [(h, t) for h, relation, t in triples if relation == r]
        tph = len(pairs) / len({h for h, _ in pairs}) if pairs else 1
        hpt = len(pairs) / len({t for _, t in pairs}) if pairs else 1
        assert found[r].item() == pytest.approx(tph / (tph + hpt))


# Training triples


def batches(graph: Graph, size: int = 1000, repeats: int = 2) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [graph.lines[torch.randint(len(graph.lines), (size,), generator=generator)] for _ in range(repeats)]


def test_no_training_triple_in_ten_million_negatives():
    drawn = 0
    for graph in map(graph_named, GRAPHS):
        training = keys_of(graph.lines, graph.num_entities, graph.num_relations)
        for name in SAMPLERS:
            for fallback in (None, "random", "semantic"):
                sampler = graph.sampler(name, fallback=fallback, num_negs_per_pos=100, schema=graph.schema)
                torch.manual_seed(drawn)
                for positives in batches(graph):
                    negatives, mask = sampler.sample(positives)
                    valid = slice(None) if mask is None else mask.numpy()
                    flat = negatives.numpy()[valid].reshape(-1, 3)
                    drawn += len(flat)
                    assert flat[:, [0, 2]].min() >= 0
                    assert flat[:, [0, 2]].max() < graph.num_entities
                    keys = keys_of(flat, graph.num_entities, graph.num_relations)
                    assert not np.isin(keys, training).any(), f"{name} with fallback {fallback} on {graph.name}"
    assert drawn >= 10_000_000


def test_the_search_for_training_triples_finds_some_where_nothing_is_filtered():
    graph = graph_named("nations")
    training = keys_of(graph.lines, graph.num_entities, graph.num_relations)
    negatives, _ = graph.sampler("corrupt", filtered=False, num_negs_per_pos=10).sample(graph.lines)
    found = np.isin(keys_of(negatives, graph.num_entities, graph.num_relations), training).ravel()
    by_hand = [tuple(row) in graph.oracle.triples for row in negatives.reshape(-1, 3).tolist()]
    assert found.tolist() == by_hand
    assert 0 < found.sum() < found.size


# Extreme numbers of slots


@pytest.mark.parametrize("make", [lambda graph: graph.lines, lambda graph: graph.lines[:1]])
def test_as_many_negatives_as_are_wanted(make: Callable[[Graph], torch.Tensor]):
    graph = graph_named("nations")
    for n in (1, 2, 501):
        positives = make(graph)
        negatives, _ = graph.sampler("corrupt", num_negs_per_pos=n, fallback="random").sample(positives)
        assert negatives.shape == (len(positives), n, 3)
