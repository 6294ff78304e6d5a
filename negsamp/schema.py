"""What is known of a graph beside its triples: classes of entities, domains and ranges of relations, a hierarchy."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from pykeen.typing import LongTensor
from scipy import sparse

from negsamp.errors import InputError
from negsamp.ids import check_ids
from negsamp.triples import HEAD, TAIL, TripleSet, triples_digest

if TYPE_CHECKING:
    from pykeen.triples import TriplesFactory

__all__ = ["Schema", "narrower_classes", "resolve_schema"]

#: how the exchange format writes a missing domain or range
MISSING = "None"


@dataclass(frozen=True, eq=False)
class Schema:
    """Classes, domains and ranges by id, bound to the ids of one set of training triples.

    Each of the four relations below is kept as pairs of ids, shape ``(2, num_pairs)``, distinct and in order.
    """

    num_entities: int
    num_relations: int
    #: class names; a class id is a position here
    classes: tuple[str, ...]
    #: entity and class
    entity_classes: LongTensor
    #: relation and class its heads belong to
    domains: LongTensor
    #: relation and class its tails belong to
    ranges: LongTensor
    #: class and superclass
    superclasses: LongTensor
    #: :func:`negsamp.triples.triples_digest` of the training triples whose ids are used
    triples_digest: str
    #: shape: (num_inferred,), ascending: 2r where the domain of r is inferred, 2r + 1 where its range is
    inferred: LongTensor = field(default_factory=lambda: torch.empty(0, dtype=torch.long))

    @classmethod
    def from_names(
        cls,
        *,
        entity_classes: Mapping[str, Sequence[str]],
        domain_range: Mapping[str, Mapping[str, str | Sequence[str]]],
        subclass_of: Mapping[str, Sequence[str]],
        entity_to_id: Mapping[str, int],
        relation_to_id: Mapping[str, int],
        mapped_triples: LongTensor,
        place: str = "schema",
    ) -> Schema:
        """Build a schema from names, as the exchange format gives them.

        :param entity_classes: entity → classes
        :param domain_range: relation → ``{"domain": class, "range": class}``; ``"None"`` or nothing marks a missing
            one, a list of classes means their union; ``"inferred": ["domain", "range"]`` names what
            :meth:`infer_domains_and_ranges` has found
        :param subclass_of: class → superclasses
        :param entity_to_id: the ids of all entities
        :param relation_to_id: the ids of all relations
        :param mapped_triples: shape: (num_triples, 3), the training triples that use these ids
        :param place: where the names come from, for errors

        :raises InputError: if an entity or a relation has no id
        """
        typed = [(entity, name) for entity, names in entity_classes.items() for name in names]
        sides = {
            side: [
                (relation, name)
                for relation, entry in domain_range.items()
                for name in _as_list(entry.get(side) or MISSING)
                if name != MISSING
            ]
            for side in ("domain", "range")
        }
        sub = [(name, parent) for name, parents in subclass_of.items() for parent in parents]
        names = {name for pairs in (typed, *sides.values()) for _, name in pairs}
        classes = tuple(sorted(names.union(*sub) if sub else names))
        class_to_id = {name: i for i, name in enumerate(classes)}

        def ids(pairs: Iterable[tuple[str, str]], first: Mapping[str, int], file: str) -> LongTensor:
            try:
                rows = sorted({(first[a], class_to_id[b]) for a, b in pairs})
            except KeyError as error:
                raise InputError(
                    f"{place}/{file}: {error.args[0]!r} is in no triple and in no mapping; remove or rename it"
                ) from error
            return torch.as_tensor(rows, dtype=torch.long).reshape(-1, 2).T.contiguous()

        linked = [ids(sides[side], relation_to_id, "relation_domain_range.json") for side in ("domain", "range")]
        # a mark says nothing of a side that has no class
        marks = {
            2 * relation_to_id[relation] + number
            for number, side in enumerate(("domain", "range"))
            for relation, _ in sides[side]
            if side in domain_range[relation].get("inferred", ())
        }
        return cls(
            num_entities=len(entity_to_id),
            num_relations=len(relation_to_id),
            classes=classes,
            entity_classes=ids(typed, entity_to_id, "entity_classes.json"),
            domains=linked[0],
            ranges=linked[1],
            superclasses=ids(sub, class_to_id, "subclass_of.json"),
            triples_digest=triples_digest(mapped_triples),
            inferred=torch.as_tensor(sorted(marks), dtype=torch.long),
        )

    @classmethod
    def from_folder(cls, path: str | os.PathLike[str], triples_factory: TriplesFactory) -> Schema:
        """Read the ``metadata/`` of a data-set folder with the ids of a triples factory.

        :param path: the folder, in the exchange format
        :param triples_factory: the *training* triples; its labels give the ids

        :raises InputError: if there is no metadata, or it names what the factory does not know
        """
        from negsamp.datasets.folder import read_metadata

        metadata = read_metadata(Path(path))
        if metadata is None:
            raise InputError(f"{path}: no metadata/ folder; samplers that need a schema cannot be used on this graph")
        return cls.from_names(
            **metadata,
            entity_to_id=triples_factory.entity_to_id,
            relation_to_id=triples_factory.relation_to_id,
            mapped_triples=triples_factory.mapped_triples,
            place=f"{path}/metadata",
        )

    @property
    def has_classes(self) -> bool:
        """Whether any entity has a class."""
        return self.entity_classes.shape[1] > 0

    @property
    def has_domains_and_ranges(self) -> bool:
        """Whether any relation has a domain or a range."""
        return self.domains.shape[1] > 0 or self.ranges.shape[1] > 0

    def check(self, triples: TripleSet) -> None:
        """Refuse other triples than the schema was built for: ids that differ would give wrong pools silently.

        :param triples: the graph that is sampled from

        :raises InputError: if the counts or the digests differ
        """
        given = tuple(triples.identity.values())
        own = (self.num_entities, self.num_relations, self.triples_digest)
        if own != given:
            raise InputError(
                "the schema belongs to other triples: it has {} entities, {} relations, digest {}, "
                "the sampler {}, {}, {}; build it with Schema.from_folder(path, training)".format(*own, *given)
            )

    def membership(self) -> sparse.csr_array:
        """Return which entity has which class, as listed; shape: (num_entities, num_classes), boolean."""
        return _incidence(self.entity_classes, (self.num_entities, len(self.classes)))

    def ancestors(self, distance: int | None = None) -> sparse.csr_array:
        """Return which class has which ancestor, itself included; shape: (num_classes, num_classes), boolean.

        :param distance: how many steps up at most; None: all of them. A cycle ends where it closes.
        """
        count = len(self.classes)
        reached = sparse.eye_array(count, dtype=bool, format="csr")
        step = (reached + _incidence(self.superclasses, (count, count))).astype(bool)
        for _ in range(count if distance is None else distance):
            further = (reached.astype(np.int32) @ step.astype(np.int32)).astype(bool)
            if further.nnz == reached.nnz:
                break
            reached = further
        return reached

    def cycles(self) -> list[list[str]]:
        """Return the classes that are their own ancestors, those of one cycle together; each in alphabetical order."""
        count = len(self.classes)
        pairs = _incidence(self.superclasses, (count, count))
        _, labels = sparse.csgraph.connected_components(pairs, connection="strong")
        own_parents = set(pairs.diagonal().nonzero()[0].tolist())
        members: dict[int, list[str]] = {}
        for number, label in enumerate(labels.tolist()):
            members.setdefault(label, []).append(self.classes[number])
        return [names for names in members.values() if len(names) > 1 or self.classes.index(names[0]) in own_parents]

    def infer_domains_and_ranges(self, triples: TripleSet, share: float) -> Schema:
        """Fill in the domains and ranges that are not declared, from the classes of the entities that relations link.

        The domain of a relation becomes the class whose members, those of descendants included, are at least the given
        share of the relation's distinct heads; the range likewise by tails. Of several such classes, one is left out if
        another has strictly fewer members that are all among its own; the rest mean their union. Where no class covers
        so much, nothing is filled in.

        :param triples: the graph
        :param share: above 0 and at most 1

        :returns: the schema with what was found, marked as :attr:`inferred`

        :raises ValueError: if there is no such share, or the schema belongs to other triples
        """
        if not 0 < share <= 1:
            raise ValueError(f"infer_schema is {share}; it must be a share above 0 and at most 1")
        self.check(triples)
        _, relations, sides, entities = triples.completions()
        seen = _incidence(torch.stack([2 * relations + sides, entities]), (2 * self.num_relations, self.num_entities))
        members = self.members()
        covered = (seen.astype(np.int32) @ members.T.astype(np.int32)).tocsr()
        covered.data = (covered.data / np.repeat(seen.sum(axis=1), np.diff(covered.indptr)) >= share).astype(np.int32)
        covered.eliminate_zeros()
        dropped = (covered @ narrower_classes(members)).astype(bool)
        row, column = (covered.astype(bool) > covered.multiply(dropped).astype(bool)).nonzero()
        is_missing = np.diff(self.relation_classes().indptr) == 0
        row, column = (torch.as_tensor(ids[is_missing[row]], dtype=torch.long) for ids in (row, column))
        new = torch.stack([row // 2, column])
        return replace(
            self,
            domains=_merge(self.domains, new[:, row % 2 == HEAD]),
            ranges=_merge(self.ranges, new[:, row % 2 == TAIL]),
            inferred=torch.unique(torch.cat([self.inferred, row])),
        )

    def height(self) -> int:
        """Return the largest number of steps in which a class gains ancestors."""
        steps = 0
        while self.ancestors(steps + 1).nnz > self.ancestors(steps).nnz:
            steps += 1
        return steps

    def members(self) -> sparse.csr_array:
        """Return which class has which member, those of its descendants included.

        :returns: shape: (num_classes, num_entities), boolean
        """
        listed = self.membership().astype(np.int32)
        return (listed @ self.ancestors().astype(np.int32)).astype(bool).T.tocsr()

    def relation_classes(self) -> sparse.csr_array:
        """Return the classes of each relation and side; row 2r: the domain of r, row 2r + 1: its range.

        :returns: shape: (2 * num_relations, num_classes), boolean
        """
        rows = torch.cat([2 * self.domains[0], 2 * self.ranges[0] + 1])
        columns = torch.cat([self.domains[1], self.ranges[1]])
        return _incidence(torch.stack([rows, columns]), (2 * self.num_relations, len(self.classes)))

    def to_tensors(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """Return what is stored: tensors, and a JSON-able description of the rest."""
        names = ("entity_classes", "domains", "ranges", "superclasses", "inferred")
        tensors = {name: getattr(self, name) for name in names}
        rest = {name: getattr(self, name) for name in ("num_entities", "num_relations", "classes", "triples_digest")}
        return tensors, rest

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, torch.Tensor], rest: Mapping[str, Any]) -> Schema:
        """Undo :meth:`to_tensors`.

        :raises KeyError: if something is missing
        :raises TypeError: if something is too much
        :raises ValueError: if ids are out of range
        """
        fields: dict[str, Any] = {**tensors, **rest, "classes": tuple(rest["classes"])}
        schema = cls(**fields)
        classes = len(schema.classes)
        if len(set(schema.classes)) != classes or not all(isinstance(name, str) for name in schema.classes):
            raise ValueError("classes are no distinct names")
        check_ids("entity_classes", schema.entity_classes, schema.num_entities, classes)
        check_ids("domains", schema.domains, schema.num_relations, classes)
        check_ids("ranges", schema.ranges, schema.num_relations, classes)
        check_ids("superclasses", schema.superclasses, classes, classes)
        check_ids("inferred", schema.inferred[None], 2 * schema.num_relations)
        return schema


def resolve_schema(schema: Schema | str | os.PathLike[str] | None, triples: TripleSet) -> Schema | None:
    """Return a schema that belongs to some triples, from itself, or from a data set by name or folder.

    A folder numbers names by its ``mapping/``, or by the sorted names of its splits.

    :raises InputError: if there is no such data set, it types nothing, or the schema belongs to other triples
    """
    if isinstance(schema, str | os.PathLike):
        from negsamp.datasets import load_dataset

        found = load_dataset(os.fspath(schema)).schema
        if found is None:
            raise InputError(f"{schema}: no metadata/ that types anything; add it, or leave out schema")
        schema = found
    if schema is not None:
        schema.check(triples)
    return schema


def narrower_classes(members: sparse.csr_array) -> sparse.csr_array:
    """Tell for which classes another is more specific: one with strictly fewer members, all of them shared.

    :param members: shape: (num_classes, num_entities), boolean

    :returns: shape: (num_classes, num_classes), 1 in row c and column d where class c is more specific than d
    """
    counts = members.astype(np.int32)
    common = (counts @ counts.T).tocoo()
    sizes = counts.sum(axis=1)
    row, column = common.coords
    inside = (common.data == sizes[row]) & (sizes[row] < sizes[column])
    return sparse.csr_array((np.ones(inside.sum(), dtype=np.int32), (row[inside], column[inside])), shape=common.shape)


def _merge(pairs: LongTensor, more: LongTensor) -> LongTensor:
    merged: LongTensor = torch.unique(torch.cat([pairs, more], dim=1), dim=1)
    return merged


def _as_list(value: str | Sequence[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _incidence(pairs: LongTensor, shape: tuple[int, int]) -> sparse.csr_array:
    rows, columns = pairs.numpy()
    return sparse.csr_array((np.ones(len(rows), dtype=bool), (rows, columns)), shape=shape)
