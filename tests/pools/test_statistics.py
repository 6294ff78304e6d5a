"""Pool statistics are exact: equal to a brute-force count, not close to it."""

from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from graphs import GRAPHS, Graph, graph_named, graph_of, random_graphs
from hypothesis import given, settings
from oracles import SIDES, Oracle, PlainGraph, PlainSchema

from negsamp import SAMPLERS
from negsamp.datasets import load_dataset
from negsamp.pools import (
    Exclusions,
    Pools,
    Stage,
    corrupt_pools,
    pool_sizes,
    pool_statistics,
    relational_pools,
    typed_by_class_pools,
    typed_pools,
)
from negsamp.schema import Schema
from negsamp.triples import HEAD, TAIL, TripleSet


def check(stage: Stage, triples: TripleSet, oracle: Oracle, name: str, **options: Any) -> dict[str, Any]:
    """Compare all figures, and the sizes themselves."""
    found = pool_statistics(stage, triples)
    histogram = found.pop("histogram")
    assert found == oracle.statistics(name, **options)
    sizes = Counter(size for side in SIDES for size in oracle.sizes(name, side, **options))
    assert dict(zip(histogram["sizes"], histogram["counts"], strict=True)) == sizes
    assert histogram["sizes"] == sorted(sizes)
    return found


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("graph_name", GRAPHS)
def test_statistics_equal_a_count(graph_name: str, name: str):
    graph = graph_named(graph_name)
    check(graph.sampler(name).stages[0], graph.triples, graph.oracle, name, **graph.oracle_options(name))


@pytest.mark.parametrize("graph_name", GRAPHS)
def test_statistics_of_all_classes_equal_a_count(graph_name: str):
    graph = graph_named(graph_name)
    stage = graph.sampler("typedbyclass", classes="all").stages[0]
    check(stage, graph.triples, graph.oracle, "typedbyclass", classes="all")


@pytest.mark.parametrize("name", SAMPLERS)
@given(graph=random_graphs())
@settings(deadline=None, max_examples=30)
def test_statistics_of_any_graph_equal_a_count(name: str, graph: Graph):
    check(graph.sampler(name).stages[0], graph.triples, graph.oracle, name, **graph.oracle_options(name))


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("graph_name", GRAPHS)
def test_sizes_equal_those_of_each_side(graph_name: str, name: str):
    graph = graph_named(graph_name)
    sizes, sides = pool_sizes(graph.sampler(name).stages[0], graph.triples)
    for number, side in ((HEAD, "head"), (TAIL, "tail")):
        assert sizes[sides == number].sort().values.tolist() == graph.oracle.sizes(
            name, side, **graph.oracle_options(name)
        )


def test_a_case_by_hand():
    # tails of relation 0: {1, 2, 3}, its heads: {0, 4}; of relation 1: {3} and {0}
    graph = graph_of({(0, 0, 1), (0, 0, 2), (4, 0, 3), (0, 1, 3)}, num_entities=5, num_relations=2)
    # tails: (0, 0) may draw {3}, (4, 0) {1, 2}, (0, 1) none; heads: (0, 1) {4}, (0, 2) {4}, (0, 3) {0}, (1, 3) none
    shares = {"0": 2 / 7, "2": 1.0, "10": 1.0, "40": 1.0, "100": 1.0}
    found = pool_statistics(graph.sampler("corrupt").stages[0], graph.triples)
    assert found == {
        "queries": 7,
        "mean": 6 / 7,
        "median": 1.0,
        "share_at_most": shares,
        "sides": {
            "head": {"queries": 4, "mean": 0.75, "median": 1.0, "share_at_most": {**shares, "0": 0.25}},
            "tail": {"queries": 3, "mean": 1.0, "median": 1.0, "share_at_most": {**shares, "0": 1 / 3}},
        },
        "histogram": {"sizes": [0, 1, 2], "counts": [2, 4, 1]},
    }


def test_artificial_inverses_change_no_figure():
    graph = graph_named("nations")
    lines = graph.lines
    doubled = torch.cat([lines * torch.tensor([1, 2, 1]), lines[:, [2, 1, 0]] * torch.tensor([1, 2, 1])])
    doubled[len(lines) :, 1] += 1
    triples = TripleSet(doubled, graph.num_entities, 2 * graph.num_relations)
    assert triples.doubled
    pools = corrupt_pools(triples)
    stage = Stage("pool", Exclusions.build(pools, triples))
    assert pool_statistics(stage, triples) == pool_statistics(graph.sampler("corrupt").stages[0], graph.triples)


# Archives of the mirror


def make_pools(name: str, triples: TripleSet, schema: Schema | None, **options: Any) -> Pools:
    match name:
        case "random":
            return Pools.everything(triples)
        case "corrupt":
            return corrupt_pools(triples)
        case "relational":
            return relational_pools(triples)
        case "typed":
            return typed_pools(triples, schema)
        case "typedbyclass":
            return typed_by_class_pools(triples, schema, **options)


@cache
def read(archive: Path, name: str) -> tuple[TripleSet, Schema | None, Oracle]:
    """Read an archive twice: by the package, and by the oracle's own reader."""
    dataset = load_dataset(name, mirror=archive.parent)
    plain = PlainGraph.from_files(archive)
    oracle = plain.oracle(PlainSchema.from_files(archive, plain.entity_to_id, plain.relation_to_id))
    triples = TripleSet(dataset.training.mapped_triples, dataset.num_entities, dataset.num_relations)
    assert (triples.num_entities, triples.num_relations) == (oracle.num_entities, oracle.num_relations)
    return triples, dataset.schema, oracle


def check_archive(archive: Path, dataset: str, name: str, **options: Any) -> dict[str, Any]:
    triples, schema, oracle = read(archive, dataset)
    stage = Stage("pool", Exclusions.build(make_pools(name, triples, schema, **options), triples))
    return check(stage, triples, oracle, name, **options)


@pytest.mark.mirror
@pytest.mark.parametrize("name", ["random", "corrupt", "relational"])
def test_statistics_of_wn18_equal_a_count(name: str, mirror: Path):
    found = check_archive(mirror / "WN18.zip", "wn18", name)
    assert found["queries"] == 171254


@pytest.mark.mirror
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("random", {}),
        ("corrupt", {}),
        ("typed", {}),
        ("typedbyclass", {"classes": "specific"}),
        ("typedbyclass", {"classes": "all"}),
        ("relational", {}),
    ],
)
def test_statistics_of_db50k_equal_a_count(name: str, options: dict[str, Any], mirror: Path):
    check_archive(mirror / "DB50K-PUBLIC.zip", "db50k-public", name, **options)
