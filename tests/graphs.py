"""Graphs, samplers and draws that the tests of pools and of sampling share."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import torch
from hypothesis import assume
from hypothesis import strategies as st
from oracles import SIDES, Oracle, PlainSchema, Side, Triple, transe
from pykeen.datasets import UMLS, Nations, get_dataset
from pykeen.models import ERModel, model_resolver
from pykeen.triples import CoreTriplesFactory

from negsamp import SAMPLERS, GivenNegatives, PoolNegativeSampler, Schema
from negsamp.datasets import generate
from negsamp.models import with_l2
from negsamp.pools import Queries, Slots, Stage
from negsamp.triples import TripleSet

#: k of the samplers that ask an auxiliary model: less than the entities of every graph but the smallest
NUM_NEIGHBORS = 5


@dataclass(frozen=True, eq=False)
class Graph:
    """Training triples by id, what is known of them, and everything that is derived from both."""

    name: str
    #: shape: (num_triples, 3), lines as they stand
    lines: torch.Tensor
    num_entities: int
    num_relations: int
    plain: PlainSchema
    seed: int = 0

    @cached_property
    def oracle(self) -> Oracle:
        return Oracle(map(tuple, self.lines.tolist()), self.num_entities, self.num_relations, self.plain)

    @cached_property
    def triples(self) -> TripleSet:
        return TripleSet(self.lines, self.num_entities, self.num_relations)

    @cached_property
    def schema(self) -> Schema:
        return package_schema(self.plain, self.lines, self.num_entities, self.num_relations)

    @cached_property
    def factory(self) -> CoreTriplesFactory:
        return CoreTriplesFactory(self.lines, self.num_entities, self.num_relations)

    @cached_property
    def model(self) -> ERModel:
        """A model whose small whole-numbered vectors tie often and are computed exactly."""
        return whole_numbered_model("TransE", self)

    @cached_property
    def plain_negatives(self) -> dict[tuple[Side, int, int], set[int]]:
        """Candidates of some pairs, by side, anchor and relation: some of them known positives, some pairs not in T."""
        rng = random.Random(self.seed)
        negatives: dict[tuple[Side, int, int], set[int]] = {}
        for h, r, t in sorted(self.oracle.triples):
            for side, anchor in (("tail", h), ("head", t)):
                if rng.random() < 0.7:
                    count = rng.randint(1, min(4, self.num_entities))
                    negatives.setdefault((side, anchor, r), set()).update(rng.sample(range(self.num_entities), count))
        negatives.setdefault(("tail", self.num_entities - 1, self.num_relations - 1), set()).add(0)
        return negatives

    @cached_property
    def negatives(self) -> GivenNegatives:
        """The same for the package, by name."""
        rows = [
            (f"e{anchor}", f"r{relation}", f"e{entity}", side)
            for (side, anchor, relation), entities in self.plain_negatives.items()
            for entity in sorted(entities)
        ]
        return GivenNegatives.from_names(
            rows,
            entity_to_id={f"e{i}": i for i in range(self.num_entities)},
            relation_to_id={f"r{i}": i for i in range(self.num_relations)},
            mapped_triples=self.lines,
        )

    def options(self, name: str) -> dict[str, Any]:
        """Return what a sampler needs beside the triples."""
        if name == "given":
            return {"negatives": self.negatives}
        if name in ("typed", "typedbyclass"):
            return {"schema": self.schema}
        if name in ("nearestneighbor", "adversarial"):
            return {"auxiliary": self.model, "num_neighbors": NUM_NEIGHBORS}
        return {}

    def oracle_options(self, name: str) -> dict[str, Any]:
        """Return the same for the oracle."""
        if name == "given":
            return {"negatives": self.plain_negatives}
        if name not in ("nearestneighbor", "adversarial"):
            return {}
        entities, relations = vectors_of(self.model)
        predict = {"predict": transe(entities, relations)} if name == "adversarial" else {}
        return {"entities": entities, "k": NUM_NEIGHBORS, **predict}

    def sampler(self, name: str, **options: Any) -> PoolNegativeSampler:
        return SAMPLERS[name](
            mapped_triples=self.lines,
            num_entities=self.num_entities,
            num_relations=self.num_relations,
            **{**self.options(name), **options},
        )


def package_schema(plain: PlainSchema, lines: torch.Tensor, num_entities: int, num_relations: int) -> Schema:
    """Give the plain schema to the package, under names."""
    return Schema.from_names(
        entity_classes={f"e{entity}": sorted(names) for entity, names in plain.entity_classes.items()},
        domain_range={
            f"r{r}": {"domain": sorted(plain.domains.get(r, ())), "range": sorted(plain.ranges.get(r, ()))}
            for r in range(num_relations)
        },
        subclass_of={name: sorted(parents) for name, parents in plain.superclasses.items()},
        entity_to_id={f"e{i}": i for i in range(num_entities)},
        relation_to_id={f"r{i}": i for i in range(num_relations)},
        mapped_triples=lines,
    )


def plain_schema(schema: Schema) -> PlainSchema:
    """Read the pairs of a schema."""

    def group(pairs: torch.Tensor) -> dict[int, set[str]]:
        groups: dict[int, set[str]] = {}
        for first, second in pairs.T.tolist():
            groups.setdefault(first, set()).add(schema.classes[second])
        return groups

    superclasses = {schema.classes[child]: parents for child, parents in group(schema.superclasses).items()}
    return PlainSchema(group(schema.entity_classes), group(schema.domains), group(schema.ranges), superclasses)


def whole_numbered_model(kind: str, graph: Graph, dim: int = 2) -> ERModel:
    """Make a PyKEEN model with weights from −2 … 2, for RotatE's relations from 1, i, −1, −i."""
    generator = torch.Generator().manual_seed(graph.seed)
    options = with_l2(kind, {"embedding_dim": dim}, None)
    model = model_resolver.make(kind, triples_factory=graph.factory, random_seed=0, loss="marginranking", **options)
    for representation in [*model.entity_representations, *model.relation_representations]:
        weight = representation._embeddings.weight.data
        weight.copy_(torch.randint(-2, 3, weight.shape, generator=generator))
    if kind == "RotatE":
        turns = torch.randint(4, (graph.num_relations, dim), generator=generator)
        units = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
        model.relation_representations[0]._embeddings.weight.data.copy_(units[turns].flatten(start_dim=1))
    return model.eval()


