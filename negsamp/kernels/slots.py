"""The draw: ranks from random numbers, entities from ranks, negatives from entities.

Arrays are NumPy's here: in a training, whose model has taken the processor's caches, each operation of torch costs a
batch some twenty microseconds, which is what a thousand draws take.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit
from numpy.typing import NDArray

from negsamp.kernels.lists import DRAWABLE, ENTRIES, EXCLUDED, NEVER, START, scale_of
from negsamp.kernels.search import BLOCK, home_of, key_of, position_of

if TYPE_CHECKING:
    from negsamp.pools.stage import Slots
    from negsamp.triples import TripleSet

__all__ = ["MASKED", "balanced_sides", "draw", "empty_slots", "replace", "stand_in", "tally"]

#: the stage of a slot that none has filled
MASKED = -1


@njit(cache=True, nogil=True)
def balanced_sides(uniform):
    """Share the slots of each positive between the two sides, see :func:`negsamp.sampling.sides.assign_sides`.

    :param uniform: shape: (batch_size + 1, num_negs_per_pos + 1), see :class:`negsamp.pools.stage.Slots`

    :returns: shape: (batch_size, num_negs_per_pos), dtype: int8
    """
    batch_size, num_negs_per_pos = len(uniform) - 1, uniform.shape[1] - 1
    order = uniform[batch_size, :num_negs_per_pos]
    is_first = order < np.sort(order)[num_negs_per_pos // 2]
    sides = np.empty((batch_size, num_negs_per_pos), np.int8)
    for i in range(batch_size):
        is_turned = uniform[i, num_negs_per_pos] < 0.5
        for j in range(num_negs_per_pos):
            sides[i, j] = is_first[j] != is_turned
    return sides


@njit(cache=True, nogil=True)
def empty_slots(sides):
    """Lay out what :class:`negsamp.pools.stage.Slots` holds beside sides and random numbers.

    :param sides: shape: (batch_size, num_negs_per_pos)
    """
    needs = np.empty(2 * len(sides), np.int64)
    for i in range(len(sides)):
        tails = 0
        for side in sides[i]:
            tails += side
        needs[2 * i], needs[2 * i + 1] = sides.shape[1] - tails, tails
    return np.empty(sides.shape, np.int32), np.full(sides.shape, MASKED, np.int16), needs, np.zeros_like(needs)


@njit(cache=True, nogil=True)
def draw(stage, members, entries, places, own, later, needs, given, sides, uniform, entities, filled_by):
    """Fill slots from one stage, with what it has for their queries.

    :param stage: the number of the stage
    :param members: see :class:`negsamp.pools.stage.Answers`, as for the next three
    :param entries: the lists
    :param places: where the list of each query begins
    :param own: the rank of the replaced entity
    :param later: shape: (2 * batch_size,), which queries a later stage has entities for, so that this one must not
        repeat its own where they are too few; or empty: there is no later stage
    :param needs: see :class:`negsamp.pools.stage.Slots`, as for the others; how many slots each query has
    :param given: how many of these are filled; added to
    :param sides: which side each slot replaces
    :param uniform: random numbers
    :param entities: what the slots are filled with; written to
    :param filled_by: the stage that fills them; written to

    :returns: how many slots are left
    """
    num_negs_per_pos = sides.shape[1]
    # each step for a block of rows, so that no slot waits for the memory of another
    num_rows = max(BLOCK // max(num_negs_per_pos, 1), 1)
    num_queries = 2 * num_rows
    first, drawable, turns, shares, owns, in_order = np.empty((6, num_queries), np.int64)
    random, scales = np.empty((2, num_queries))
    chosen, lists, ranks, at = np.empty((4, num_rows * num_negs_per_pos), np.int64)
    sides, entities, filled_by = sides.ravel(), entities.ravel(), filled_by.ravel()
    left = 0
    for begin in range(0, len(needs), num_queries):
        end = min(begin + num_queries, len(needs))
        for i in range(end - begin):
            first[i] = places[begin + i] + ENTRIES
            drawable[i] = entries[places[begin + i] + DRAWABLE]
        for i in range(end - begin):
            query = begin + i
            scales[i] = scale_of(entries[first[i] - ENTRIES + EXCLUDED], drawable[i])
            owns[i] = own[query] if len(own) else NEVER
            free = drawable[i] - (owns[i] != NEVER)
            wanted = needs[query] - given[query]
            repeats = free >= wanted or not (len(later) and later[query])
            shares[i] = (wanted if repeats else free) * (free > 0)
            # a rank is a random part of this, or counted up
            random[i], in_order[i] = (free, 0) if repeats else (0, 1)
            turns[i] = -given[query]
            given[query] += shares[i]
            left += wanted - shares[i]
        count, slot = 0, begin // 2 * num_negs_per_pos
        for row in range(begin // 2, end // 2):
            for column in range(num_negs_per_pos):
                i = 2 * row - begin + sides[slot]
                turn = turns[i]
                turns[i] += 1
                # of 53 random bits, the largest is so far below 1 that no product is rounded up to the number itself
                rank = int(uniform[row, column] * random[i]) + turn * in_order[i]
                rank += rank >= owns[i]
                chosen[count], lists[count], ranks[count] = slot, first[i], rank
                at[count] = first[i] + 2 * int(rank * scales[i])
                # one that is not filled is overwritten by the next
                count += (turn >= 0) & (turn < shares[i])
                slot += 1
        for k in range(count):
            at[k] = lists[k] + 2 * entries[at[k]] + 1
        for k in range(count):
            at[k] += 2 * (entries[at[k]] <= ranks[k])
        for k in range(count):
            while entries[at[k]] <= ranks[k]:
                at[k] += 2
        for k in range(count):
            passed = (at[k] - lists[k]) >> 1
            at[k] = entries[lists[k] - ENTRIES + START] + ranks[k] + passed
        if len(members):
            for k in range(count):
                at[k] = members[at[k]]
        for k in range(count):
            entities[chosen[k]] = at[k]
            filled_by[chosen[k]] = stage
    return left


def stand_in(
    triples: TripleSet,
    positives: NDArray[np.int64],
    slots: Slots,
    chosen: NDArray[np.int64],
    uniform: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Put one of all entities into some slots, where it makes another triple than the positive and no training triple.

    :param triples: the graph
    :param positives: shape: (batch_size, 3), without artificial inverses
    :param slots: the slots
    :param chosen: shape: (num_chosen,), the positions of those in question
    :param uniform: shape: (num_tries, num_chosen), random numbers: an entity each

    :returns: shape: (num_left,): the positions of those for which none does
    """
    left: NDArray[np.int64] = _stand_in(*triples.graph, positives, slots.sides, slots.entities, chosen, uniform)
    return left


