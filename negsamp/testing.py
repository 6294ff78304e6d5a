"""The laws of samplers, as tests for a strategy of one's own; needs pytest.

A subclass of :class:`SamplerContract` in a test file is collected by pytest, which runs every law on small graphs: a
real one, a made-up one, and extreme ones such as a single triple::

    import negsamp.testing


    class TestCorrupt(negsamp.testing.SamplerContract):
        sampler = negsamp.CorruptNegativeSampler

        def options(self, dataset):
            return {}  # what the sampler needs beside the triples

        def expected_pool(self, dataset, h, r, t, side):
            column = {"head": 0, "tail": 2}[side]
            return {triple[column] for triple in negsamp.testing.triples_of(dataset) if triple[1] == r}

Both methods may be left out. Without ``expected_pool`` the laws take the sampler's own pools for granted; with it, they
must equal what a second, slow way finds. ``pytest.register_assert_rewrite("negsamp.testing")`` in ``conftest.py`` makes
a law that is broken show its values.
"""

# the name of a law says what it wants, and `assert` is what tests are made of
# ruff: noqa: D102, S101

from __future__ import annotations

import copy
import inspect
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from functools import cache
from itertools import chain, product
from pathlib import Path
from statistics import median
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import pytest
import torch
from pykeen.pipeline import pipeline
from pykeen.triples import CoreTriplesFactory
from pykeen.typing import BoolTensor, LongTensor
from scipy.stats import binomtest, chisquare
from torch.utils.data import DataLoader, IterableDataset, get_worker_info
from torch.utils.weak import WeakTensorKeyDictionary

from negsamp.datasets import SchemaDataset, generate, load_dataset
from negsamp.pools import LookUp, Pools, Queries, Stage, pool_statistics, save_stage
from negsamp.sampling import PoolNegativeSampler, SamplerHandle
from negsamp.sampling.sides import Corruption
from negsamp.schema import Schema
from negsamp.triples import TripleSet

__all__ = ["GRAPHS", "SamplerContract", "Side", "graph_named", "triples_of"]

Side = Literal["head", "tail"]
Triple = tuple[int, int, int]
#: a triple, and the side that is to be replaced
Query = tuple[int, int, int, Side]
SIDES: tuple[Side, Side] = ("head", "tail")

#: what is less likely, at a fixed seed, is no chance
UNLIKELY = 1e-6
#: a wrong expectation is less likely than this
IMPOSSIBLE = 1e-12

CORRUPTIONS: tuple[Corruption, ...] = get_args(Corruption)

SPLITS = ("training", "validation", "testing")

#: triples, number of entities, number of relations
WRITTEN: dict[str, tuple[list[Triple], int, int]] = {
    "one triple": ([(0, 0, 1)], 2, 1),
    "one entity": ([(0, 0, 0)], 1, 1),
    # the last entity and the last relation are in no triple
    "loops": ([(0, 0, 0), (1, 0, 1), (2, 0, 2), (3, 0, 3), (0, 1, 0), (1, 1, 0)], 5, 3),
    # no entity is left that could make a negative
    "complete": ([(h, 0, t) for h, t in product(range(3), repeat=2)], 3, 1),
    # known positives at the start, in the middle and at the end of a pool
    "hub": ([*((8, 0, t) for t in range(8)), *((9, 0, t) for t in (0, 2, 3, 7)), (0, 1, 9), (1, 1, 9)], 11, 2),
}

#: the graphs on which the laws are tested
GRAPHS = ("nations", "synthetic", *WRITTEN)


# Graphs


@cache
def graph_named(name: str) -> SchemaDataset:
    """Return one of :data:`GRAPHS`, the same object each time; all of them have a schema.

    These seven small graphs are kept for the run of the tests; no sampler is.
    """
    if name == "synthetic":
        return generate(num_entities=40, num_relations=5, num_triples=200, depth=2, nearest=8)
    if name == "nations":
        nations = load_dataset(name)
        splits = {split: factory.mapped_triples for split, factory in nations.factory_dict.items()}
        return _typed(name, splits, nations.entity_to_id, nations.relation_to_id)
    triples, *counts = WRITTEN[name]
    entity_to_id, relation_to_id = ({f"{i}": i for i in range(count)} for count in counts)
    return _typed(name, dict.fromkeys(SPLITS, torch.tensor(triples)), entity_to_id, relation_to_id)


