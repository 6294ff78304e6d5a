"""Inferred domains and ranges: what the definition gives, told from what is declared, wherever they go; and cycles."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from graphs import (
    GRAPHS,
    Graph,
    both_sides,
    graph_named,
    graph_of,
    indicator,
    plain_schema,
    random_graphs,
    reachable,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import Oracle, PlainSchema, Side

from negsamp import SAMPLERS
from negsamp.cli import main
from negsamp.datasets import SchemaDataset, write_folder
from negsamp.errors import InputError
from negsamp.pools import pool_statistics, typed_by_class_pools, typed_pools
from negsamp.schema import Schema
from negsamp.triples import TripleSet

SHARES = [0.1, 0.3, 0.5, 2 / 3, 0.9, 1.0]
SIDES: tuple[Side, Side] = ("head", "tail")


def filled(groups: dict[Any, set[str]]) -> dict[Any, set[str]]:
    return {key: names for key, names in groups.items() if names}


def declared(plain: PlainSchema) -> set[int]:
    """Number the sides that have a class: 2r for the domain of r, 2r + 1 for its range."""
    return {2 * r for r in filled(plain.domains)} | {2 * r + 1 for r in filled(plain.ranges)}


def check(graph: Graph, share: float) -> Schema:
    """Compare domains, ranges and marks with the oracle's, and see that the rest is as it was."""
    before, schema = graph.schema, graph.schema.infer_domains_and_ranges(graph.triples, share)
    wanted, found = graph.oracle.inferred(share), plain_schema(schema)
    assert (found.domains, found.ranges) == (filled(wanted.domains), filled(wanted.ranges))
    assert schema.inferred.tolist() == sorted(declared(wanted) - declared(graph.plain))
    for r, names in filled(graph.plain.domains).items():
        assert found.domains[r] == names
    for r, names in filled(graph.plain.ranges).items():
        assert found.ranges[r] == names
    assert (found.entity_classes, found.superclasses) == (
        filled(graph.plain.entity_classes),
        filled(graph.plain.superclasses),
    )
    assert schema.classes == before.classes
    # pairs are distinct and in order, as those that are read
    for pairs in (schema.domains, schema.ranges):
        assert pairs.T.tolist() == sorted(map(list, set(map(tuple, pairs.T.tolist()))))
    schema.check(graph.triples)
    # the given one is left alone
    assert not len(before.inferred)
    assert plain_schema(before).domains == filled(graph.plain.domains)
    return schema


def undeclared(graph: Graph) -> Graph:
    """Take all domains and ranges away."""
    plain = PlainSchema(graph.plain.entity_classes, superclasses=graph.plain.superclasses)
    return Graph(graph.name, graph.lines, graph.num_entities, graph.num_relations, plain)


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("graph_name", GRAPHS)
def test_inference_equals_the_definition(graph_name: str, share: float):
    graph = graph_named(graph_name)
    check(graph, share)
    bare = undeclared(graph)
    schema = check(bare, share)
    if share <= 0.5:
        assert len(schema.inferred) > graph.num_relations


@given(graph=random_graphs(max_entities=7), share=st.floats(0.1, 1.0) | st.sampled_from([0.25, 1 / 3, 0.5, 0.75, 1.0]))
@settings(deadline=None, max_examples=300)
def test_inference_on_any_graph_equals_the_definition(graph: Graph, share: float):
    check(graph, share)
    check(undeclared(graph), share)


def test_the_synthetic_graph_gets_its_own_domains_back():
    graph = graph_named("synthetic")
    schema = undeclared(graph).schema.infer_domains_and_ranges(graph.triples, 1.0)
    assert schema.inferred.tolist() == list(range(2 * graph.num_relations))
    found, oracle = plain_schema(schema), graph.oracle
    exact = 0
    for r in range(graph.num_relations):
        for mine, own in ((found.domains[r], graph.plain.domains[r]), (found.ranges[r], graph.plain.ranges[r])):
            # a class below may cover all that few triples hold
            assert oracle.members(mine) <= oracle.members(own)
            exact += mine == own
    assert exact > graph.num_relations