@njit(cache=True, nogil=True)
def _stand_in(num_entities, num_relations, keys, table, positives, sides, entities, chosen, uniform):
    num_negs_per_pos = sides.shape[1]
    sides, entities = sides.ravel(), entities.ravel()
    wanted, places = np.empty((2, BLOCK), np.int64)
    left, size = chosen.copy(), len(chosen)
    for numbers in uniform:
        num_left = 0
        for begin in range(0, size, BLOCK):
            count = min(BLOCK, size - begin)
            for k in range(count):
                slot = left[begin + k]
                head, relation, tail = positives[slot // num_negs_per_pos]
                entities[slot] = entity = int(numbers[begin + k] * num_entities)
                if sides[slot]:
                    is_own, tail = entity == tail, entity
                else:
                    is_own, head = entity == head, entity
                # the positive is no negative, whether or not it is a training triple
                wanted[k] = -1 if is_own else key_of(num_entities, num_relations, head, relation, tail)
                places[k] = home_of(wanted[k], len(table))
            for k in range(count):
                if wanted[k] < 0 or position_of(wanted[k], keys, table, places[k]) >= 0:
                    left[num_left] = left[begin + k]
                    num_left += 1
        size = num_left
    return left[:size]


@njit(cache=True, nogil=True)
def replace(positives, sides, entities):
    """Replace one entity of each positive.

    :param positives: shape: (batch_size, 3)
    :param sides: shape: (batch_size, num_negs_per_pos), which side is replaced
    :param entities: shape: (batch_size, num_negs_per_pos), by what

    :returns: shape: (batch_size, num_negs_per_pos, 3), dtype: int64
    """
    negatives = np.empty((*sides.shape, 3), np.int64)
    for i in range(len(sides)):
        for j in range(sides.shape[1]):
            is_tail = sides[i, j]
            negatives[i, j, 0] = positives[i, 0] if is_tail else entities[i, j]
            negatives[i, j, 1] = positives[i, 1]
            negatives[i, j, 2] = entities[i, j] if is_tail else positives[i, 2]
    return negatives


@njit(cache=True, nogil=True)
def tally(filled_by, counts):
    """Add up the slots that each stage has filled.

    :param filled_by: shape: (batch_size, num_negs_per_pos)
    :param counts: shape: (num_stages + 2,): where to add them, those first that none has filled
    """
    for stage in filled_by.flat:
        counts[stage + 1] += 1
