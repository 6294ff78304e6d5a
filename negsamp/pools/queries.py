"""What is asked of a pool."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from pykeen.typing import LongTensor

from negsamp.kernels import ask_both_sides
from negsamp.triples import TAIL, TripleSet, take

__all__ = ["Queries"]


@dataclass(frozen=True, eq=False)
class Queries:
    """What stays, and what is to be replaced; shape of each tensor: (num_queries,)."""

    triples: TripleSet
    #: the entities that stay
    anchors: LongTensor
    relations: LongTensor
    sides: LongTensor
    #: the entities to be replaced
    replaced: LongTensor
    #: the positions of the queries in :meth:`negsamp.triples.TripleSet.completions`; None: not all of them are known to
    #: be training triples
    completions: LongTensor | None = None

    @classmethod
    def of_triples(cls, triples: TripleSet, positives: LongTensor) -> Queries:
        """Ask for both sides of some triples: query 2i for the head of triple i, 2i + 1 for its tail.

        :param positives: shape: (batch_size, 3), without artificial inverses
        """
        anchors, relations, sides, replaced, completions = ask_both_sides(triples, positives)
        are_known = bool((completions >= 0).all())
        return cls(triples, anchors, relations, sides, replaced, completions if are_known else None)

    @classmethod
    def of_pairs(cls, triples: TripleSet, keys: LongTensor) -> Queries:
        """Ask for pairs, of pools that do not depend on what is replaced."""
        return cls(triples, *triples.unpair(keys), replaced=keys)

    @classmethod
    def of_completions(cls, triples: TripleSet, completions: LongTensor) -> Queries:
        """Ask for some of :meth:`negsamp.triples.TripleSet.completions`."""
        sides = (completions >= len(triples.triples)).long()
        heads, relations, tails = triples.triples[completions - sides * len(triples.triples)].unbind(dim=-1)
        is_tail = sides == TAIL
        anchors, replaced = torch.where(is_tail, heads, tails), torch.where(is_tail, tails, heads)
        return cls(triples, anchors, relations, sides, replaced, completions)

    @property
    def are_known(self) -> bool:
        """Whether all of them are known to be training triples."""
        return self.completions is not None

    def some(self, which: LongTensor) -> Queries:
        """Pick the queries at these positions."""
        columns = (self.anchors, self.relations, self.sides, self.replaced)
        completions = None if self.completions is None else take(self.completions, which)
        anchors, relations, sides, replaced = (take(column, which) for column in columns)
        return Queries(self.triples, anchors, relations, sides, replaced, completions)

    @cached_property
    def keys(self) -> LongTensor:
        """The pair keys."""
        return self.triples.pair_keys(self.anchors, self.relations, self.sides)

    @cached_property
    def completion_keys(self) -> LongTensor:
        """The keys of pair and replaced entity."""
        return self.triples.completion_keys(self.keys, self.replaced)