# By hand


ANN, BOB, CID, ROME, OSLO, REX = range(6)
KNOWS, LIVES_IN, OWNS = range(3)
CLASSES = {
    ANN: {"Artist", "Person"},
    BOB: {"Person"},
    CID: {"Artist"},
    ROME: {"City"},
    OSLO: {"City"},
    REX: {"Dog", "Pet"},
}
ABOVE = {"Artist": {"Person"}, "Person": {"Thing"}, "City": {"Thing"}, "Ghost": {"Thing"}}


def people(**schema: Any) -> Graph:
    triples = {
        *((ANN, KNOWS, BOB), (ANN, KNOWS, CID), (BOB, KNOWS, CID), (CID, KNOWS, ANN), (ROME, KNOWS, ANN)),
        *((ANN, LIVES_IN, ROME), (CID, LIVES_IN, OSLO), (CID, LIVES_IN, ROME)),
        (BOB, OWNS, REX),
    }
    schema = {"entity_classes": CLASSES, "superclasses": ABOVE, **schema}
    return graph_of(triples, num_entities=6, num_relations=4, **schema)


def inferred(graph: Graph, share: float) -> tuple[dict[int, set[str]], dict[int, set[str]]]:
    plain = plain_schema(graph.schema.infer_domains_and_ranges(graph.triples, share))
    return plain.domains, plain.ranges


def test_a_case_by_hand():
    # heads of knows: Ann, Bob, Cid, who are people, and Rome; three of four
    domains, ranges = inferred(people(), 0.75)
    # Thing covers all of them and holds more than Person
    assert domains == {KNOWS: {"Person"}, LIVES_IN: {"Artist"}, OWNS: {"Person"}}
    # the two classes of Rex hold the same, so that neither drops the other
    assert ranges == {KNOWS: {"Person"}, LIVES_IN: {"City"}, OWNS: {"Dog", "Pet"}}
    domains, _ = inferred(people(), 0.76)
    assert domains[KNOWS] == {"Thing"}
    # half of the heads are artists: the smaller class is there, and Person goes; so is City with a quarter
    domains, _ = inferred(people(), 0.5)
    assert domains[KNOWS] == {"Artist"}
    domains, _ = inferred(people(), 0.25)
    assert domains[KNOWS] == {"Artist", "City"}


def test_distinct_heads_are_counted_and_not_triples():
    # 0 has the class and nine triples, 1 has none and one
    triples = {(0, 0, t) for t in range(1, 10)} | {(1, 0, 2)}
    graph = graph_of(triples, num_entities=10, num_relations=1, entity_classes={0: {"a"}})
    assert inferred(graph, 0.5) == ({0: {"a"}}, {})
    assert inferred(graph, 0.51) == ({}, {})


def test_the_share_itself_is_enough():
    triples = {(h, 0, 9) for h in range(10)}
    for count in range(1, 11):
        graph = graph_of(triples, num_entities=10, num_relations=1, entity_classes={e: {"a"} for e in range(count)})
        assert inferred(graph, count / 10)[0] == {0: {"a"}}
        assert inferred(graph, min(count / 10 + 1e-9, 1))[0] == ({} if count < 10 else {0: {"a"}})


def test_what_is_declared_is_kept_even_if_nobody_has_the_class():
    graph = people(domains={KNOWS: {"Ghost"}, LIVES_IN: {"Person", "Dog"}}, ranges={KNOWS: {"City"}})
    schema = graph.schema.infer_domains_and_ranges(graph.triples, 0.5)
    found = plain_schema(schema)
    assert found.domains == {KNOWS: {"Ghost"}, LIVES_IN: {"Person", "Dog"}, OWNS: {"Person"}}
    assert found.ranges == {KNOWS: {"City"}, LIVES_IN: {"City"}, OWNS: {"Dog", "Pet"}}
    assert schema.inferred.tolist() == [2 * LIVES_IN + 1, 2 * OWNS, 2 * OWNS + 1]


