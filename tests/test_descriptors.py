"""The descriptors of a graph, against loops over its triples."""

from collections import Counter, defaultdict
from statistics import mean
from typing import Any

import pytest
from graphs import Graph, graph_named, graph_of, random_graphs
from hypothesis import given, settings
from oracles import Oracle

from negsamp import descriptors
from negsamp.descriptors import DESCRIPTORS, POOL_DESCRIPTORS, describe_pool_sizes, describe_pools, describe_structure


def share(hits: list[bool]) -> float | None:
    return mean(hits) if hits else None


def kind(oracle: Oracle, relation: int) -> str:
    """Say of which cardinality a relation is: an average of more than 1.5 entities a pair is many."""
    heads, tails = defaultdict(set), defaultdict(set)
    for h, r, t in oracle.triples:
        if r == relation:
            heads[t].add(h)
            tails[h].add(t)
    sides = ("many" if mean(map(len, pairs.values())) > 1.5 else "one" for pairs in (heads, tails))
    return "_to_".join(sides)


def slow(graph: Graph) -> dict[str, Any]:
    """Count everything with loops."""
    oracle, plain = graph.oracle, graph.plain
    triples = oracle.triples
    degrees = Counter(entity for h, _, t in triples for entity in (h, t))
    kinds = Counter(kind(oracle, r) for _, r, _ in triples)
    used, relations = degrees.keys(), range(graph.num_relations)
    linked = defaultdict(set)
    for h, r, t in triples:
        linked[h, t].add(r)
    typed = {entity for entity, names in plain.entity_classes.items() if names}
    has_classes = bool(typed)
    declared = [oracle.domain_or_range(r, side) for r in relations for side in ("head", "tail")]
    sides = [
        (entity, oracle.domain_or_range(r, side)) for h, r, t in triples for side, entity in (("head", h), ("tail", t))
    ]
    counted = [entity in oracle.members(names) for entity, names in sides if names and entity in typed]
    return {
        "entities": len(degrees),
        "relations": len({r for _, r, _ in triples}),
        "triples": len(triples),
        "triples_per_entity": len(triples) / len(degrees),
        "degree_gini": mean(abs(a - b) for a in degrees.values() for b in degrees.values())
        / (2 * mean(degrees.values())),
        **{name: kinds[name] / len(triples) for name in ("one_to_one", "one_to_many", "many_to_one", "many_to_many")},
        "symmetric": share([(t, r, h) in triples for h, r, t in triples]),
        "inverse": share([bool(linked[t, h] - {r}) for h, r, t in triples]),
        "duplicate": share([bool(linked[h, t] - {r}) for h, r, t in triples]),
        "classes": len(set().union(*plain.entity_classes.values())) if has_classes else None,
        "classes_per_entity": mean(len(plain.entity_classes[entity]) for entity in typed) if has_classes else None,
        "untyped": share([entity not in typed for entity in used]) if has_classes else None,
        "undeclared": share([not names for names in declared]),
        "violations": share([not is_inside for is_inside in counted]),
    }


def check(graph: Graph) -> None:
    found, expected = describe_structure(graph.triples, graph.schema), slow(graph)
    assert found.keys() == DESCRIPTORS.keys() == {*expected, "class_depth"}
    assert {name: found[name] for name in expected} == pytest.approx(expected)


@given(random_graphs())
@settings(max_examples=300)
def test_descriptors_are_what_loops_count(graph: Graph) -> None:
    check(graph)


@pytest.mark.parametrize("name", ["nations", "umls", "synthetic"])
def test_descriptors_of_graphs(name: str) -> None:
    check(graph_named(name))


def test_depth_is_counted_below_the_roots() -> None:
    classes = {"entity_classes": {0: {"D"}, 1: {"A"}}, "superclasses": {"D": {"C"}, "C": {"A"}}}
    graph = graph_of({(0, 0, 1)}, num_entities=2, num_relations=1, **classes)
    found = describe_structure(graph.triples, graph.schema)
    assert (found["class_depth"], found["classes"]) == (2, 2)


def test_without_a_schema_nothing_is_said_of_classes() -> None:
    graph = graph_named("nations")
    found = describe_structure(graph.triples, None)
    nothing = {name for name, value in found.items() if value is None}
    assert nothing == {"classes", "class_depth", "classes_per_entity", "untyped", "undeclared", "violations"}


@pytest.mark.parametrize(
    ("name", "block"), [("corrupt", 1), ("typed", 7), ("relational", 1000), ("nearestneighbor", 1000)]
)
def test_pools_are_described_as_loops_count(name: str, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptors, "rows_in_budget", lambda *_, **__: block)
    graph = graph_named("synthetic")
    oracle, options = graph.oracle, graph.oracle_options(name)
    # every third triple with its ends swapped: some of them can be drawn
    held_out = graph.triples.triples[::3].flip(dims=(-1,)).contiguous()
    wanted = {tuple(triple) for triple in held_out.tolist()} - oracle.triples
    assert wanted
    found = describe_pools(graph.sampler(name), held_out)
    sizes, shares = [], []
    for h, r, t in sorted(oracle.triples):
        for side in ("head", "tail"):
            drawn = oracle.candidates(name, h, r, t, side, **options)
            sizes.append(len(drawn))
            if drawn:
                shares.append(mean(((e, r, t) if side == "head" else (h, r, e)) in wanted for e in drawn))
    assert found["pool_share"] == pytest.approx(mean(sizes) / graph.num_entities)
    assert found["no_pool"] == pytest.approx(mean(size == 0 for size in sizes))
    assert found["held_out"] == pytest.approx(mean(shares))
    assert found["held_out"] > 0
    assert found.keys() == POOL_DESCRIPTORS.keys()
    sizes_alone = describe_pool_sizes(graph.sampler(name))
    assert sizes_alone == {key: pytest.approx(found[key]) for key in ("pool_share", "no_pool")}


def test_some_triples_stand_for_all() -> None:
    sampler = graph_named("synthetic").sampler("corrupt")
    held_out = sampler.triples.triples[:5]
    every = describe_pools(sampler, held_out)
    some = describe_pools(sampler, held_out, max_triples=len(sampler.triples.triples) // 2)
    assert some != every
    assert some["pool_share"] == pytest.approx(every["pool_share"], rel=0.2)
