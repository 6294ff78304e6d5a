"""A pool with its exclusions: the one draw."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from pykeen.typing import LongTensor

from negsamp.pools.exclusions import Exclusions
from negsamp.pools.spans import Pools, bisect, take
from negsamp.triples import TripleSet

__all__ = ["Queries", "Stage"]

#: a rank that no draw reaches
NEVER = torch.iinfo(torch.long).max


@dataclass(frozen=True, eq=False)
class Queries:
    """What is asked of a stage; shape of each tensor: (num_queries,)."""

    anchors: LongTensor
    relations: LongTensor
    sides: LongTensor
    #: the entities to be replaced
    replaced: LongTensor
    #: the pair keys of the first three
    keys: LongTensor

    @classmethod
    def of(
        cls, triples: TripleSet, anchors: LongTensor, relations: LongTensor, sides: LongTensor, replaced: LongTensor
    ) -> Queries:
        """Add the pair keys."""
        return cls(anchors, relations, sides, replaced, triples.pair_keys(anchors, relations, sides))


@dataclass(frozen=True, eq=False)
class Answers:
    """Where each query's drawable entities lie; shape of each tensor but the last: (num_queries,)."""

    #: where the span starts
    starts: LongTensor
    #: how many entities can be drawn
    free: LongTensor
    #: the rank that the replaced entity itself would have, :data:`NEVER` where it cannot be drawn anyway
    own: LongTensor
    #: where the list of exclusions starts
    excluded_starts: LongTensor
    #: how long it is
    excluded: LongTensor
    #: shape: (num_excluded,): see :attr:`negsamp.pools.Exclusions.ranks`
    ranks: LongTensor


@dataclass(frozen=True, eq=False)
class Stage:
    """One pool to draw from, under the name by which its slots are counted."""

    name: str
    exclusions: Exclusions

    @property
    def pools(self) -> Pools:
        """The pools, before exclusions."""
        return self.exclusions.pools

    def ask(self, queries: Queries, *, own_is_known: bool) -> Answers:
        """Find what each query may draw from.

        :param queries: the queries
        :param own_is_known: whether the replaced entities are known positives of all these queries and excluded as
            such, so that they need no look-up of their own
        """
        pools = self.pools
        spans = pools.spans(queries.anchors, queries.relations, queries.sides, queries.replaced, queries.keys)
        starts = pools.offsets[spans]
        first, excluded, ranks = self.exclusions.find(queries.keys, spans)
        free = pools.offsets[spans + 1] - starts - excluded
        own = torch.full_like(starts, NEVER)
        if not own_is_known:
            position = pools.positions(spans, queries.replaced)
            # the exclusions up to and with this position
            after = bisect(ranks, first, first + excluded, position, offset=first)
            rank = position - (after - first)
            last = after - 1
            is_excluded = (after > first) & (take(ranks, last) + last - first == position)
            drawable = (position >= 0) & ~is_excluded
            own = torch.where(drawable, rank, own)
            free = free - drawable.long()
        return Answers(starts, free, own, first, excluded, ranks)

    def draw(self, answers: Answers, slots: LongTensor, ranks: LongTensor) -> LongTensor:
        """Return the entities of the given ranks.

        :param answers: what the queries may draw from
        :param slots: shape: (num_slots,): the query of each slot
        :param ranks: shape: (num_slots,): at least 0, below :attr:`Answers.free` of the slot's query

        :returns: shape: (num_slots,)
        """
        ranks = ranks + (ranks >= answers.own[slots]).long()
        first = answers.excluded_starts[slots]
        shift = bisect(answers.ranks, first, first + answers.excluded[slots], ranks) - first
        positions = answers.starts[slots] + ranks + shift
        return positions if self.pools.members is None else self.pools.members[positions]