def _typed(
    name: str, splits: Mapping[str, LongTensor], entity_to_id: Mapping[str, int], relation_to_id: Mapping[str, int]
) -> SchemaDataset:
    """Give a graph three classes by turns, two of them below the third; some of its entities and relations get none."""
    schema = Schema.from_names(
        entity_classes={entity: [f"class {i % 3}"] for entity, i in entity_to_id.items() if i % 5 < 4},
        domain_range={
            relation: {"domain": f"class {i % 3}", "range": f"class {(i + 1) % 3}"}
            for relation, i in relation_to_id.items()
            if i % 4 < 3
        },
        subclass_of={"class 0": ["class 2"], "class 1": ["class 2"]},
        entity_to_id=entity_to_id,
        relation_to_id=relation_to_id,
        mapped_triples=splits["training"],
    )
    return SchemaDataset(
        name=name, splits=splits, entity_to_id=entity_to_id, relation_to_id=relation_to_id, schema=schema, report={}
    )


#: the triples of each graph as a set, for as long as the graph is held by others
_SETS = WeakTensorKeyDictionary()


def triples_of(dataset: SchemaDataset) -> frozenset[Triple]:
    """Return the training triples as a set."""
    lines = dataset.training.mapped_triples
    found: frozenset[Triple] | None = _SETS.get(lines)
    if found is None:
        found = _SETS[lines] = frozenset(map(tuple, lines.tolist()))
    return found


def _some(dataset: SchemaDataset, count: int) -> LongTensor:
    """Choose training triples from all over the graph; shape: (at most count, 3)."""
    lines = dataset.training.mapped_triples
    return lines[torch.linspace(0, len(lines) - 1, min(count, len(lines))).long()]


