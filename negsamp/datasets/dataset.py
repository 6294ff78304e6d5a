"""A data set with its schema and a report of what is in it."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pykeen.datasets.base import EagerDataset
from pykeen.triples import TriplesFactory
from pykeen.typing import LongTensor

from negsamp.datasets.folder import (
    NEGATIVES,
    SPLITS,
    Folder,
    Negative,
    Triple,
    read_mapping,
    read_metadata,
    read_negatives,
    read_triples,
    stray_files,
)
from negsamp.datasets.report import describe
from negsamp.errors import InputError
from negsamp.ids import check_ids
from negsamp.io import digest, load_tensors, read_json, save_tensors, write_json
from negsamp.negatives import GivenNegatives
from negsamp.schema import Schema
from negsamp.triples import distinct

__all__ = ["SchemaDataset"]

_TENSORS, _LABELS, _REPORT = "dataset.safetensors", "labels.json", "report.json"


class SchemaDataset(EagerDataset):
    """A PyKEEN data set whose three factories know all names, with its schema and report.

    Each split holds distinct triples, as PyKEEN's own factories do. Triples with names that training lacks are kept;
    the report counts them.
    """

    training: TriplesFactory
    validation: TriplesFactory
    testing: TriplesFactory
    #: the name in results
    name: str
    #: None where nothing is known beside the triples
    schema: Schema | None
    #: negatives that are given with the data set, if any
    negatives: GivenNegatives | None
    #: the content of ``report.json``
    report: dict[str, Any]

    def __init__(
        self,
        *,
        name: str,
        splits: Mapping[str, LongTensor],
        entity_to_id: Mapping[str, int],
        relation_to_id: Mapping[str, int],
        schema: Schema | None,
        report: dict[str, Any],
        negatives: GivenNegatives | None = None,
    ) -> None:
        """Make the three factories.

        :param name: the name in results
        :param splits: ``training``, ``validation`` and ``testing``, distinct triples; shape of each: (num_triples, 3)
        :param entity_to_id: the ids of all entities, in their order
        :param relation_to_id: the ids of all relations, in their order
        :param schema: the schema, if there is one
        :param report: what :func:`negsamp.datasets.report.describe` found, and where the data come from
        :param negatives: negatives that are given with it, if any
        """
        factories = {
            split: TriplesFactory(splits[split], entity_to_id=entity_to_id, relation_to_id=relation_to_id)
            for split in SPLITS
        }
        super().__init__(**factories, metadata={"name": name})
        self.name = name
        self.schema = schema
        self.report = report
        self.negatives = negatives

    @property
    def archive(self) -> str | None:
        """The hash of the archive that the data set comes from; None: of none, or nobody tells."""
        found: str | None = self.report.get("archive")
        return found

    @classmethod
    def from_names(
        cls,
        name: str,
        triples: Mapping[str, Sequence[Triple]],
        *,
        mapping: tuple[Mapping[str, int], Mapping[str, int]] | None = None,
        metadata: Mapping[str, Mapping[str, Any]] | None = None,
        negatives: Sequence[Negative] | None = None,
        source: str,
        licence: str | None = None,
        archive: str | None = None,
        stray_files: Sequence[str] = (),
        place: str = "triples",
    ) -> SchemaDataset:
        """Build a data set from triples of names.

        :param name: the name in results
        :param triples: ``training``, ``validation`` and ``testing``, repeats included
        :param mapping: the ids of entities and of relations; None: the sorted names of all splits are numbered
        :param metadata: what :func:`negsamp.datasets.read_metadata` returns
        :param negatives: what :func:`negsamp.datasets.folder.read_negatives` returns
        :param source: provenance, for the report
        :param licence: None: unknown
        :param archive: the hash of the archive that the triples were read from
        :param stray_files: files that were ignored, for the report
        :param place: where the triples come from, for errors

        :raises InputError: if a name has no id
        """
        entity_to_id, relation_to_id = mapping or _number_names(triples)
        splits = {
            split: distinct(_map_lines(triples[split], entity_to_id, relation_to_id, f"{place}/{file}"))
            for split, file in SPLITS.items()
        }
        schema = None
        if metadata is not None:
            schema = Schema.from_names(
                **metadata,
                entity_to_id=entity_to_id,
                relation_to_id=relation_to_id,
                mapped_triples=splits["training"],
                place=f"{place}/metadata",
            )
            if not any(pairs.numel() for pairs in (schema.entity_classes, schema.domains, schema.ranges)):
                schema = None  # a hierarchy alone types nothing
        given = None
        if negatives is not None:
            given = GivenNegatives.from_names(
                negatives,
                entity_to_id=entity_to_id,
                relation_to_id=relation_to_id,
                mapped_triples=splits["training"],
                place=f"{place}/{NEGATIVES}",
            )
        report = {
            "dataset": name,
            "source": source,
            "licence": licence,
            "archive": archive,
            **describe(
                splits,
                {split: len(rows) for split, rows in triples.items()},
                schema,
                given,
                num_entities=len(entity_to_id),
                num_relations=len(relation_to_id),
                stray_files=stray_files,
            ),
        }
        return cls(
            name=name,
            splits=splits,
            entity_to_id=entity_to_id,
            relation_to_id=relation_to_id,
            schema=schema,
            report=report,
            negatives=given,
        )

    @classmethod
    def from_folder(
        cls, folder: Folder, name: str, *, source: str, licence: str | None = None, archive: str | None = None
    ) -> SchemaDataset:
        """Read a folder in the exchange format.

        :param folder: a folder on disk, or one inside an archive
        :param name: the name in results
        :param source: provenance, for the report
        :param licence: None: unknown
        :param archive: the hash of the archive

        :raises InputError: if the folder is not in the format
        """
        return cls.from_names(
            name,
            read_triples(folder),
            mapping=read_mapping(folder),
            metadata=read_metadata(folder),
            negatives=read_negatives(folder / NEGATIVES) if (folder / NEGATIVES).is_file() else None,
            source=source,
            licence=licence,
            archive=archive,
            stray_files=stray_files(folder),
            place=str(folder).rstrip("/"),
        )

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the data set in the form that every later stage reads.

        :param folder: gets ``dataset.safetensors``, ``labels.json`` (names in the order of their ids), ``report.json``
        """
        folder = Path(folder)
        labels = {"entities": list(self.entity_to_id), "relations": list(self.relation_to_id)}
        tensors = {split: getattr(self, split).mapped_triples for split in SPLITS}
        rest = None
        if self.schema is not None:
            schema_tensors, rest = self.schema.to_tensors()
            tensors.update({f"schema.{key}": tensor for key, tensor in schema_tensors.items()})
        identity = None
        if self.negatives is not None:
            tensors["negatives"], identity = self.negatives.rows, dict(self.negatives.identity)
        write_json(folder / _LABELS, labels)
        write_json(folder / _REPORT, self.report)
        metadata = {"name": self.name, "labels": digest(labels), "schema": rest, "negatives": identity}
        save_tensors(folder / _TENSORS, tensors, metadata)

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> SchemaDataset:
        """Read what :meth:`save` wrote.

        :raises InputError: if a file is missing or damaged, or they do not belong together
        """
        folder = Path(folder)
        tensors, rest = load_tensors(folder / _TENSORS)
        labels, report = read_json(folder / _LABELS), read_json(folder / _REPORT)
        if rest.get("labels") != digest(labels):
            raise InputError(
                f"{folder / _LABELS}: names other ids than {_TENSORS} beside it uses; rebuild the data set"
            )
        if not isinstance(report, dict):
            raise InputError(f"{folder / _REPORT}: no report of a data set; rebuild the data set")
        try:
            return cls._from_stored(tensors, rest, labels, report)
        except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise InputError(f"{folder / _TENSORS}: no stored data set ({reason}); rebuild the data set") from error

    @classmethod
    def _from_stored(
        cls, tensors: Mapping[str, torch.Tensor], rest: Mapping[str, Any], labels: Any, report: dict[str, Any]
    ) -> SchemaDataset:
        entities, relations = (_number(labels[kind]) for kind in ("entities", "relations"))
        for split in SPLITS:
            check_ids(split, tensors[split].T, len(entities), len(relations), len(entities))
            if not torch.equal(tensors[split], distinct(tensors[split])):
                raise ValueError(f"{split} is not in order")
        schema = None
        if rest["schema"] is not None:
            prefix = "schema."
            schema_tensors = {key.removeprefix(prefix): t for key, t in tensors.items() if key.startswith(prefix)}
            schema = Schema.from_tensors(schema_tensors, rest["schema"])
            if (schema.num_entities, schema.num_relations) != (len(entities), len(relations)):
                raise ValueError("the schema is of other entities or relations")
        negatives = None
        if rest["negatives"]:
            check_ids("negatives", tensors["negatives"], len(entities), len(relations), len(entities), 2)
            negatives = GivenNegatives(tensors["negatives"], dict(rest["negatives"]))
        return cls(
            name=str(rest["name"]),
            splits=tensors,
            entity_to_id=entities,
            relation_to_id=relations,
            schema=schema,
            report=report,
            negatives=negatives,
        )


