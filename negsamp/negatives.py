"""Negatives that a user knows and gives."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from pykeen.typing import LongTensor

from negsamp.errors import InputError
from negsamp.triples import HEAD, TAIL, TripleSet

if TYPE_CHECKING:
    from pykeen.triples import TriplesFactory

__all__ = ["GivenNegatives", "resolve_negatives"]

_SIDES = {"head": HEAD, "tail": TAIL}


@dataclass(frozen=True, eq=False)
class GivenNegatives:
    """Which entities are known to complete a pair to a false triple, by the ids of one set of training triples."""

    #: shape: (4, num_negatives), distinct: anchor, relation, candidate, and the side that the candidate replaces
    rows: LongTensor
    #: :attr:`negsamp.triples.TripleSet.identity` of the training triples
    identity: Mapping[str, int | str]

    @classmethod
    def from_names(
        cls,
        negatives: Iterable[Sequence[str]],
        *,
        entity_to_id: Mapping[str, int],
        relation_to_id: Mapping[str, int],
        mapped_triples: LongTensor,
        place: str = "negatives",
    ) -> GivenNegatives:
        """Build negatives from names.

        :param negatives: the entity that stays, the relation, the candidate, and its side, ``"head"`` or ``"tail"``
        :param entity_to_id: the ids of all entities
        :param relation_to_id: the ids of all relations
        :param mapped_triples: shape: (num_triples, 3), the training triples that use these ids
        :param place: where the names come from, for errors

        :raises InputError: if a name has no id
        """
        ids = []
        for number, (anchor, relation, candidate, side) in enumerate(negatives, start=1):
            if side not in _SIDES:
                raise InputError(f"{place} line {number}: the side is {side!r}; it must be head or tail")
            try:
                ids.append((entity_to_id[anchor], relation_to_id[relation], entity_to_id[candidate], _SIDES[side]))
            except KeyError as error:
                raise InputError(
                    f"{place} line {number}: {error.args[0]!r} is in no triple and in no mapping; remove or rename it"
                ) from error
        rows: LongTensor = torch.unique(torch.as_tensor(ids, dtype=torch.long).reshape(-1, 4).T, dim=1)
        return cls(rows, TripleSet(mapped_triples, len(entity_to_id), len(relation_to_id)).identity)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], triples_factory: TriplesFactory) -> GivenNegatives:
        """Read negatives by name with the ids of a triples factory.

        Each line of the file holds, separated by tabs, the entity that stays (the head; for a candidate head, the
        tail), the relation, the candidate, and its side, ``head`` or ``tail``.

        :param path: the file
        :param triples_factory: the *training* triples; its labels give the ids

        :raises InputError: if a line is not of this form, or a name has no id
        """
        from negsamp.datasets.folder import read_negatives

        return cls.from_names(
            read_negatives(Path(path)),
            entity_to_id=triples_factory.entity_to_id,
            relation_to_id=triples_factory.relation_to_id,
            mapped_triples=triples_factory.mapped_triples,
            place=str(path),
        )

    @property
    def triples(self) -> LongTensor:
        """The false triples; shape: (num_negatives, 3)."""
        anchors, relations, candidates, sides = self.rows
        heads, tails = torch.where(sides == TAIL, anchors, candidates), torch.where(sides == TAIL, candidates, anchors)
        return torch.stack([heads, relations, tails], dim=-1)


def resolve_negatives(negatives: GivenNegatives | str | os.PathLike[str], triples: TripleSet) -> GivenNegatives:
    """Return negatives that belong to some triples, from themselves or from the ``negatives.tsv`` of a data-set folder.

    A folder numbers names by its ``mapping/``, or by the sorted names of its splits.

    :raises InputError: if the file or its folder cannot be read, or the negatives belong to other triples
    """
    if isinstance(negatives, str | os.PathLike):
        from negsamp.datasets import SchemaDataset

        path = Path(negatives)
        folder = path if path.is_dir() else path.parent
        dataset = SchemaDataset.from_folder(folder, folder.name, source=str(folder))
        negatives = GivenNegatives.from_file(folder / "negatives.tsv" if path.is_dir() else path, dataset.training)
    if negatives.identity != triples.identity:
        raise InputError(
            f"the negatives belong to other triples ({dict(negatives.identity)}, not {triples.identity}); read them "
            "with GivenNegatives.from_file(path, training)"
        )
    return negatives