def test_entities_without_a_class_count_among_those_to_be_covered():
    classes = {entity: names for entity, names in CLASSES.items() if entity not in (ROME, REX)}
    graph = people(entity_classes=classes)
    domains, ranges = inferred(graph, 1.0)
    assert domains == {LIVES_IN: {"Artist"}, OWNS: {"Person"}}
    # Rome is one of the two places, and Rex is all that is owned
    assert ranges == {KNOWS: {"Person"}}
    assert inferred(graph, 0.5)[1] == {KNOWS: {"Artist"}, LIVES_IN: {"City"}}


def test_a_class_without_an_entity_is_never_inferred():
    for share in SHARES:
        domains, ranges = inferred(people(), share)
        assert "Ghost" not in set().union(*domains.values(), *ranges.values())


def test_a_graph_without_classes_has_nothing_to_infer_from():
    graph = people(entity_classes={})
    for share in SHARES:
        assert inferred(graph, share) == ({}, {})
    assert not len(graph.schema.infer_domains_and_ranges(graph.triples, 0.1).inferred)


def test_a_relation_without_a_triple_gets_nothing():
    domains, ranges = inferred(people(), 0.1)
    assert OWNS + 1 not in domains
    assert OWNS + 1 not in ranges


def test_inferring_twice_fills_only_what_was_left():
    graph = people()
    first = graph.schema.infer_domains_and_ranges(graph.triples, 0.76)
    second = first.infer_domains_and_ranges(graph.triples, 0.1)
    assert set(first.inferred.tolist()) <= set(second.inferred.tolist())
    for r, names in plain_schema(first).domains.items():
        assert plain_schema(second).domains[r] == names
    assert second.inferred.tolist() == [0, 1, 2, 3, 4, 5]


def test_artificial_inverses_change_nothing():
    graph = undeclared(graph_named("nations"))
    lines = torch.cat([graph.lines, graph.lines[:, [2, 1, 0]]])
    lines[:, 1] *= 2
    lines[len(graph.lines) :, 1] += 1
    doubled = TripleSet(lines, graph.num_entities, 2 * graph.num_relations)
    assert doubled.doubled
    one, other = (graph.schema.infer_domains_and_ranges(triples, 0.5) for triples in (graph.triples, doubled))
    assert torch.equal(one.inferred, other.inferred)
    assert plain_schema(one) == plain_schema(other)


# Several classes


def test_several_domains_and_ranges_are_a_union():
    graph = people(domains={KNOWS: {"Artist", "City"}}, ranges={KNOWS: {"Dog", "Ghost", "Person"}})
    stage = graph.sampler("typed").stages[0]
    heads, tails = reachable(stage, graph.triples, torch.tensor([[BOB, KNOWS, CID]]))
    # Ann is a known head of Cid
    assert set(heads.nonzero()[0].tolist()) == {CID, ROME, OSLO}
    assert set(tails.nonzero()[0].tolist()) == {ANN, BOB, REX}


def test_entities_without_a_class_and_classes_without_an_entity_have_empty_pools():
    graph = people(entity_classes={ANN: {"Person"}}, domains={KNOWS: {"Ghost"}}, ranges={KNOWS: {"Person"}})
    assert graph.schema.members().sum() == 2  # Ann is a person and a thing
    typed = typed_pools(graph.triples, graph.schema)
    assert typed.lengths.tolist()[: 2 * KNOWS + 2] == [0, 1]
    assert not typed.lengths[2:].any()
    by_class = typed_by_class_pools(graph.triples, graph.schema)
    assert [int(by_class.lengths[by_class.index[entity]]) for entity in range(6)] == [1, 0, 0, 0, 0, 0]
    for name in ("typed", "typedbyclass"):
        sampler = graph.sampler(name, fallback="semantic", num_negs_per_pos=4)
        negatives, valid = sampler.sample(graph.lines)
        assert valid is None
        assert not graph.triples.contains(*negatives.reshape(-1, 3).unbind(dim=-1)).any()


