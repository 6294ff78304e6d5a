"""A pool with its exclusions: the one draw."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from pykeen.typing import BoolTensor, FloatTensor, LongTensor

from negsamp import kernels
from negsamp.pools.exclusions import Exclusions, Lists
from negsamp.pools.queries import Queries
from negsamp.pools.spans import Pools

__all__ = ["MASKED", "Answers", "Slots", "Stage"]

#: the stage of a slot that none has filled
MASKED = -1


@dataclass(frozen=True, eq=False)
class Answers:
    """Where each query's drawable entities lie; shape of each tensor but the first: (num_queries,)."""

    #: shape: (num_members,), see :attr:`negsamp.pools.Pools.members`
    members: LongTensor | None
    #: the excluded ranks
    lists: Lists
    #: how many entities can be drawn
    free: LongTensor
    #: dtype: int32: the rank that the replaced entity itself would have, :data:`negsamp.kernels.NEVER` where it cannot
    #: be drawn anyway
    own: LongTensor
    #: where the list of exclusions starts
    first: LongTensor
    #: where its closing entry is
    last: LongTensor
    #: where the span starts, less where the list does
    shift: LongTensor


@dataclass(frozen=True, eq=False)
class Slots:
    """The wanted negatives of a batch, of which row i belongs to the queries 2i (for heads) and 2i + 1 (for tails).

    Shape of each tensor: (batch_size, num_negs_per_pos).
    """

    #: dtype: int8: which side each slot replaces
    sides: LongTensor
    #: dtype: double: uniform numbers in [0, 1)
    uniform: FloatTensor
    #: dtype: int32: what they are filled with
    entities: LongTensor
    #: dtype: int16, since a deep hierarchy has many stages: the one that filled them, :data:`MASKED` where none did
    filled_by: LongTensor

    @classmethod
    def empty(cls, sides: LongTensor, uniform: FloatTensor) -> Slots:
        """Return slots that are still to be filled."""
        entities = torch.empty_like(sides, dtype=torch.int32)
        return cls(sides, uniform, entities, torch.full_like(sides, MASKED, dtype=torch.int16))

    @property
    def needs(self) -> LongTensor:
        """How many slots each query has; shape: (2 * batch_size,)."""
        tails = self.sides.sum(dim=-1)
        return torch.stack([self.sides.shape[1] - tails, tails], dim=-1).flatten()


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
        spans = pools.spans(queries)
        rows, lists = self.exclusions.find(queries, spans)
        replaced = None if own_is_known else queries.replaced
        return Answers(pools.members, lists, *kernels.ask(pools.members, pools.offsets, spans, lists, rows, replaced))

    def draw(
        self, answers: Answers, slots: Slots, given: LongTensor, share: LongTensor, repeats: BoolTensor, number: int
    ) -> None:
        """Fill slots with what was found for their queries, see :func:`negsamp.kernels.draw`."""
        kernels.draw(answers, slots, given, share, repeats, number)

    def drawable(self, queries: Queries, *, own_is_known: bool = False) -> tuple[LongTensor, LongTensor]:
        """List what each query may draw.

        :param queries: pairs of queries, see :meth:`Queries.of_triples`
        :param own_is_known: see :meth:`ask`

        :returns: the entities of all queries, query by query, ascending; and how many each has, shape: (num_queries,)
        """
        answers = self.ask(queries, own_is_known=own_is_known)
        heads, tails = answers.free.view(-1, 2).unbind(dim=-1)
        # as many slots as the largest pair of pools; those beyond a pool stay empty
        number = torch.arange(int((heads + tails).max()) if len(heads) else 0)
        sides = (number >= heads.unsqueeze(dim=-1)).to(torch.int8)
        slots = Slots.empty(sides, torch.zeros(sides.shape, dtype=torch.double))
        nothing = torch.zeros_like(answers.free)
        self.draw(answers, slots, nothing, answers.free, nothing.bool(), 0)
        return slots.entities[slots.filled_by != MASKED], answers.free