def _unseen(dataset: SchemaDataset, count: int = 50) -> LongTensor:
    """Choose triples that training does not hold, with ids that it may not hold either; shape: (at most count, 3)."""
    training, known = dataset.training, triples_of(dataset)
    entities = range(training.num_entities)
    others = [x for x in product(entities, range(training.num_relations), entities) if x not in known]
    return torch.tensor(others[:: max(1, len(others) // count)][:count], dtype=torch.long).reshape(-1, 3)


# What may be drawn, by sets


class _Reference:
    """The known positives of a graph."""

    def __init__(self, dataset: SchemaDataset) -> None:
        self.triples = triples_of(dataset)
        self.everything = set(range(dataset.training.num_entities))
        self.positives: dict[tuple[Side, int, int], set[int]] = defaultdict(set)
        for h, r, t in self.triples:
            self.positives["head", t, r].add(h)
            self.positives["tail", h, r].add(t)

    def excluded(self, query: Query, *, filtered: bool = True) -> set[int]:
        """Return what must not be drawn: the replaced entity, and all known positives if filtered."""
        h, r, t, side = query
        anchor, replaced = (h, t) if side == "tail" else (t, h)
        return {replaced} | (self.positives[side, anchor, r] if filtered else set())

    def drawable(self, sampler: PoolNegativeSampler, stage: Stage, batch: LongTensor) -> list[set[int]]:
        """Return what a stage may give to each query of a batch, in the order of :func:`_both_sides`."""
        pools = _pools_of(stage.pools, sampler.triples, batch)
        return [
            pool - self.excluded(query, filtered=sampler.filtered)
            for pool, query in zip(pools, _both_sides(batch), strict=True)
        ]


def _both_sides(batch: LongTensor) -> list[Query]:
    """Return the two queries of each triple: 2i replaces the head of triple i, 2i + 1 its tail."""
    return [(h, r, t, side) for h, r, t in batch.tolist() for side in SIDES]


def _queries(triples: TripleSet, batch: LongTensor) -> Queries:
    """Return the same as a stage takes them."""
    return Queries.of_triples(triples, batch)


def _pools_of(pools: Pools, triples: TripleSet, batch: LongTensor) -> list[set[int]]:
    """Read the pool of each query from its span, before anything is excluded."""
    queries = _queries(triples, batch)
    spans = pools.spans(queries)
    outsiders: dict[int, set[int]] = defaultdict(set)
    if pools.outsiders is not None:
        anchors, relations, sides, entities = (part[pools.outsiders] for part in triples.completions())
        for key, entity in zip(triples.pair_keys(anchors, relations, sides).tolist(), entities.tolist(), strict=True):
            outsiders[key].add(entity)
    members = (torch.arange(pools.num_entities) if pools.members is None else pools.members).tolist()
    bounds = zip(pools.offsets[spans].tolist(), pools.offsets[spans + 1].tolist(), queries.keys.tolist(), strict=True)
    return [set(members[start:end]) - outsiders[key] for start, end, key in bounds]


def _check_reachable(
    sampler: PoolNegativeSampler, batch: LongTensor, expected: Sequence[set[int]], *, own_is_known: bool = False
) -> None:
    """Draw every rank of every query: each entity that is expected comes out once, and no other does."""
    entities, counts = sampler.stages[0].drawable(_queries(sampler.triples, batch), own_is_known=own_is_known)
    drawn = entities.split(counts.tolist())
    for query, entities, wanted in zip(_both_sides(batch), drawn, expected, strict=True):
        found = sorted(entities.tolist())
        assert found == sorted(wanted), f"{query}: {found} can be drawn, {sorted(wanted)} should be"


# What is drawn


def _sample(sampler: PoolNegativeSampler, positives: LongTensor, seed: int = 0) -> tuple[LongTensor, BoolTensor]:
    """Return the negatives of a seed, and which of them are valid."""
    torch.manual_seed(seed)
    negatives, mask = sampler.sample(positives)
    return negatives, torch.ones(negatives.shape[:2], dtype=torch.bool) if mask is None else mask


def _given(positives: LongTensor, negatives: LongTensor, valid: BoolTensor) -> list[list[int]]:
    """List what the valid slots give to each query, in their order."""
    given: list[list[int]] = [[] for _ in range(2 * len(positives))]
    changed = (negatives != positives.unsqueeze(dim=1)) & valid.unsqueeze(dim=-1)
    for i, slot, column in changed.nonzero().tolist():
        given[2 * i + column // 2].append(int(negatives[i, slot, column]))
    return given


def _check_stages(given: Sequence[int], stages: Sequence[set[int]], need: int) -> list[int]:
    """Check what one query was given against the rule of fallbacks, and return how many slots each stage has filled."""
    assert len(given) == (need if any(stages) else 0), f"{len(given)} of {need} slots are filled"
    shares = []
    for i, entities in enumerate(stages):
        repeats = len(entities) >= len(given) or not any(stages[i + 1 :])
        share = len(given) if repeats else len(entities)
        part, given = given[:share], given[share:]
        assert set(part) <= entities, f"stage {i} gave {sorted(set(part) - entities)}, which are not its own"
        assert repeats or set(part) == entities, f"stage {i} is small and gave {part}, not each of {sorted(entities)}"
        shares.append(share)
    return shares


def _check_uniform(counts: Counter[int], allowed: set[int]) -> None:
    """Accept the uniform distribution over what is allowed, and no other."""
    assert set(counts) == allowed
    observed = np.array([counts[entity] for entity in sorted(allowed)])
    assert chisquare(observed).pvalue > UNLIKELY
    # a control: every other entity preferred by a third
    wrong = np.where(np.arange(len(observed)) % 2, 1, 4 / 3)
    assert chisquare(observed, wrong * observed.sum() / wrong.sum()).pvalue < IMPOSSIBLE


def _summary(sizes: Sequence[int], like: Mapping[str, Any]) -> dict[str, Any]:
    """Describe sizes, with the thresholds of another description."""
    shares = {limit: sum(size <= int(limit) for size in sizes) / len(sizes) for limit in like["share_at_most"]}
    return {
        "queries": len(sizes),
        "mean": sum(sizes) / len(sizes),
        "median": float(median(sizes)),
        "share_at_most": shares,
    }


def _parts(stage: Stage) -> dict[str, Any]:
    """Return all that a stage consists of, tensors as lists."""
    pools = {field.name: getattr(stage.pools, field.name) for field in fields(Pools)}
    parts = {"name": stage.name, **pools, **vars(stage.exclusions.lists)}
    return {name: part.tolist() if isinstance(part, torch.Tensor) else part for name, part in parts.items()}


def _mirrored(corruption: Corruption) -> Corruption:
    """Swap the sides."""
    sides: dict[Corruption, Corruption] = {"head": "tail", "tail": "head"}
    return sides.get(corruption, corruption)


class _OneBatchPerWorker(IterableDataset[tuple[int, LongTensor]]):
    """Samples the same positives in each worker, and tells which one."""

    def __init__(self, sampler: PoolNegativeSampler, positives: LongTensor) -> None:
        self.sampler, self.positives = sampler, positives

    def __iter__(self) -> Iterator[tuple[int, LongTensor]]:
        worker = get_worker_info()
        assert worker is not None
        yield worker.id, self.sampler.sample(self.positives)[0]


class SamplerContract:
    """What every sampler keeps to; a subclass names the sampler.

    The laws run on the graphs that the fixture ``dataset`` gives, :data:`GRAPHS`; a subclass may override it by graphs
    of its own that have a schema, and may call :func:`pytest.skip` in :meth:`options` for one that cannot serve it.
    """

    #: the class under test
    sampler: ClassVar[type[PoolNegativeSampler]]

    def options(self, dataset: SchemaDataset) -> dict[str, Any]:
        """Return what the sampler needs beside the triples.

        :param dataset: the graph; its training triples are sampled from, and it has a schema
        """
        return {}

    def expected_pool(self, dataset: SchemaDataset, h: int, r: int, t: int, side: Side) -> set[int] | None:
        """Return which entities may stand in for one side of a triple, before anything is excluded.

        :param dataset: the graph
        :param h: the head of a training triple
        :param r: its relation
        :param t: its tail
        :param side: the side that is replaced

        :returns: the pool, found in another way than the sampler does; None: there is no other way
        """
        return None

    def make(self, dataset: SchemaDataset, *, doubled: bool = False, **options: Any) -> PoolNegativeSampler:
        """Make the sampler for a graph.

        :param dataset: the graph
        :param doubled: whether it gets artificial inverse triples
        :param options: options of the sampler
        """
        lines, counts = dataset.training.mapped_triples, (dataset.num_entities, dataset.num_relations)
        factory = CoreTriplesFactory(lines, *counts, create_inverse_triples=doubled)
        return self.sampler(
            # as PyKEEN's own training instances do it
            mapped_triples=factory._add_inverse_triples_if_necessary(lines),
            num_entities=factory.num_entities,
            num_relations=factory.num_relations,
            **{**self.options(dataset), **options},
        )

    @pytest.fixture(autouse=True)
    def _one_thread(self) -> Iterator[None]:
        """Spare tensors this small the exchange between threads."""
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        yield
        torch.set_num_threads(threads)

    @pytest.fixture(params=GRAPHS)
    def dataset(self, request: pytest.FixtureRequest) -> SchemaDataset:
        """Give each graph in turn."""
        return graph_named(request.param)

    @pytest.fixture
    def nations(self) -> SchemaDataset:
        """Give the real graph, to laws that need many triples."""
        return graph_named("nations")

    # Form

    def test_the_signature_names_every_option(self) -> None:
        """PyKEEN's hyper-parameter search looks for options there."""
        shown = inspect.signature(self.sampler).parameters
        assert set(inspect.signature(PoolNegativeSampler).parameters) <= set(shown)
        assert {parameter.kind for parameter in shown.values()} == {inspect.Parameter.KEYWORD_ONLY}
        own = {name: parameter.kind for name, parameter in inspect.signature(self.sampler.__init__).parameters.items()}
        hidden = (
            {name for name, kind in own.items() if kind is not inspect.Parameter.VAR_KEYWORD} - set(shown) - {"self"}
        )
        assert not hidden, f"options that can only be given by keyword are shown: put a * before {sorted(hidden)}"

    def test_an_unknown_option_is_refused(self, nations: SchemaDataset) -> None:
        with pytest.raises(TypeError, match="no_such_option"):
            self.make(nations, no_such_option=1)

    def test_counts_are_inferred_and_one_negative_is_the_default(self, nations: SchemaDataset) -> None:
        sampler = self.sampler(mapped_triples=nations.training.mapped_triples, **self.options(nations))
        assert sampler.num_entities == nations.training.num_entities
        assert sampler.num_relations == nations.training.num_relations
        assert sampler.sample(_some(nations, 5))[0].shape == (5, 1, 3)

    @pytest.mark.parametrize("dims", [(), (0,), (1,), (7,), (2, 3), (2, 0, 3), (2, 1, 3)])
    def test_any_batch_dimensions(self, nations: SchemaDataset, dims: tuple[int, ...]) -> None:
        positives = nations.training.mapped_triples[: math.prod(dims)].reshape(*dims, 3)
        negatives = self.make(nations, num_negs_per_pos=4).corrupt_batch(positives)
        assert negatives.shape == (*dims, 4, 3)
        assert negatives.dtype == torch.long
        assert (negatives[..., 1] == positives[..., None, 1]).all()

    @pytest.mark.parametrize("corruption", CORRUPTIONS)
    def test_the_relation_stays_and_one_side_is_replaced(self, dataset: SchemaDataset, corruption: Corruption) -> None:
        """One at most; one exactly, by another entity of the graph, in a valid slot."""
        sampler = self.make(dataset, num_negs_per_pos=5, corruption=corruption)
        for positives in (_some(dataset, 100), _unseen(dataset)):
            before = positives.clone()
            negatives, valid = _sample(sampler, positives)
            assert torch.equal(positives, before)
            assert negatives.shape == (len(positives), 5, 3)
            assert negatives.dtype == torch.long
            entities = negatives[..., [0, 2]]
            assert ((entities >= 0) & (entities < sampler.num_entities)).all()
            changed = negatives != positives.unsqueeze(dim=1)
            assert not changed[..., 1].any()
            assert (changed.sum(dim=-1) <= 1).all()
            assert changed.any(dim=-1)[valid].all()

    # Pools

    @pytest.mark.parametrize("filtered", [True, False])
    def test_the_pool_less_exclusions_is_reachable_and_nothing_else(
        self, dataset: SchemaDataset, filtered: bool
    ) -> None:
        sampler = self.make(dataset, filtered=filtered)
        for batch, is_known in ((dataset.training.mapped_triples, filtered), (_unseen(dataset), False)):
            expected = _Reference(dataset).drawable(sampler, sampler.stages[0], batch)
            for own_is_known in {False, is_known}:
                _check_reachable(sampler, batch, expected, own_is_known=own_is_known)

    def test_the_pool_is_the_expected_one(self, dataset: SchemaDataset) -> None:
        lines, reference = dataset.training.mapped_triples, _Reference(dataset)
        queries = _both_sides(lines)
        pools = [pool for query in queries if (pool := self.expected_pool(dataset, *query)) is not None]
        if not pools:
            pytest.skip("no pool is expected: the sampler's own are taken for granted")
        assert len(pools) == len(queries), "expected_pool must give a pool for each query, or for none"
        for filtered in (True, False):
            excluded = [reference.excluded(query, filtered=filtered) for query in queries]
            expected = [pool - without for pool, without in zip(pools, excluded, strict=True)]
            _check_reachable(self.make(dataset, filtered=filtered), lines, expected)

    @pytest.mark.parametrize("filtered", [True, False])
    def test_draws_lie_inside_the_pool_less_exclusions(self, dataset: SchemaDataset, filtered: bool) -> None:
        sampler = self.make(dataset, filtered=filtered, num_negs_per_pos=20)
        for positives in (_some(dataset, 100), _unseen(dataset)):
            sampler.usage.end_epoch()
            given = _given(positives, *_sample(sampler, positives))
            allowed = _Reference(dataset).drawable(sampler, sampler.stages[0], positives)
            outside = [set(drawn) - pool for drawn, pool in zip(given, allowed, strict=True)]
            assert sum(map(len, outside)) == sampler.usage["rescued"], "draws from outside the pool"

    @pytest.mark.parametrize("fallback", [None, "random", "semantic"])
    def test_no_training_triple_comes_out(self, dataset: SchemaDataset, fallback: str | None) -> None:
        """Nor does one in a masked slot, whose entity may repeat the positive alone."""
        sampler = self.make(dataset, fallback=fallback, num_negs_per_pos=20, schema=dataset.schema)
        positives = _some(dataset, 500)
        negatives, valid = _sample(sampler, positives)
        for drawn, mask in ((negatives, valid), (sampler.corrupt_batch(positives), torch.zeros_like(valid))):
            repeated = (drawn == positives.unsqueeze(dim=1)).all(dim=-1)
            assert not (repeated & mask).any()
            assert not triples_of(dataset) & set(map(tuple, drawn[~repeated].tolist()))

    @pytest.mark.parametrize("side", SIDES)
    def test_draws_are_uniform(self, nations: SchemaDataset, side: Side) -> None:
        """Over the largest pool, and over the one with the most exclusions."""
        sampler = self.make(nations, corruption=side, num_negs_per_pos=400)
        lines, reference = nations.training.mapped_triples, _Reference(nations)
        pools = dict(zip(_both_sides(lines), reference.drawable(sampler, sampler.stages[0], lines), strict=True))
        queries = [query for query, pool in pools.items() if query[-1] == side and len(pool) > 1]
        if not queries:
            pytest.skip("no pool holds two entities")
        chosen = [max(queries, key=lambda query: len(sets(query))) for sets in (pools.__getitem__, reference.excluded)]
        for query in chosen:
            positives = torch.tensor([query[:3]]).repeat(50, 1)
            _check_uniform(Counter(chain(*_given(positives, *_sample(sampler, positives)))), pools[query])

    def test_statistics_equal_a_count(self, dataset: SchemaDataset) -> None:
        sampler = self.make(dataset, filtered=False)
        lines, reference = dataset.training.mapped_triples, _Reference(dataset)
        pools = _pools_of(sampler.pools, sampler.triples, lines)
        by_query: dict[tuple[Any, ...], int] = {}
        for query, pool in zip(_both_sides(lines), pools, strict=True):
            h, r, t, side = query
            anchor, replaced = (h, t) if side == "tail" else (t, h)
            key = (side, anchor, r, replaced if sampler.pools.is_by_replaced else None)
            by_query[key] = len(pool - reference.excluded(query))
        found = pool_statistics(sampler.filtered_stage(), sampler.triples)
        histogram = found.pop("histogram")
        assert dict(zip(histogram["sizes"], histogram["counts"], strict=True)) == Counter(by_query.values())
        for side, figures in found.pop("sides").items():
            assert figures == _summary([size for key, size in by_query.items() if key[0] == side], figures)
        assert found == _summary(list(by_query.values()), found)

    # Sides

    @pytest.mark.parametrize("side", SIDES)
    def test_a_fixed_side_is_the_only_one_replaced(self, dataset: SchemaDataset, side: Side) -> None:
        sampler = self.make(dataset, corruption=side, num_negs_per_pos=5, fallback="random")
        positives = _some(dataset, 100)
        other = 2 - 2 * SIDES.index(side)
        assert (_sample(sampler, positives)[0][..., other] == positives[:, None, other]).all()

    def test_sides_are_balanced_and_a_fair_coin_gives_the_odd_slot(self, nations: SchemaDataset) -> None:
        positives = nations.training.mapped_triples
        sampler = self.make(nations, num_negs_per_pos=7, fallback="random")
        heads = (_sample(sampler, positives)[0][..., 0] != positives[:, None, 0]).sum(dim=-1)
        assert set(heads.tolist()) == {3, 4}
        more_heads = int((heads == 4).sum())
        assert binomtest(more_heads, len(positives)).pvalue > UNLIKELY
        assert binomtest(more_heads, len(positives), 0.65).pvalue < IMPOSSIBLE

    def test_bernoulli_draws_the_side_by_the_cardinality_of_the_relation(self, nations: SchemaDataset) -> None:
        positives = nations.training.mapped_triples
        sampler = self.make(nations, num_negs_per_pos=50, fallback="random", corruption="bernoulli")
        replaced = (_sample(sampler, positives)[0][..., 0] != positives[:, None, 0]).sum(dim=-1)
        mirrored = []
        for r in positives[:, 1].unique().tolist():
            rows = positives[:, 1] == r
            heads, tails = (len(positives[rows, column].unique()) for column in (0, 2))
            # tails per head over itself and heads per tail
            probability = tails / (heads + tails)
            count, slots = int(replaced[rows].sum()), 50 * int(rows.sum())
            assert binomtest(count, slots, probability).pvalue > UNLIKELY, f"relation {r}"
            mirrored.append(binomtest(count, slots, 1 - probability).pvalue)
        assert min(mirrored) < IMPOSSIBLE

    # Small and empty pools

    @pytest.mark.parametrize("side", SIDES)
    def test_a_slot_is_masked_where_its_pool_is_empty(self, dataset: SchemaDataset, side: Side) -> None:
        sampler = self.make(dataset, corruption=side, num_negs_per_pos=3)
        positives = _some(dataset, 100)
        _, mask = sampler.sample(positives)
        pools = _Reference(dataset).drawable(sampler, sampler.stages[0], positives)[SIDES.index(side) :: 2]
        is_full = torch.tensor([bool(pool) for pool in pools]).unsqueeze(dim=-1).expand(-1, 3)
        valid = torch.ones_like(is_full) if mask is None else mask
        assert valid.dtype == torch.bool
        assert mask is None or not mask.all(), "a mask that masks nothing is None"
        # where all are empty, one slot comes to the rescue
        assert int((valid != is_full).sum()) == sampler.usage["rescued"] <= int(not is_full.any())
        assert sampler.usage["masked"] == int((~valid).sum())

    @pytest.mark.parametrize("size", [None, 1, 3])
    def test_a_batch_that_is_wholly_masked_is_rescued_once(self, dataset: SchemaDataset, size: int | None) -> None:
        """So is each sub-batch: a loss of no negative at all is not finite."""
        nothing = torch.empty(0, dtype=torch.long)
        triples = self.make(dataset).triples
        empty = Pools.from_rows(LookUp.RELATION, triples, nothing, nothing, 2 * triples.num_relations)
        sampler = self.make(dataset, pools=empty, num_negs_per_pos=4, sub_batch_size=size, corruption="tail")
        positives, reference = _some(dataset, 10), _Reference(dataset)
        negatives, valid = _sample(sampler, positives)
        for window in torch.arange(len(positives)).split(size or len(positives)):
            queries = _both_sides(positives[window])[1::2]
            left = [reference.everything - reference.excluded(query) for query in queries]
            assert int(valid[window].sum()) == any(left), "one slot, unless all triples are known"
        assert not reference.triples & set(map(tuple, negatives[valid].tolist()))
        rescued = int(valid.sum())
        assert sampler.usage == {"pool": 0, "masked": valid.numel() - rescued, "rescued": rescued}

    @pytest.mark.parametrize("fallback", ["random", "semantic", ["corrupt", "everything"]], ids=str)
    @pytest.mark.parametrize("side", SIDES)
    def test_fallbacks_fill_every_slot_in_the_order_of_their_stages(
        self, dataset: SchemaDataset, fallback: str | list[str], side: Side
    ) -> None:
        """A stage that is too small gives each of its entities once, and each slot is counted for its stage."""
        names = {"random": ["everything"], "semantic": self.sampler.semantic_fallback}.get(str(fallback), fallback)
        assert names[-1] == "everything", "the widest pool comes last"
        options: dict[str, Any] = {"fallback": fallback, "corruption": side, "schema": dataset.schema}
        positives, reference = torch.cat([_some(dataset, 20), _unseen(dataset, 5)]), _Reference(dataset)
        for n, filtered in ((1, True), (6, False), (41, True)):
            sampler = self.make(dataset, filtered=filtered, num_negs_per_pos=n, **options)
            labels = [label for name in names for label, _ in sampler.stages_named(name)]
            assert [stage.name for stage in sampler.stages] == ["pool", *labels]
            given = _given(positives, *_sample(sampler, positives))
            sets = zip(*(reference.drawable(sampler, stage, positives) for stage in sampler.stages), strict=True)
            shares = [
                _check_stages(drawn, stages, n)
                for drawn, stages, query in zip(given, sets, _both_sides(positives), strict=True)
                if query[-1] == side
            ]
            filled = dict(zip(["pool", *labels], map(sum, zip(*shares, strict=True)), strict=True))
            masked = n * len(positives) - sum(filled.values())
            assert sampler.usage == {**filled, "masked": masked, "rescued": 0}

    # Seeds

    def test_the_same_seed_gives_the_same_negatives_and_another_seed_others(self, nations: SchemaDataset) -> None:
        positives = _some(nations, 100)
        for corruption in CORRUPTIONS:
            options: dict[str, Any] = {"num_negs_per_pos": 5, "fallback": "random", "corruption": corruption}
            one, same, other = (_sample(self.make(nations, **options), positives, seed)[0] for seed in (1, 1, 2))
            assert torch.equal(one, same)
            assert not torch.equal(one, other)

    def test_building_draws_nothing(self, nations: SchemaDataset) -> None:
        options = self.options(nations)
        before = torch.get_rng_state()
        self.sampler(mapped_triples=nations.training.mapped_triples, **{**options, "fallback": "random"})
        assert torch.equal(torch.get_rng_state(), before)

    def test_two_workers_never_draw_alike_and_repeat_for_the_same_seed(self, nations: SchemaDataset) -> None:
        # with the side fixed, nothing but the entities is left to chance
        sampler = self.make(nations, num_negs_per_pos=5, fallback="random", corruption="tail")
        runs: list[dict[int, LongTensor]] = []
        for _ in range(2):
            torch.manual_seed(0)
            runs.append(
                dict(DataLoader(_OneBatchPerWorker(sampler, _some(nations, 50)), batch_size=None, num_workers=2))
            )
        assert not torch.equal(runs[0][0], runs[0][1])
        assert all(torch.equal(runs[0][worker], runs[1][worker]) for worker in (0, 1))
        assert sum(sampler.usage.values()) == 2 * 2 * 50 * 5, "slots that workers fill are counted"

    def test_a_copy_draws_alike(self, nations: SchemaDataset) -> None:
        sampler = self.make(nations, num_negs_per_pos=3)
        one, other = (_sample(each, _some(nations, 100))[0] for each in (sampler, copy.deepcopy(sampler)))
        assert torch.equal(one, other)

    # Storage, inverse triples, PyKEEN

    @pytest.mark.parametrize("filtered", [True, False])
    def test_stored_pools_draw_as_the_built_ones(self, dataset: SchemaDataset, filtered: bool, tmp_path: Path) -> None:
        path = tmp_path / "pools.safetensors"
        draws, contents = [], []
        for pools in (None, path, None):
            sampler = self.make(dataset, filtered=filtered, pools=pools)
            save_stage(path, sampler.stages[0], sampler.triples, filtered=filtered)
            contents.append(path.read_bytes())
            draws.append(_sample(sampler, _some(dataset, 100))[0].tolist())
        assert contents[0] == contents[1] == contents[2]
        assert draws[0] == draws[1] == draws[2]

    def test_inverse_triples_leave_the_pools_and_swap_the_sides(self, dataset: SchemaDataset) -> None:
        options: dict[str, Any] = {"fallback": "semantic", "schema": dataset.schema, "num_negs_per_pos": 9}
        positives = _some(dataset, 100)
        # (h, r, t) becomes (h, 2r, t) and (t, 2r + 1, h)
        forward = positives * torch.tensor([1, 2, 1])
        backward = forward.flip(dims=[-1]) + torch.tensor([0, 1, 0])
        for corruption, filtered in zip(CORRUPTIONS, (True, False, True, False), strict=True):
            original, same, turned = (
                self.make(dataset, doubled=doubled, corruption=replaced, filtered=filtered, **options)
                for doubled, replaced in ((False, corruption), (True, corruption), (True, _mirrored(corruption)))
            )
            assert [_parts(stage) for stage in same.stages] == [_parts(stage) for stage in original.stages]
            negatives = _sample(original, positives)[0] * torch.tensor([1, 2, 1])
            assert torch.equal(_sample(same, forward)[0], negatives)
            assert torch.equal(_sample(turned, backward)[0].flip(dims=[-1]), negatives + torch.tensor([0, 1, 0]))

    def test_it_trains_in_a_pipeline(self, nations: SchemaDataset) -> None:
        handle = SamplerHandle()
        result = pipeline(
            dataset=nations,
            model="TransE",
            model_kwargs={"embedding_dim": 4},
            loss="marginranking",
            negative_sampler=self.sampler,
            negative_sampler_kwargs={**self.options(nations), "num_negs_per_pos": 3, "handle": handle},
            # looking for a batch size would draw negatives, too
            training_loop_kwargs={"automatic_memory_optimization": False},
            training_kwargs={"num_epochs": 1, "batch_size": 500, "use_tqdm": False},
            evaluation_kwargs={"use_tqdm": False},
            random_seed=0,
        )
        assert all(map(math.isfinite, result.losses))
        assert handle.sampler is not None
        assert sum(handle.sampler.usage.values()) == 3 * nations.training.num_triples