# Marks, wherever a schema goes


def dataset_of(graph: Graph, schema: Schema) -> SchemaDataset:
    """Make a data set with the graph's triples in all splits, under the names of the schema's maker."""
    names = {
        "entity_to_id": {f"e{i}": i for i in range(graph.num_entities)},
        "relation_to_id": {f"r{i}": i for i in range(graph.num_relations)},
    }
    lines = graph.triples.triples
    splits = {"training": lines, "validation": lines[:1].clone(), "testing": lines[:1].clone()}
    return SchemaDataset(name="made", splits=splits, schema=schema, report={"notes": []}, **names)


def same(one: Schema, other: Schema) -> bool:
    tensors, rest = one.to_tensors()
    again, same_rest = other.to_tensors()
    return rest == same_rest and tensors.keys() == again.keys() and all(x.equal(again[k]) for k, x in tensors.items())


@given(graph=random_graphs(), share=st.floats(0.1, 1.0))
@settings(deadline=None, max_examples=60)
def test_marks_come_back_from_tensors(graph: Graph, share: float):
    schema = graph.schema.infer_domains_and_ranges(graph.triples, share)
    tensors, rest = schema.to_tensors()
    again = Schema.from_tensors(tensors, json.loads(json.dumps(rest)))
    assert same(again, schema)
    assert again.inferred.tolist() == schema.inferred.tolist()


@pytest.mark.parametrize("graph_name", ["nations", "synthetic"])
@pytest.mark.parametrize("share", [0.3, 1.0])
def test_marks_come_back_from_a_store_and_from_a_folder(graph_name: str, share: float, tmp_path: Path):
    graph = graph_named(graph_name) if graph_name == "nations" else undeclared(graph_named(graph_name))
    schema = graph.schema.infer_domains_and_ranges(graph.triples, share)
    assert len(schema.inferred) > 0
    dataset = dataset_of(graph, schema)
    dataset.save(tmp_path / "stored")
    assert same(SchemaDataset.load(tmp_path / "stored").schema, schema)
    write_folder(dataset, tmp_path / "folder")
    read = SchemaDataset.from_folder(tmp_path / "folder", "made", source="test")
    assert read.schema.inferred.tolist() == schema.inferred.tolist()
    assert plain_schema(read.schema) == plain_schema(schema)
    ranges = int((schema.inferred % 2).sum())
    assert f"{len(schema.inferred) - ranges} domains and {ranges} ranges are inferred" in read.report["notes"]
    # what is read is declared from then on, and stays marked
    again = read.schema.infer_domains_and_ranges(graph.triples, share)
    assert again.inferred.tolist() == schema.inferred.tolist()
    assert Schema.from_folder(tmp_path / "folder", read.training).inferred.tolist() == schema.inferred.tolist()


def test_a_schema_that_nothing_is_inferred_of_has_no_mark(tmp_path: Path):
    graph = people(domains={r: {"Thing"} for r in range(4)}, ranges={r: {"Thing"} for r in range(4)})
    schema = graph.schema.infer_domains_and_ranges(graph.triples, 0.1)
    assert not len(schema.inferred)
    assert same(schema, graph.schema)
    write_folder(dataset_of(graph, schema), tmp_path / "folder")
    written = json.loads((tmp_path / "folder/metadata/relation_domain_range.json").read_text())
    assert all(entry.keys() == {"domain", "range"} for entry in written.values())
    notes = SchemaDataset.from_folder(tmp_path / "folder", "made", source="test").report["notes"]
    assert not any("inferred" in note for note in notes)