def vectors_of(model: ERModel) -> tuple[np.ndarray, np.ndarray]:
    """Return the matrix of entities and that of relations of a model that has one of each."""
    (entities,), (relations,) = model.entity_representations, model.relation_representations
    return entities(indices=None).detach().numpy(), relations(indices=None).detach().numpy()


# Graphs by name


def made_up_schema(num_entities: int, num_relations: int, seed: int) -> PlainSchema:
    """Type a graph that has no types: with entities and relations that lack them, unions, and two parents."""
    rng = random.Random(seed)
    classes = [f"class{i}" for i in range(12)]
    superclasses = {name: set(rng.sample(classes[:i], min(i, rng.choice([1, 1, 2])))) for i, name in enumerate(classes)}

    def some(sizes: list[int]) -> set[str]:
        return set(rng.sample(classes, rng.choice(sizes)))

    return PlainSchema(
        entity_classes={entity: some([0, 1, 1, 2, 3]) for entity in range(num_entities)},
        domains={r: some([0, 1, 1, 2]) for r in range(num_relations)},
        ranges={r: some([0, 1, 1, 2]) for r in range(num_relations)},
        superclasses=superclasses,
    )


def bundled(cls: type[Nations | UMLS]) -> Graph:
    training = get_dataset(dataset=cls).training
    counts = training.num_entities, training.num_relations
    return Graph(cls.__name__, training.mapped_triples, *counts, made_up_schema(*counts, seed=0))


def synthetic() -> Graph:
    training, schema = (dataset := generate()).training, dataset.schema
    return Graph(
        "synthetic", training.mapped_triples, training.num_entities, training.num_relations, plain_schema(schema)
    )


_MAKERS: dict[str, Callable[[], Graph]] = {
    "nations": lambda: bundled(Nations),
    "umls": lambda: bundled(UMLS),
    "synthetic": synthetic,
}
GRAPHS = tuple(_MAKERS)


@cache
def graph_named(name: str) -> Graph:
    """Return a graph of :data:`GRAPHS`, the same object each time."""
    return _MAKERS[name]()


def graph_of(triples: Iterable[Triple], *, num_entities: int, num_relations: int, **schema: Any) -> Graph:
    """Return a graph written down in a test."""
    lines = torch.tensor(sorted(triples), dtype=torch.long).reshape(-1, 3)
    return Graph("written down", lines, num_entities, num_relations, PlainSchema(**schema))


# Graphs at random


def looks_doubled(triples: Iterable[Triple], num_relations: int) -> bool:
    """Tell whether a graph would be taken for one with artificial inverses."""
    forward = {(h, r, t) for h, r, t in triples if r % 2 == 0}
    backward = {(t, r - 1, h) for h, r, t in triples if r % 2 == 1}
    return num_relations % 2 == 0 and forward == backward


CLASSES = "ABCD"