def _number(names: Collection[str]) -> dict[str, int]:
    numbers = {name: i for i, name in enumerate(names)}
    if len(numbers) != len(names) or not all(isinstance(name, str) for name in numbers):
        raise ValueError("labels are no distinct names")
    return numbers


def _number_names(triples: Mapping[str, Sequence[Triple]]) -> tuple[dict[str, int], dict[str, int]]:
    entities: set[str] = set()
    relations: set[str] = set()
    for rows in triples.values():
        heads, names, tails = zip(*rows, strict=True)
        entities.update(heads, tails)
        relations.update(names)
    return _number(sorted(entities)), _number(sorted(relations))


def _map_lines(
    rows: Sequence[Triple], entity_to_id: Mapping[str, int], relation_to_id: Mapping[str, int], place: str
) -> LongTensor:
    ids = np.empty((len(rows), 3), dtype=np.int64)
    columns = zip(*rows, strict=True)
    for i, (column, to_id) in enumerate(zip(columns, (entity_to_id, relation_to_id, entity_to_id), strict=True)):
        # −1 where there is no id, so that the line can be named
        ids[:, i] = np.fromiter((to_id.get(name, -1) for name in column), dtype=np.int64, count=len(rows))
    unknown = np.argwhere(ids < 0)
    if len(unknown):
        line, column = unknown[0]
        kind = "relation" if column == 1 else "entity"
        raise InputError(
            f"{place} line {line + 1}: the {kind} {rows[line][column]!r} is not in mapping/{kind}_to_id.json; add it "
            "there, or delete mapping/"
        )
    return torch.from_numpy(ids)