# Samplers


@pytest.mark.parametrize("filtered", [True, False])
@pytest.mark.parametrize("share", [0.2, 0.5, 1.0])
@pytest.mark.parametrize("graph_name", GRAPHS)
def test_typed_draws_from_what_is_inferred(graph_name: str, share: float, filtered: bool):
    graph = graph_named(graph_name)
    graph = undeclared(graph) if graph_name == "synthetic" else graph
    oracle = Oracle(graph.oracle.triples, graph.num_entities, graph.num_relations, graph.oracle.inferred(share))
    sampler = graph.sampler("typed", infer_schema=share, filtered=filtered)
    batch = graph.lines[::10]
    wanted = [oracle.candidates("typed", *query, filtered=filtered) for query in both_sides(batch)]
    found = reachable(sampler.stages[0], graph.triples, batch)
    np.testing.assert_array_equal(found, indicator(wanted, graph.num_entities))
    statistics = pool_statistics(sampler.filtered_stage(), graph.triples)
    del statistics["histogram"]
    assert statistics == oracle.statistics("typed")


@given(graph=random_graphs(), share=st.floats(0.1, 1.0))
@settings(deadline=None, max_examples=60)
def test_any_graph_draws_from_what_is_inferred(graph: Graph, share: float):
    oracle = Oracle(graph.oracle.triples, graph.num_entities, graph.num_relations, graph.oracle.inferred(share))
    for name, fallback, stage in (("typed", None, 0), ("random", "semantic", 1), ("relational", ["typed"], 1)):
        sampler = graph.sampler(name, infer_schema=share, fallback=fallback, schema=graph.schema)
        wanted = [oracle.candidates("typed", *query) for query in both_sides(graph.lines)]
        found = reachable(sampler.stages[stage], graph.triples, graph.lines)
        np.testing.assert_array_equal(found, indicator(wanted, graph.num_entities))


@pytest.mark.parametrize("name", [name for name in SAMPLERS if name not in ("typed", "typedbyclass")])
def test_a_stage_that_rests_on_a_guess_has_a_name_of_its_own(name: str):
    graph = people()
    options = {"fallback": "semantic", "schema": graph.schema}
    stages = [stage.name for stage in graph.sampler(name, **options, infer_schema=0.9).stages]
    plain = [stage.name for stage in graph.sampler(name, **options).stages]
    assert plain[:2] == ["pool", "typed"]
    assert stages == ["pool", "typed_inferred", *plain[2:]]
    # as it has where the schema was marked before
    marked = {**options, "schema": graph.schema.infer_domains_and_ranges(graph.triples, 0.9)}
    assert [stage.name for stage in graph.sampler(name, **marked).stages] == stages
    # by name, too
    listed = graph.sampler(name, schema=graph.schema, infer_schema=0.9, fallback=["typed", "everything"])
    assert [stage.name for stage in listed.stages] == ["pool", "typed_inferred", "everything"]
    # where nothing was missing, nothing is a guess
    declared = people(domains={r: {"Thing"} for r in range(4)}, ranges={r: {"Thing"} for r in range(4)})
    sampler = declared.sampler(name, schema=declared.schema, infer_schema=0.9, fallback="semantic")
    assert sampler.stages[1].name == "typed"


def test_slots_of_a_guess_are_counted_as_such():
    graph = people()
    # the tails of owns: Rex alone, a known positive
    sampler = graph.sampler(
        "corrupt", schema=graph.schema, infer_schema=0.5, fallback="semantic", num_negs_per_pos=6, corruption="head"
    )
    sampler.sample(torch.tensor([[ANN, LIVES_IN, ROME], [BOB, OWNS, REX]]))
    usage = dict(sampler.usage)
    assert usage["typed_inferred"] > 0
    assert "typed" not in usage
    assert sum(usage.values()) == 12