@st.composite
def random_schemas(draw: st.DrawFn, num_entities: int, num_relations: int) -> PlainSchema:
    some = st.sets(st.sampled_from(CLASSES), max_size=3)
    entities, relations = st.integers(0, num_entities - 1), st.integers(0, num_relations - 1)
    return PlainSchema(
        entity_classes=draw(st.dictionaries(entities, some)),
        domains=draw(st.dictionaries(relations, some)),
        ranges=draw(st.dictionaries(relations, some)),
        # a class may be its own ancestor
        superclasses=draw(st.dictionaries(st.sampled_from(CLASSES), some)),
    )


@st.composite
def random_graphs(draw: st.DrawFn, max_entities: int = 6, max_relations: int = 3) -> Graph:
    """Make a small graph: with repeated lines, loops, ids that no triple uses; one triple or entity at least."""
    num_entities = draw(st.integers(1, max_entities))
    num_relations = draw(st.integers(1, max_relations))
    rows = draw(st.lists(random_triples(num_entities, num_relations), min_size=1, max_size=14))
    assume(not looks_doubled(rows, num_relations))
    plain = draw(random_schemas(num_entities, num_relations))
    return Graph("random", torch.tensor(rows), num_entities, num_relations, plain, seed=draw(st.integers(0, 99)))


def random_triples(num_entities: int, num_relations: int) -> st.SearchStrategy[Triple]:
    entities = st.integers(0, num_entities - 1)
    return st.tuples(entities, st.integers(0, num_relations - 1), entities)


# Queries


def queries_of(triples: TripleSet, batch: torch.Tensor) -> Queries:
    """Ask for both sides of each triple; the queries of triple i: 2i for its head, 2i + 1 for its tail."""
    return Queries.of_triples(triples, batch)


def reachable(stage: Stage, triples: TripleSet, batch: torch.Tensor, *, own_is_known: bool = False) -> np.ndarray:
    """Draw every rank of every query, and count how often each entity comes out; shape: (2 * batch, num_entities)."""
    entities, free = stage.drawable(queries_of(triples, batch), own_is_known=own_is_known)
    counts = np.zeros((2 * len(batch), triples.num_entities), dtype=int)
    np.add.at(counts, (torch.arange(len(free)).repeat_interleave(free).numpy(), entities.numpy()), 1)
    return counts


def indicator(sets: Iterable[Iterable[int]], num_entities: int) -> np.ndarray:
    """Write sets as rows of 0 and 1."""
    rows = [list(entities) for entities in sets]
    result = np.zeros((len(rows), num_entities), dtype=int)
    for row, entities in zip(result, rows, strict=True):
        row[entities] = 1
    return result


def both_sides(batch: torch.Tensor) -> list[tuple[int, int, int, Side]]:
    """Return the queries of a batch in the order of :func:`queries_of`, as the oracle takes them."""
    return [(h, r, t, side) for h, r, t in batch.tolist() for side in SIDES]


def keys_of(triples: torch.Tensor | np.ndarray, num_entities: int, num_relations: int) -> np.ndarray:
    """Number triples, for membership tests that owe nothing to the package."""
    heads, relations, tails = np.moveaxis(np.asarray(triples), -1, 0)
    return (relations * num_entities + tails) * num_entities + heads


# Draws


class Recorder:
    """A stage that remembers what it gave to which query."""

    def __init__(self, stage: Stage) -> None:
        self.name = stage.name
        self.stage = stage
        self.drawn: list[tuple[int, int]] = []

    def ask(self, queries: Queries, *, own_is_known: bool) -> Any:
        return self.stage.ask(queries, own_is_known=own_is_known)

    def draw(self, answers: Any, slots: Slots, later: np.ndarray, number: int) -> int:
        left = self.stage.draw(answers, slots, later, number)
        row, column = (slots.filled_by == number).nonzero()
        queries = 2 * row + slots.sides[row, column]
        self.drawn += zip(queries.tolist(), slots.entities[row, column].tolist(), strict=True)
        return left

    def given_to(self, query: int) -> list[int]:
        return [entity for slot, entity in self.drawn if slot == query]


def record(sampler: PoolNegativeSampler) -> list[Recorder]:
    """Watch the stages of a sampler."""
    sampler.stages = [Recorder(stage) for stage in sampler.stages]
    return sampler.stages


def count(entities: torch.Tensor, num_entities: int) -> np.ndarray:
    return np.bincount(entities.flatten().numpy(), minlength=num_entities)


def total(usage: Mapping[str, int]) -> int:
    return sum(usage.values())


def counted(usage: Mapping[str, int]) -> dict[str, int]:
    """Return the stages that filled any slot."""
    return {stage: count for stage, count in usage.items() if count}
