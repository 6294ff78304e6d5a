"""A pool with its exclusions: the one draw."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from pykeen.typing import LongTensor

from negsamp import kernels
from negsamp.kernels import DRAWABLE, MASKED, NEVER, own_ranks
from negsamp.pools.exclusions import Exclusions
from negsamp.pools.queries import Queries
from negsamp.pools.spans import Pools

__all__ = ["MASKED", "Answers", "Slots", "Stage"]


@dataclass(frozen=True, eq=False)
class Answers:
    """Where each query's drawable entities lie."""

    #: shape: (num_members,), see :attr:`negsamp.pools.Pools.members`; empty: the entity ids themselves
    members: NDArray[np.int32]
    #: the excluded members, see :class:`negsamp.pools.exclusions.Lists`
    entries: NDArray[np.integer]
    #: shape: (num_queries,): where the list of each query begins
    places: NDArray[np.integer]
    #: shape: (num_queries,): the rank that the replaced entity itself would have, :data:`negsamp.kernels.NEVER` where
    #: it cannot be drawn anyway; empty: nowhere can it
    own: NDArray[np.int32]

    @cached_property
    def free(self) -> NDArray[np.int64]:
        """How many entities can be drawn; shape: (num_queries,)."""
        drawable: NDArray[np.int64] = self.entries[self.places + DRAWABLE].astype(np.int64)
        return drawable - (self.own != NEVER) if len(self.own) else drawable


@dataclass(frozen=True, eq=False)
class Slots:
    """The wanted negatives of a batch, of which row i belongs to the queries 2i (for heads) and 2i + 1 (for tails).

    Shape of each array: (batch_size, num_negs_per_pos), unless stated otherwise.
    """

    #: which side each slot replaces
    sides: NDArray[np.int8]
    #: shape: (batch_size + 1, num_negs_per_pos + 1): uniform numbers in [0, 1), of which the last row and the last
    #: column decide the sides
    uniform: NDArray[np.float64]
    #: what they are filled with
    entities: NDArray[np.int32]
    #: the stage that filled them, :data:`MASKED` where none did; a deep hierarchy has more stages than a byte counts
    filled_by: NDArray[np.int16]
    #: shape: (2 * batch_size,): how many slots each query has
    needs: NDArray[np.int64]
    #: shape: (2 * batch_size,): how many of these are filled, the first ones
    given: NDArray[np.int64]

    @classmethod
    def empty(cls, sides: NDArray[np.int8], uniform: NDArray[np.float64]) -> Slots:
        """Return slots that are still to be filled."""
        return cls(sides, uniform, *kernels.empty_slots(sides))


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
        members = np.empty(0, np.int32) if self.pools.members is None else self.pools.members.numpy()
        lists = self.exclusions.of(queries) if queries.completions is None else self.exclusions.lists
        entries, places = lists.entries.numpy(), lists.places.numpy()
        if queries.completions is not None:
            places = places.take(queries.completions.numpy())
        own = members[:0] if own_is_known else own_ranks(members, entries, places, queries.replaced.numpy())
        return Answers(members, entries, places, own)

    def draw(self, answers: Answers, slots: Slots, later: NDArray[np.bool_], number: int) -> int:
        """Fill slots with what was found for their queries, see :func:`negsamp.kernels.draw`.

        :param answers: what :meth:`ask` has found
        :param slots: the slots
        :param later: which queries a later stage has entities for; empty: there is no later stage
        :param number: of this stage

        :returns: how many slots are left
        """
        found = (answers.members, answers.entries, answers.places, answers.own)
        wanted = (slots.needs, slots.given, slots.sides, slots.uniform, slots.entities, slots.filled_by)
        left: int = kernels.draw(number, *found, later, *wanted)
        return left

    def drawable(self, queries: Queries, *, own_is_known: bool = False) -> tuple[LongTensor, LongTensor]:
        """List what each query may draw.

        :param queries: pairs of queries, see :meth:`Queries.of_triples`
        :param own_is_known: see :meth:`ask`

        :returns: the entities of all queries, query by query, ascending; and how many each has, shape: (num_queries,)
        """
        answers = self.ask(queries, own_is_known=own_is_known)
        heads, tails = answers.free.reshape(-1, 2).T
        # each query has one slot more than its pool has entities, so that each of these is given once, in order
        number = np.arange((heads + tails).max(initial=0) + 2)
        sides = (number > heads[:, None]).astype(np.int8)
        slots = Slots.empty(sides, np.zeros((len(sides) + 1, len(number) + 1)))
        self.draw(answers, slots, np.ones(len(answers.free), np.bool_), 0)
        return torch.from_numpy(slots.entities[slots.filled_by != MASKED]), torch.from_numpy(answers.free)