def test_typed_tells_how_much_of_its_pools_is_inferred():
    graph = people(domains={KNOWS: {"Person"}})
    assert graph.sampler("typed").inferred is None
    assert graph.sampler("typed", infer_schema=0.9).inferred == {"domains": 2, "ranges": 3}
    assert graph.sampler("typed", infer_schema=0.9).schema.inferred.tolist() == [1, 2, 3, 4, 5]
    # the others ask for no domain or range of their own
    for name in SAMPLERS:
        if name != "typed":
            assert graph.sampler(name, schema=graph.schema, infer_schema=0.9).inferred is None
    # a schema that was marked before is told, too
    marked = graph.schema.infer_domains_and_ranges(graph.triples, 0.9)
    assert graph.sampler("typed", schema=marked).inferred == {"domains": 2, "ranges": 3}


def test_a_folder_serves_inference_as_well(tmp_path: Path):
    graph = people()
    write_folder(dataset_of(graph, graph.schema), tmp_path / "folder")
    for form in (tmp_path / "folder", str(tmp_path / "folder")):
        sampler = graph.sampler("typed", schema=form, infer_schema=0.75)
        wanted = graph.sampler("typed", infer_schema=0.75)
        assert sampler.inferred == wanted.inferred == {"domains": 3, "ranges": 3}
        assert torch.equal(sampler.pools.members, wanted.pools.members)
        assert torch.equal(sampler.pools.offsets, wanted.pools.offsets)


# Refusals


@pytest.mark.parametrize("share", [0, 0.0, -0.1, 1.0001, 2, float("nan")])
def test_a_share_out_of_range_is_refused(share: float):
    graph = people()
    message = r"infer_schema is .*; it must be a share above 0 and at most 1"
    with pytest.raises(ValueError, match=message):
        graph.schema.infer_domains_and_ranges(graph.triples, share)
    for name in ("typed", "corrupt"):
        with pytest.raises(ValueError, match=message):
            graph.sampler(name, schema=graph.schema, infer_schema=share)


def test_other_triples_are_refused():
    graph = people()
    for other in (
        TripleSet(graph.lines[1:], 6, 4),
        TripleSet(graph.lines, 7, 4),
        TripleSet(graph.lines, 6, 5),
        TripleSet(graph.lines[:, [2, 1, 0]], 6, 4),
    ):
        with pytest.raises(InputError, match="the schema belongs to other triples"):
            graph.schema.infer_domains_and_ranges(other, 0.5)


@pytest.mark.parametrize("name", ["typed", "corrupt", "random"])
def test_without_a_schema_there_is_nothing_to_infer_from(name: str):
    with pytest.raises(InputError, match=r"infer_schema needs a schema with classes: give schema=\.\.\."):
        people().sampler(name, schema=None, infer_schema=0.5)


# Cycles


def hierarchy(**superclasses: set[str]) -> Graph:
    """Type two of three entities with the first and the last of the classes."""
    names = sorted({*superclasses, *set().union(*superclasses.values())})
    return graph_of(
        {(0, 0, 1), (1, 0, 2), (2, 1, 0)},
        num_entities=3,
        num_relations=3,
        entity_classes={0: {names[0]}, 1: {names[-1]}},
        ranges={0: {names[0]}},
        superclasses=superclasses,
    )


CYCLES = [
    ({"a": {"b"}, "b": {"c"}}, []),
    ({"a": {"a"}, "b": {"a"}}, [["a"]]),
    ({"a": {"b"}, "b": {"a"}}, [["a", "b"]]),
    ({"b": {"a"}, "a": {"c"}, "c": {"b"}}, [["a", "b", "c"]]),
    ({"a": {"b"}, "b": {"a", "c"}, "c": {"d"}, "d": {"e"}, "e": {"c"}}, [["a", "b"], ["c", "d", "e"]]),
    ({"d": {"c"}, "c": {"d"}, "b": {"a"}, "a": {"b"}, "x": {"a", "c"}}, [["a", "b"], ["c", "d"]]),
    # two rings that share a class are one
    ({"a": {"b", "c"}, "b": {"a"}, "c": {"a"}}, [["a", "b", "c"]]),
    ({"a": {"a", "b"}, "b": {"a"}, "c": {"c"}, "d": {"a"}}, [["a", "b"], ["c"]]),
    # a diamond is none
    ({"a": {"b", "c"}, "b": {"d"}, "c": {"d"}}, []),
]


