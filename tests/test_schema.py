"""The schema: read from names, bound to its triples, classes and their members as defined."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from graphs import CLASSES, Graph, graph_named, graph_of, package_schema, plain_schema, random_graphs
from hypothesis import given, settings
from oracles import PlainSchema
from pykeen.triples import TriplesFactory

from negsamp.errors import InputError
from negsamp.schema import Schema
from negsamp.triples import TripleSet

LABELED = np.array([["ann", "knows", "bob"], ["ann", "born_in", "rome"], ["bob", "born_in", "oslo"]])
METADATA: dict[str, Any] = {
    "entity_classes.json": {"ann": ["Artist", "Person"], "bob": ["Person"], "rome": ["City"], "oslo": []},
    "relation_domain_range.json": {
        "knows": {"domain": "Person", "range": "None"},
        "born_in": {"domain": ["Person", "Animal"], "range": ["City", "None"]},
    },
    "subclass_of.json": {"Artist": ["Person"], "City": ["Place"]},
}


@pytest.fixture
def factory() -> TriplesFactory:
    return TriplesFactory.from_labeled_triples(LABELED)


def write_metadata(folder: Path, **changes: Any) -> Path:
    (folder / "metadata").mkdir()
    for name, content in {**METADATA, **changes}.items():
        if content is not None:
            (folder / "metadata" / name).write_text(json.dumps(content))
    return folder


def names_of(schema: Schema, pairs: torch.Tensor, factory: TriplesFactory, *, relation: bool = False) -> set:
    labels = factory.relation_id_to_label if relation else factory.entity_id_to_label
    return {(labels[first], schema.classes[second]) for first, second in pairs.T.tolist()}


def test_a_folder_is_read_with_the_ids_of_the_factory(factory: TriplesFactory, tmp_path: Path):
    schema = Schema.from_folder(write_metadata(tmp_path), factory)
    assert schema.classes == ("Animal", "Artist", "City", "Person", "Place")
    assert (schema.num_entities, schema.num_relations) == (4, 2)
    entity_classes = {("ann", "Artist"), ("ann", "Person"), ("bob", "Person"), ("rome", "City")}
    assert names_of(schema, schema.entity_classes, factory) == entity_classes
    domains = {("knows", "Person"), ("born_in", "Person"), ("born_in", "Animal")}
    assert names_of(schema, schema.domains, factory, relation=True) == domains
    assert names_of(schema, schema.ranges, factory, relation=True) == {("born_in", "City")}
    superclasses = [(schema.classes[a], schema.classes[b]) for a, b in schema.superclasses.T.tolist()]
    assert superclasses == [("Artist", "Person"), ("City", "Place")]
    assert schema.has_classes
    assert schema.has_domains_and_ranges
    schema.check(TripleSet(factory.mapped_triples, 4, 2))


@pytest.mark.parametrize(
    ("file", "has_classes", "has_domains_and_ranges"),
    [
        ("entity_classes.json", False, True),
        ("relation_domain_range.json", True, False),
        ("subclass_of.json", True, True),
    ],
)
def test_each_file_may_be_absent(
    file: str, has_classes: bool, has_domains_and_ranges: bool, factory: TriplesFactory, tmp_path: Path
):
    schema = Schema.from_folder(write_metadata(tmp_path, **{file: None}), factory)
    assert schema.has_classes == has_classes
    assert schema.has_domains_and_ranges == has_domains_and_ranges


def test_a_folder_without_metadata_is_refused(factory: TriplesFactory, tmp_path: Path):
    with pytest.raises(InputError, match=r"no metadata/ folder; samplers that need a schema cannot be used"):
        Schema.from_folder(tmp_path, factory)


@pytest.mark.parametrize(
    ("file", "content", "name"),
    [
        ("entity_classes.json", {"zoe": ["Person"]}, "zoe"),
        ("relation_domain_range.json", {"likes": {"domain": "Person", "range": "None"}}, "likes"),
        ("relation_domain_range.json", {"likes": {"domain": "None", "range": ["City"]}}, "likes"),
    ],
)
def test_a_name_without_an_id_is_refused(file: str, content: Any, name: str, factory: TriplesFactory, tmp_path: Path):
    write_metadata(tmp_path, **{file: content})
    with pytest.raises(InputError, match=rf"metadata/{file}: '{name}' is in no triple and in no mapping; remove or"):
        Schema.from_folder(tmp_path, factory)


def test_inverse_triples_change_no_schema(tmp_path: Path):
    write_metadata(tmp_path)
    plain, doubled = (
        Schema.from_folder(tmp_path, TriplesFactory.from_labeled_triples(LABELED, create_inverse_triples=inverse))
        for inverse in (False, True)
    )
    assert plain.num_relations == doubled.num_relations == 2
    assert plain.triples_digest == doubled.triples_digest


def test_other_triples_are_refused():
    graph, lines = graph_named("nations"), graph_named("nations").lines
    graph.schema.check(TripleSet(lines, 14, 55))
    graph.schema.check(TripleSet(lines.flip(0), 14, 55))
    for other in ((lines, 15, 55), (lines, 14, 54), (lines[1:], 14, 55)):
        with pytest.raises(
            ValueError, match=r"the schema belongs to other triples: it has 14 entities, 55 relations, digest"
        ):
            graph.schema.check(TripleSet(*other))


def test_the_same_names_with_other_ids_are_refused():
    graph = graph_named("nations")
    swapped = graph.lines.clone()
    swapped[graph.lines == 0], swapped[graph.lines == 1] = 1, 0
    with pytest.raises(ValueError, match="the schema belongs to other triples"):
        graph.schema.check(TripleSet(swapped, 14, 55))


@given(graph=random_graphs())
@settings(deadline=None)
def test_names_come_back_as_they_went_in(graph: Graph):
    def filled(groups: dict) -> dict:
        return {key: names for key, names in groups.items() if names}

    found = plain_schema(graph.schema)
    assert found == PlainSchema(
        filled(graph.plain.entity_classes),
        filled(graph.plain.domains),
        filled(graph.plain.ranges),
        filled(graph.plain.superclasses),
    )


@given(graph=random_graphs())
@settings(deadline=None)
def test_tensors_come_back_as_they_went_in(graph: Graph):
    tensors, rest = graph.schema.to_tensors()
    again = Schema.from_tensors(tensors, json.loads(json.dumps(rest)))
    assert again.classes == graph.schema.classes
    assert plain_schema(again) == plain_schema(graph.schema)
    again.check(graph.triples)


def pairs(matrix: Any) -> set[tuple[int, int]]:
    assert matrix.dtype == bool
    return set(zip(*(index.tolist() for index in matrix.nonzero()), strict=True))


@given(graph=random_graphs())
@settings(deadline=None, max_examples=200)
def test_classes_reach_their_ancestors_and_members_as_defined(graph: Graph):
    schema, oracle = graph.schema, graph.oracle
    numbers = {name: i for i, name in enumerate(schema.classes)}
    for distance in (0, 1, 2, 3):
        wanted = {(i, numbers[a]) for name, i in numbers.items() for a in oracle.ancestors({name}, distance)}
        assert pairs(schema.ancestors(distance)) == wanted
    wanted = {(i, numbers[a]) for name, i in numbers.items() for a in oracle.ancestors({name}, len(CLASSES))}
    assert pairs(schema.ancestors()) == wanted
    listed = {(entity, numbers[name]) for name in numbers for entity in oracle.listed(name)}
    assert pairs(schema.membership()) == listed
    assert pairs(schema.members()) == {(i, entity) for name, i in numbers.items() for entity in oracle.members({name})}
    assert pairs(schema.relation_classes()) == {
        (2 * r + number, numbers[name])
        for r in range(graph.num_relations)
        for number, side in enumerate(("head", "tail"))
        for name in oracle.domain_or_range(r, side)
    }
    gains = [
        distance
        for distance in range(1, len(CLASSES) + 1)
        if any(oracle.ancestors({c}, distance) > oracle.ancestors({c}, distance - 1) for c in numbers)
    ]
    assert schema.height() == max(gains, default=0)


def test_a_cycle_of_classes_ends():
    graph = graph_of({(0, 0, 1)}, num_entities=2, num_relations=1)
    plain = PlainSchema(entity_classes={0: {"a"}, 1: {"c"}}, superclasses={"a": {"b"}, "b": {"c"}, "c": {"a"}})
    schema = package_schema(plain, graph.lines, 2, 1)
    assert schema.height() == 2
    assert schema.members().toarray().all()


def test_an_empty_schema_is_a_schema():
    graph = graph_of({(0, 0, 1)}, num_entities=2, num_relations=1)
    schema = package_schema(PlainSchema(), graph.lines, 2, 1)
    assert not schema.has_classes
    assert not schema.has_domains_and_ranges
    assert schema.height() == 0
    for name in ("typed", "typedbyclass"):
        sampler = graph.sampler(name, schema=schema, fallback="semantic")
        assert not sampler.pools.lengths.any()
        assert sampler.sample(graph.lines)[1] is None
