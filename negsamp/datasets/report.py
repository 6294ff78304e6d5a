"""What a data set holds, and what is odd in it: reported, never repaired in silence."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from pykeen.typing import BoolTensor, LongTensor
from scipy import sparse

from negsamp.negatives import GivenNegatives
from negsamp.schema import Schema
from negsamp.triples import find

__all__ = ["count_near_inverses", "describe"]

#: relations are near inverses if each has more than this share of its pairs reversed in the other [akrami2020]_
NEAR_INVERSE_SHARE = 0.8


def describe(
    splits: Mapping[str, LongTensor],
    lines: Mapping[str, int],
    schema: Schema | None,
    negatives: GivenNegatives | None = None,
    *,
    num_entities: int,
    num_relations: int,
    stray_files: Sequence[str] = (),
) -> dict[str, Any]:
    """Count a data set, and put into words what is odd in it.

    Unseen names and leaks are counted over distinct triples, since these are what an evaluation ranks.

    :param splits: ``training``, ``validation`` and ``testing``; shape of each: (num_triples, 3), distinct, in
        lexicographic order
    :param lines: how many lines each split was given as, repeats included
    :param schema: the schema, if there is one
    :param negatives: the negatives that are given, if any
    :param num_entities: the number of entities that have an id
    :param num_relations: the number of relations that have an id
    :param stray_files: files that were found but are not part of the format

    :returns: the part of ``report.json`` that follows from the content
    """
    training = splits["training"]
    entity_seen = _mark(training[:, [0, 2]], num_entities)
    relation_seen = _mark(training[:, 1], num_relations)
    keys = {split: _keys(rows, num_entities, num_relations) for split, rows in splits.items()}
    pairs = [("training", "validation"), ("training", "testing"), ("validation", "testing")]
    content: dict[str, Any] = {
        "entities": num_entities,
        "relations": num_relations,
        "splits": {
            split: {
                "lines": lines[split],
                "distinct": len(rows),
                "unseen": int((~(entity_seen[rows[:, [0, 2]]].all(dim=-1) & relation_seen[rows[:, 1]])).sum()),
            }
            for split, rows in splits.items()
        },
        "leaks": {f"{first}_{second}": int((find(keys[first], keys[second]) >= 0).sum()) for first, second in pairs},
        **_describe_schema(schema),
    }
    entity_used = _mark(torch.cat(list(splits.values()))[:, [0, 2]], num_entities)
    near_inverses = count_near_inverses(training, num_entities, num_relations)
    notes = [
        *_notes(content, near_inverses, int((~entity_used).sum())),
        *_schema_notes(schema),
        *_negatives_notes(negatives, keys, num_entities, num_relations),
    ]
    if stray_files:
        notes.append(f"ignored, not part of the format: {', '.join(stray_files)}")
    return {**content, "notes": notes}


def _keys(rows: LongTensor, num_entities: int, num_relations: int) -> LongTensor:
    heads, relations, tails = rows.unbind(dim=-1)
    return (heads * num_relations + relations) * num_entities + tails


def _mark(ids: LongTensor, count: int) -> BoolTensor:
    """Tell which of 0 to count − 1 are among the ids; shape: (count,)."""
    marks = torch.zeros(count, dtype=torch.bool)
    marks[ids] = True
    return marks


def _describe_schema(schema: Schema | None) -> dict[str, int]:
    if schema is None:
        names = ("classes", "typed_entities", "domains", "ranges", "domains_and_ranges", "superclass_pairs")
        return dict.fromkeys(names, 0)
    has_class = _mark(schema.entity_classes[0], schema.num_entities)
    has_domain = _mark(schema.domains[0], schema.num_relations)
    has_range = _mark(schema.ranges[0], schema.num_relations)
    return {
        "classes": len(schema.classes),
        "typed_entities": int(has_class.sum()),
        "domains": int(has_domain.sum()),
        "ranges": int(has_range.sum()),
        "domains_and_ranges": int((has_domain & has_range).sum()),
        "superclass_pairs": schema.superclasses.shape[1],
    }


def count_near_inverses(triples: LongTensor, num_entities: int, num_relations: int) -> int:
    """Count the relations that another nearly reverses: test answers may stand in training, turned round [akrami2020]_.

    :param triples: shape: (num_triples, 3), distinct
    :param num_entities: the number of entities
    :param num_relations: the number of relations

    :returns: how many relations have such a partner; a symmetric relation is not its own partner
    """
    heads, relations, tails = triples.T.numpy()
    pairs = np.concatenate([heads * num_entities + tails, tails * num_entities + heads])
    names, columns = np.unique(pairs, return_inverse=True)
    ones = np.ones(len(triples), dtype=np.int64)
    forward, backward = (
        sparse.csr_array((ones, (relations, half)), shape=(num_relations, len(names))) for half in np.split(columns, 2)
    )
    shared = (forward @ backward.T).tocoo()
    first, second = shared.coords
    sizes = np.bincount(relations, minlength=num_relations)
    larger = np.maximum(sizes[first], sizes[second])
    near = (first != second) & (shared.data > NEAR_INVERSE_SHARE * larger)
    return len(np.unique(first[near]))


def _notes(content: Mapping[str, Any], near_inverses: int, idle: int) -> Iterator[str]:
    for split, counts in content["splits"].items():
        if repeats := counts["lines"] - counts["distinct"]:
            yield f"{repeats} duplicate lines in {split}"
        if counts["unseen"]:
            yield f"{counts['unseen']} triples of {split} hold an entity or a relation that is not in training"
    for pair, leaked in content["leaks"].items():
        if leaked:
            earlier, later = pair.split("_")
            yield f"{leaked} of {content['splits'][later]['distinct']} triples of {later} also stand in {earlier}"
    if near_inverses:
        yield (
            f"{near_inverses} of {content['relations']} relations have a near inverse in training (more than "
            f"{NEAR_INVERSE_SHARE:.0%} of the pairs of both)"
        )
    if idle:
        yield f"{idle} of {content['entities']} entities are in no triple"
    if content["typed_entities"] and (untyped := content["entities"] - content["typed_entities"]):
        yield f"{untyped} of {content['entities']} entities have no class"
    if content["domains"] or content["ranges"]:
        for side in ("domain", "range"):
            if missing := content["relations"] - content[f"{side}s"]:
                yield f"{missing} of {content['relations']} relations have no {side}"


def _schema_notes(schema: Schema | None) -> Iterator[str]:
    if schema is None:
        return
    has_members = torch.as_tensor(schema.members().sum(axis=1) > 0)
    if idle := int((~has_members).sum()):
        yield f"{idle} of {len(schema.classes)} classes have no entity"
    for names in schema.cycles():
        yield f"the class hierarchy has a cycle through {', '.join(names)}"
    if len(schema.inferred):
        ranges = int((schema.inferred % 2).sum())
        yield f"{len(schema.inferred) - ranges} domains and {ranges} ranges are inferred"


def _negatives_notes(
    negatives: GivenNegatives | None, keys: Mapping[str, LongTensor], num_entities: int, num_relations: int
) -> Iterator[str]:
    if negatives is not None:
        given = _keys(negatives.triples, num_entities, num_relations)
        stand = [f"{int((find(known, given) >= 0).sum())} stand in {split}" for split, known in keys.items()]
        yield f"{len(given)} negatives are given, of which {', '.join(stand)}"