@pytest.mark.parametrize(("superclasses", "cycles"), CYCLES)
def test_cycles_are_found_and_noted(superclasses: dict[str, set[str]], cycles: list[list[str]], tmp_path: Path):
    graph = hierarchy(**superclasses)
    assert graph.schema.cycles() == cycles
    write_folder(dataset_of(graph, graph.schema), tmp_path / "folder")
    notes = SchemaDataset.from_folder(tmp_path / "folder", "made", source="test").report["notes"]
    assert [note for note in notes if "cycle" in note] == [
        f"the class hierarchy has a cycle through {', '.join(names)}" for names in cycles
    ]


@pytest.mark.parametrize(("superclasses", "cycles"), CYCLES)
def test_cycles_are_not_followed_for_ever(superclasses: dict[str, set[str]], cycles: list[list[str]]):
    graph = hierarchy(**superclasses)
    schema, numbers = graph.schema, {name: i for i, name in enumerate(graph.schema.classes)}
    ancestors, members = schema.ancestors().toarray(), schema.members().toarray()
    for name, i in numbers.items():
        assert set(ancestors[i].nonzero()[0].tolist()) == {
            numbers[other] for other in graph.oracle.ancestors({name}, len(numbers))
        }
        assert set(members[i].nonzero()[0].tolist()) == graph.oracle.members({name})
    for names in cycles:
        # all that lie on a cycle are each other's ancestors, and have the same members
        rows = members[[numbers[name] for name in names]]
        assert (rows == rows[0]).all()
    assert schema.height() < len(numbers)
    for share in SHARES:
        check(graph, share)
    for name in ("typed", "typedbyclass"):
        sampler = graph.sampler(name, fallback="semantic", infer_schema=0.5)
        assert sampler.sample(graph.lines)[1] is None
    stages = graph.sampler("typed", fallback="semantic").stages
    for query, rows in zip(
        both_sides(graph.lines),
        zip(*(reachable(stage, graph.triples, graph.lines) for stage in stages), strict=True),
        strict=True,
    ):
        given_ = [set(row.nonzero()[0].tolist()) for row in rows]
        wanted = graph.oracle.stages("typed", "semantic", *query)
        # a stage that brings nothing new is empty there, and left out here
        named = dict(graph.oracle.named_stages("typed", "semantic", *query))
        ancestors_of = {stage.name: found for stage, found in zip(stages, given_, strict=True)}
        assert ancestors_of["pool"] == wanted[0]
        assert ancestors_of["everything"] == wanted[-1]
        for stage, found in ancestors_of.items():
            if stage.startswith("ancestors_"):
                assert found == named.get(stage.replace("_", "-"), set())


def test_classes_of_a_cycle_are_inferred_together():
    # of the same members, none is narrower than another
    graph = graph_of(
        {(0, 0, 1), (1, 0, 1)},
        num_entities=3,
        num_relations=1,
        entity_classes={0: {"a"}, 1: {"b"}, 2: {"d"}},
        superclasses={"a": {"b"}, "b": {"c"}, "c": {"a", "top"}, "d": {"top"}},
    )
    assert inferred(graph, 1.0) == ({0: {"a", "b", "c"}}, {0: {"a", "b", "c"}})
    check(graph, 1.0)


