"""The set of training triples, its keys, and the recognition of artificial inverses."""

import pytest
import torch
from graphs import Graph, both_sides, graph_named, looks_doubled, queries_of, random_graphs
from hypothesis import given, settings
from hypothesis import strategies as st
from pykeen.triples import CoreTriplesFactory

from negsamp.triples import HEAD, TAIL, TripleSet, distinct, find, is_doubled, triples_digest

ids = st.integers(0, 5)
rows = st.lists(st.tuples(ids, ids, ids), min_size=1, max_size=20)


def doubled_lines(graph: Graph) -> torch.Tensor:
    """Add inverse triples as PyKEEN does."""
    factory = CoreTriplesFactory(graph.lines, graph.num_entities, graph.num_relations, create_inverse_triples=True)
    return factory._add_inverse_triples_if_necessary(factory.mapped_triples)


@given(rows=rows)
@settings(deadline=None)
def test_distinct_gives_each_triple_once_in_order(rows: list):
    assert distinct(torch.tensor(rows)).tolist() == [list(row) for row in sorted(set(rows))]


def test_no_triples_are_distinct():
    assert distinct(torch.empty(0, 3, dtype=torch.long)).shape == (0, 3)


def test_ids_that_do_not_fit_a_key_are_refused():
    with pytest.raises(ValueError, match="do not fit into 64-bit keys"):
        distinct(torch.tensor([[2**31, 2**10, 2**31]]))
    with pytest.raises(ValueError, match="2147483648 entities and 2 relations do not fit into 64-bit keys"):
        TripleSet(torch.tensor([[0, 0, 1]]), 2**31, 2)


@given(rows=rows, seed=st.integers(0, 99))
@settings(deadline=None)
def test_the_digest_names_the_set(rows: list, seed: int):
    lines = torch.tensor(rows)
    mixed = lines[torch.randint(len(lines), (30,), generator=torch.Generator().manual_seed(seed))]
    assert triples_digest(torch.cat([mixed, lines])) == triples_digest(lines)
    more = torch.cat([lines, torch.tensor([[6, 0, 0]])])
    assert triples_digest(more) != triples_digest(lines)


def test_the_digest_is_the_same_for_ever():
    # stored files are known by it: the first digits of the SHA-256 of 0 0 1 1 0 2, eight bytes each
    lines = torch.tensor([[0, 0, 1], [1, 0, 2]])
    assert triples_digest(lines) == "111680f98ac9d420"
    assert triples_digest(lines.int()) == triples_digest(lines)


@given(rows=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=4))
@settings(deadline=None, max_examples=300)
def test_doubling_is_recognised_by_the_definition(rows: list):
    rows = sorted(set(rows))
    assert is_doubled(torch.tensor(rows), 4) == looks_doubled(rows, 4)


@given(graph=random_graphs())
@settings(deadline=None)
def test_what_pykeen_doubles_is_recognised_and_undone(graph: Graph):
    doubled = TripleSet(doubled_lines(graph), graph.num_entities, 2 * graph.num_relations)
    assert doubled.doubled
    assert not graph.triples.doubled
    assert doubled.num_relations == graph.num_relations
    assert torch.equal(doubled.triples, graph.triples.triples)


def test_near_misses_are_not_taken_for_doubled():
    assert is_doubled(torch.tensor([[0, 0, 1], [1, 1, 0]]), 2)
    # an odd number of relations, a missing inverse, another inverse, no inverse
    assert not is_doubled(torch.tensor([[0, 0, 1], [1, 1, 0]]), 3)
    assert not is_doubled(torch.tensor([[0, 0, 1], [0, 0, 2], [1, 1, 0]]), 2)
    assert not is_doubled(torch.tensor([[0, 0, 1], [0, 1, 1]]), 2)
    assert not is_doubled(torch.tensor([[0, 0, 1]]), 2)


@given(graph=random_graphs())
@settings(deadline=None)
def test_membership_is_exact(graph: Graph):
    entities, relations = torch.arange(graph.num_entities), torch.arange(graph.num_relations)
    everything = torch.cartesian_prod(entities, relations, entities).reshape(-1, 3)
    found = graph.triples.contains(*everything.T)
    assert found.tolist() == [tuple(row) in graph.oracle.triples for row in everything.tolist()]


@given(graph=random_graphs())
@settings(deadline=None)
def test_pairs_have_keys_of_their_own(graph: Graph):
    entities, relations = torch.arange(graph.num_entities), torch.arange(graph.num_relations)
    pairs = torch.cartesian_prod(entities, relations, torch.tensor([HEAD, TAIL])).reshape(-1, 3)
    keys = graph.triples.pair_keys(*pairs.T)
    assert len(torch.unique(keys)) == len(pairs)
    assert torch.equal(torch.stack(graph.triples.unpair(keys), dim=-1), pairs)


@given(graph=random_graphs())
@settings(deadline=None)
def test_completions_are_the_triples_once_a_side(graph: Graph):
    anchors, relations, sides, replaced = (column.tolist() for column in graph.triples.completions())
    wanted = {(t, r, HEAD, h) for h, r, t in graph.oracle.triples}
    wanted |= {(h, r, TAIL, t) for h, r, t in graph.oracle.triples}
    found = list(zip(anchors, relations, sides, replaced, strict=True))
    assert len(found) == len(wanted)
    assert set(found) == wanted


def test_completions_are_the_queries_of_the_oracle():
    graph = graph_named("nations")
    queries = queries_of(graph.triples, graph.triples.triples)
    expected = [
        (h, r, TAIL, t) if side == "tail" else (t, r, HEAD, h) for h, r, t, side in both_sides(graph.triples.triples)
    ]
    columns = (queries.anchors, queries.relations, queries.sides, queries.replaced)
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == expected
    assert set(expected) == set(zip(*(column.tolist() for column in graph.triples.completions()), strict=True))


@given(graph=random_graphs())
@settings(deadline=None)
def test_triples_are_turned_as_the_original_has_them(graph: Graph):
    same, turned = graph.triples.orient(graph.lines)
    assert torch.equal(same, graph.lines)
    assert turned is None
    doubled = TripleSet(doubled_lines(graph), graph.num_entities, 2 * graph.num_relations)
    for inverse in (False, True):
        lines = graph.lines[:, [2, 1, 0]] if inverse else graph.lines
        batch = torch.stack([lines[:, 0], 2 * lines[:, 1] + inverse, lines[:, 2]], dim=-1)
        original, turned = doubled.orient(batch)
        assert torch.equal(original, graph.lines)
        assert turned.tolist() == [inverse] * len(lines)


@given(keys=st.sets(st.integers(-5, 20)), wanted=st.lists(st.integers(-9, 25), max_size=8))
@settings(deadline=None)
def test_find_gives_positions_or_minus_one(keys: set[int], wanted: list[int]):
    ordered = sorted(keys)
    found = find(torch.tensor(ordered, dtype=torch.long), torch.tensor(wanted, dtype=torch.long))
    assert found.tolist() == [ordered.index(key) if key in keys else -1 for key in wanted]