def plain_cycles(plain: PlainSchema) -> set[frozenset[str]]:
    """Group the classes that reach themselves by whom they reach and are reached by."""
    above: dict[str, set[str]] = {}
    names = {*plain.superclasses, *set().union(*plain.superclasses.values(), set())}
    for name in names:
        reached: set[str] = set()
        new = set(plain.superclasses.get(name, ()))
        while new:
            reached |= new
            new = {parent for child in new for parent in plain.superclasses.get(child, ())} - reached
        above[name] = reached
    own = {name for name in names if name in above[name]}
    return {frozenset(other for other in own if other in above[name] and name in above[other]) for name in own}


@given(graph=random_graphs())
@settings(deadline=None, max_examples=200)
def test_cycles_of_any_hierarchy_are_found(graph: Graph):
    cycles = graph.schema.cycles()
    assert {frozenset(names) for names in cycles} == plain_cycles(graph.plain)
    assert cycles == sorted(map(sorted, cycles))


# The command line


def pools(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["pools", *arguments])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.delenv("NEGSAMP_MIRROR", raising=False)
    monkeypatch.chdir(tmp_path)
    graph = people(domains={KNOWS: {"Person"}})
    write_folder(dataset_of(graph, graph.schema), tmp_path / "graph")
    return "./graph"


def test_the_command_line_says_what_is_inferred(folder: str):
    graph = people(domains={KNOWS: {"Person"}})
    result = pools(folder, "--infer-schema", "0.9")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == "typed: 2 domains and 3 ranges are inferred"
    assert result.stdout.count("inferred") == 1
    (row,) = [line for line in result.stdout.splitlines() if line.startswith("typed ")]
    wanted = graph.sampler("typed", infer_schema=0.9)
    assert f"{pool_statistics(wanted.filtered_stage(), graph.triples)['mean']:,.1f}" in row.split()
    # without it, nothing is
    assert "inferred" not in pools(folder).stdout


def test_the_command_line_tells_machines_what_is_inferred(folder: str):
    graph = people(domains={KNOWS: {"Person"}})
    rows = {row["sampler"]: row for row in json.loads(pools(folder, "--infer-schema", "0.9", "--json").stdout)}
    assert {name: row["inferred"] for name, row in rows.items()} == {
        **dict.fromkeys(rows),
        "typed": {"domains": 2, "ranges": 3},
    }
    oracle = Oracle(graph.oracle.triples, 6, 4, graph.oracle.inferred(0.9))
    wanted = json.loads(json.dumps(oracle.statistics("typed")))
    assert {key: rows["typed"][key] for key in wanted} == wanted
    plain = {row["sampler"]: row for row in json.loads(pools(folder, "--json").stdout)}
    assert {**plain, "typed": None} == {**rows, "typed": None}
    assert plain["typed"]["mean"] < rows["typed"]["mean"]


def test_inference_makes_typed_applicable(tmp_path: Path, folder: str):
    (tmp_path / "graph/metadata/relation_domain_range.json").unlink()
    result = pools(folder, "--json")
    assert "typed is not applicable: graph has no domains and ranges; infer them from its classes" in result.stderr
    assert "typed" not in {row["sampler"] for row in json.loads(result.stdout)}
    result = pools(folder, "--infer-schema", "0.9", "--json")
    assert result.stderr == ""
    rows = {row["sampler"]: row for row in json.loads(result.stdout)}
    assert rows["typed"]["inferred"] == {"domains": 3, "ranges": 3}
    # without classes there is nothing to infer from
    (tmp_path / "graph/metadata/entity_classes.json").unlink()
    assert "typed is not applicable" in pools(folder, "--infer-schema", "0.9").stderr


@pytest.mark.parametrize("share", ["0", "-0.5", "1.5"])
def test_the_command_line_refuses_a_share_out_of_range(share: str, folder: str):
    result = pools(folder, "--infer-schema", share)
    assert result.exit_code == 2
    assert "is not in the range 0<x<=1" in result.stderr
