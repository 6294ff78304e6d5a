"""The loops that torch has no fast operation for, compiled by Numba; they read and write tensors on the CPU in place.

Each is compiled at its first use, for a second or so, and kept on disk from then on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numba import njit
from pykeen.typing import BoolTensor, FloatTensor, LongTensor

if TYPE_CHECKING:
    from negsamp.pools.exclusions import Lists
    from negsamp.pools.queries import Queries
    from negsamp.pools.stage import Answers, Slots
    from negsamp.triples import TripleSet

__all__ = ["ask", "ask_both_sides", "best", "draw", "exclude", "find", "replace", "stand_in"]

#: closes a list of excluded ranks: a rank that no draw reaches
NEVER = np.iinfo(np.int32).max

#: how often a draw that makes a training triple is made anew
_TRIES = 8

#: how many look-ups wait for memory side by side
_BLOCK = 512


def find(keys: LongTensor, wanted: LongTensor) -> LongTensor:
    """Return the position of each wanted key among sorted distinct keys, −1 where it is not one of them.

    :param keys: shape: (num_keys,), ascending
    :param wanted: any shape

    :returns: the shape of ``wanted``
    """
    if not len(keys):
        return torch.full_like(wanted, -1)
    if not keys.is_cpu:
        positions = torch.searchsorted(keys, wanted.contiguous()).clamp(max=len(keys) - 1)
        return torch.where(keys[positions] == wanted, positions, -1)
    positions = torch.empty(wanted.shape, dtype=torch.long)
    _find(keys.numpy(), wanted.reshape(-1).numpy(), positions.view(-1).numpy())
    return positions


@njit(cache=True, nogil=True)
def _find(keys, wanted, positions):
    for begin in range(0, len(wanted), _BLOCK):
        end = min(begin + _BLOCK, len(wanted))
        positions[begin:end] = 0
        size = len(keys)
        # level by level, so that no look-up waits for the memory of another
        while size > 1:
            half = size >> 1
            for i in range(begin, end):
                positions[i] += half * (keys[positions[i] + half] <= wanted[i])
            size -= half
        for i in range(begin, end):
            if keys[positions[i]] != wanted[i]:
                positions[i] = -1


def ask_both_sides(triples: TripleSet, positives: LongTensor) -> tuple[LongTensor, ...]:
    """Return what is asked for the two sides of each triple, see :meth:`negsamp.pools.Queries.of_triples`.

    :param triples: the graph
    :param positives: shape: (batch_size, 3), without artificial inverses

    :returns: anchors, relations, sides, replaced entities, and the positions of the completions, −1 where it is no
        training triple; shape of each: (2 * batch_size,)
    """
    found = torch.empty(5, 2 * len(positives), dtype=torch.long).unbind()
    known = (triples.keys, triples.head_offsets, positives.contiguous())
    _ask_both_sides(triples.num_entities, triples.num_relations, *(tensor.numpy() for tensor in (*known, *found)))
    return found


@njit(cache=True, nogil=True)
def _ask_both_sides(
    num_entities,
    num_relations,
    keys,
    head_offsets,
    positives,
    anchors,
    relations,
    sides,
    replaced,
    completions,
):
    low, high, wanted = np.empty((3, len(positives)), np.int64)
    for i in range(len(positives)):
        head, relation, tail = positives[i, 0], positives[i, 1], positives[i, 2]
        anchors[2 * i], anchors[2 * i + 1] = tail, head
        relations[2 * i], relations[2 * i + 1] = relation, relation
        sides[2 * i], sides[2 * i + 1] = 0, 1
        replaced[2 * i], replaced[2 * i + 1] = head, tail
        low[i], high[i] = head_offsets[head], head_offsets[head + 1]
        wanted[i] = (head * num_relations + relation) * num_entities + tail
    _bisect_all(keys, low, high, wanted, len(positives))
    for i in range(len(positives)):
        is_known = low[i] < head_offsets[positives[i, 0] + 1] and keys[low[i]] == wanted[i]
        completions[2 * i] = low[i] if is_known else -1
        completions[2 * i + 1] = low[i] + len(keys) if is_known else -1


@njit(cache=True, nogil=True)
def _bisect(values, low, high, wanted):
    """Return the first position in [low, high) whose value is not below the wanted one, else ``high``."""
    # in growing steps at first, since it is mostly near
    step = 1
    while low + step < high and values[low + step] < wanted:
        low += step
        step *= 2
    high = min(low + step, high)
    while low < high:
        middle = (low + high) >> 1
        if values[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low


def exclude(
    members: LongTensor | None,
    starts: LongTensor,
    ends: LongTensor,
    known: LongTensor,
    known_starts: LongTensor,
    known_ends: LongTensor,
    ranks: LongTensor,
    guide: LongTensor,
    first: int,
) -> LongTensor:
    """Write the lists of :class:`negsamp.pools.exclusions.Lists`: what spans and known positives have in common.

    :param members: shape: (num_members,), ascending inside each span; None: 0, 1, 2, …
    :param starts: shape: (num_lists,), where the span of each list starts
    :param ends: where it ends
    :param known: shape: (num_known,), the known positives, ascending inside the part that belongs to a list
    :param known_starts: where the part of each list starts
    :param known_ends: where it ends
    :param ranks: shape: (num_entries,), where to write
    :param guide: shape: (num_entries,), likewise
    :param first: the position to write from

    :returns: shape: (num_lists,): where each list ends
    """
    offsets = torch.empty_like(starts)
    nothing = torch.empty(0, dtype=torch.int32)
    spans = (nothing if members is None else members, starts, ends)
    tensors = (*spans, known, known_starts, known_ends, ranks, guide, offsets)
    _exclude(first, members is None, *(tensor.numpy() for tensor in tensors))
    return offsets


@njit(cache=True, nogil=True)
def _exclude(at, is_everything, members, starts, ends, known, known_starts, known_ends, ranks, guide, offsets):
    low, high, wanted = np.empty((3, _BLOCK), np.int64)
    i = 0
    while i < len(starts):
        # the known positives of several short lists are looked up side by side
        stop, count = i, 0
        while not is_everything and stop < len(starts):
            length = known_ends[stop] - known_starts[stop]
            if length > min(_BLOCK - count, ends[stop] - starts[stop]):
                break
            for k in range(known_starts[stop], known_ends[stop]):
                low[count], high[count], wanted[count] = starts[stop], ends[stop], known[k]
                count += 1
            stop += 1
        _bisect_all(members, low, high, wanted, count)
        count = 0
        for j in range(i, stop):
            first = at
            for k in range(known_starts[j], known_ends[j]):
                place = low[count]
                count += 1
                if place < ends[j] and members[place] == known[k]:
                    ranks[at] = place - starts[j] - (at - first)
                    at += 1
            at = offsets[j] = _close(ranks, guide, first, at, ends[j] - starts[j])
        if stop == i:
            first = at
            at = _walk(at, is_everything, members, starts[i], ends[i], known, known_starts[i], known_ends[i], ranks)
            at = offsets[i] = _close(ranks, guide, first, at, ends[i] - starts[i])
            stop += 1
        i = stop


@njit(cache=True, nogil=True)
def _bisect_all(values, low, high, wanted, count):
    """Move each ``low`` on to the first position below ``high`` whose value is not below the wanted one."""
    longest = 0
    for k in range(count):
        longest = max(longest, high[k] - low[k])
    # without a branch that depends on a value, so that the look-ups wait for memory side by side
    while longest > 0:
        for k in range(count):
            half = (high[k] - low[k]) >> 1
            is_below = (low[k] < high[k]) & (values[min(low[k] + half, len(values) - 1)] < wanted[k])
            high[k] -= (1 - is_below) * (high[k] - low[k] - half)
            low[k] += is_below * (half + 1)
        longest >>= 1


@njit(cache=True, nogil=True)
def _walk(at, is_everything, members, start, end, known, k, known_end, ranks):
    """Write what one span and its known positives share: go through the shorter, look up in the longer."""
    first, place = at, start
    walks_known = is_everything or known_end - k <= end - start
    while place < end and k < known_end:
        if is_everything:
            place = start + known[k]
            is_common = True
        elif walks_known:
            place = _bisect(members, place, end, known[k])
            is_common = place < end and members[place] == known[k]
        else:
            k = _bisect(known, k, known_end, members[place])
            is_common = k < known_end and members[place] == known[k]
        if is_common:
            ranks[at] = place - start - (at - first)
            at += 1
        if walks_known:
            k += 1
        else:
            place += 1
    return at


@njit(cache=True, nogil=True)
def _close(ranks, guide, first, last, length):
    """Close and guide the list from ``first`` to ``last`` of a span of this length; return where the next begins."""
    ranks[last] = NEVER
    scale = scale_of(last - first, length - (last - first))
    part = first
    for at in range(first, last):
        # it counts from the part on that begins with it, or else after it
        begin = first + int(np.floor((ranks[at] - 1) * scale)) + 1
        while part < min(begin, last + 1):
            guide[part] = at
            part += 1
    guide[part : last + 1] = last
    return last + 1


@njit(cache=True, nogil=True)
def scale_of(excluded, drawable):
    """Return the number of parts by the number of ranks: a rank times this, rounded down, is its part."""
    return min(excluded + 1, drawable) / max(drawable, 1)


def ask(
    members: LongTensor | None,
    offsets: LongTensor,
    spans: LongTensor,
    lists: Lists,
    rows: LongTensor,
    replaced: LongTensor | None,
) -> tuple[LongTensor, LongTensor, LongTensor, LongTensor, LongTensor]:
    """Find where the drawable entities of some queries lie.

    :param members: shape: (num_members,), ascending inside each span; None: 0, 1, 2, …
    :param offsets: shape: (num_spans + 1,), where each span starts
    :param spans: shape: (num_queries,), the span of each query
    :param lists: the excluded ranks
    :param rows: shape: (num_queries,), the list of each query
    :param replaced: shape: (num_queries,), an entity a query that is not to be drawn either; None: these are excluded

    :returns: what :class:`negsamp.pools.stage.Answers` has, shape of each: (num_queries,)
    """
    free, first, last, shift = torch.empty(4, len(spans), dtype=torch.long)
    own = torch.empty(len(spans), dtype=torch.int32)
    nothing = torch.empty(0, dtype=torch.long)
    tensors = (
        *(own[:0] if members is None else members, offsets, spans, lists.offsets, lists.ranks, rows),
        *(nothing if replaced is None else replaced, free, own, first, last, shift),
    )
    _ask(members is None, *(tensor.numpy() for tensor in tensors))
    return free, own, first, last, shift


@njit(cache=True, nogil=True)
def _ask(
    is_everything,
    members,
    offsets,
    spans,
    list_offsets,
    ranks,
    rows,
    replaced,
    free,
    own,
    first,
    last,
    shift,
):
    for i in range(len(spans)):
        start, end = offsets[spans[i]], offsets[spans[i] + 1]
        first[i], last[i] = list_offsets[rows[i]], list_offsets[rows[i] + 1] - 1
        free[i] = end - start - (last[i] - first[i])
        shift[i] = start - first[i]
        own[i] = NEVER
        if not len(replaced):
            continue
        at = start + replaced[i] if is_everything else _bisect(members, start, end, replaced[i])
        if at >= end or (not is_everything and members[at] != replaced[i]):
            continue
        # the exclusions before this position: the j-th lies at its rank plus j
        low, high = first[i], last[i]
        while low < high:
            middle = (low + high) >> 1
            if ranks[middle] + (middle - first[i]) < at - start:
                low = middle + 1
            else:
                high = middle
        before = low - first[i]
        if low == last[i] or ranks[low] + before != at - start:
            own[i] = at - start - before
            free[i] -= 1


def draw(answers: Answers, slots: Slots, given: LongTensor, share: LongTensor, repeats: BoolTensor, stage: int) -> None:
    """Fill slots from one stage: of a query's slots, those from ``given`` on, as many as its ``share``.

    :param answers: where the drawable entities of each query lie
    :param slots: the slots, in which the entities and the stage are noted
    :param given: shape: (2 * batch_size,), how many slots of a query the stages before have filled
    :param share: shape: (2 * batch_size,), how many this one fills
    :param repeats: shape: (2 * batch_size,), whether it draws with replacement, or gives its entities in order
    :param stage: the number of the stage
    """
    members, lists = answers.members, answers.lists
    found = (answers.free, answers.own, answers.shift, answers.first, answers.last, lists.guide, lists.ranks)
    wanted = (slots.sides, slots.uniform, slots.entities, slots.filled_by)
    nothing = torch.empty(0, dtype=torch.int32)
    tensors = (nothing if members is None else members, *found, given, share, repeats, *(t.view(-1) for t in wanted))
    _draw(stage, slots.sides.shape[1], members is None, *(tensor.numpy() for tensor in tensors))


@njit(cache=True, nogil=True)
def _draw(
    stage,
    num_negs_per_pos,
    is_everything,
    members,
    free,
    own,
    shift,
    first,
    last,
    guides,
    excluded,
    given,
    share,
    repeats,
    sides,
    uniform,
    entities,
    filled_by,
):
    scale = np.empty(len(free))
    for query in range(len(free)):
        # members that are not excluded, the replaced entity among them
        scale[query] = scale_of(last[query] - first[query], free[query] + (own[query] != NEVER))
    turns = -given
    chosen, queries, ranks, at = np.empty((4, _BLOCK), np.int64)
    row, row_end = 0, num_negs_per_pos
    for begin in range(0, len(sides), _BLOCK):
        # each step for a block of slots, so that no slot waits for the memory of another
        count = 0
        for slot in range(begin, min(begin + _BLOCK, len(sides))):
            if slot == row_end:
                row, row_end = row + 1, row_end + num_negs_per_pos
            query = 2 * row + sides[slot]
            turn = turns[query]
            turns[query] += 1
            if 0 <= turn < share[query]:
                # of 53 random bits, the largest is so far below 1 that no product is rounded up to the number itself
                rank = int(uniform[slot] * free[query]) if repeats[query] else turn
                rank += rank >= own[query]
                chosen[count], queries[count], ranks[count] = slot, query, rank
                at[count] = first[query] + int(rank * scale[query])
                count += 1
        for k in range(count):
            at[k] = guides[at[k]]
        for k in range(count):
            at[k] += excluded[at[k]] <= ranks[k]
        for k in range(count):
            while excluded[at[k]] <= ranks[k]:
                at[k] += 1
        for k in range(count):
            at[k] += ranks[k] + shift[queries[k]]
        if not is_everything:
            for k in range(count):
                at[k] = members[at[k]]
        for k in range(count):
            entities[chosen[k]] = at[k]
            filled_by[chosen[k]] = stage


def stand_in(queries: Queries, slots: Slots, wanted: BoolTensor) -> LongTensor:
    """Put an entity of all into the wanted slots, where it makes no training triple and is not the replaced one.

    :param queries: the two queries of each positive
    :param slots: the slots
    :param wanted: shape: (batch_size, num_negs_per_pos)

    :returns: shape: (num_left,): the positions of those that are left since no draw of a few was a negative
    """
    count = int(wanted.sum())
    left, uniform = torch.empty(count, dtype=torch.long), torch.rand(count, _TRIES, dtype=torch.double)
    triples = queries.triples
    known = (triples.keys, triples.head_offsets)
    tensors = (*known, queries.anchors, queries.relations, queries.replaced, wanted.reshape(-1))
    slot_tensors = (slots.sides.view(-1), uniform, slots.entities.view(-1))
    count = _stand_in(
        triples.num_entities,
        triples.num_relations,
        wanted.shape[1],
        *(tensor.numpy() for tensor in (*tensors, *slot_tensors, left)),
    )
    return left[:count]


@njit(cache=True, nogil=True)
def _stand_in(
    num_entities,
    num_relations,
    num_negs_per_pos,
    keys,
    head_offsets,
    anchors,
    relations,
    replaced,
    wanted,
    sides,
    uniform,
    entities,
    left,
):
    number, count = 0, 0
    for slot in range(len(wanted)):
        if not wanted[slot]:
            continue
        query = 2 * (slot // num_negs_per_pos) + sides[slot]
        left[count] = slot
        count += 1
        for k in range(_TRIES):
            entity = int(uniform[number, k] * num_entities)
            head, tail = (anchors[query], entity) if sides[slot] else (entity, anchors[query])
            key = (head * num_relations + relations[query]) * num_entities + tail
            end = head_offsets[head + 1]
            at = _bisect(keys, head_offsets[head], end, key)
            if entity != replaced[query] and (at == end or keys[at] != key):
                entities[slot] = entity
                count -= 1
                break
        number += 1
    return count


def replace(positives: LongTensor, sides: LongTensor, entities: LongTensor) -> LongTensor:
    """Replace one entity of each positive.

    :param positives: shape: (batch_size, 3)
    :param sides: shape: (batch_size, num_negs_per_pos), which side is replaced
    :param entities: shape: (batch_size, num_negs_per_pos), by what

    :returns: shape: (batch_size, num_negs_per_pos, 3)
    """
    negatives = torch.empty(*sides.shape, 3, dtype=torch.long)
    _replace(*(tensor.numpy() for tensor in (positives, sides, entities, negatives)))
    return negatives


@njit(cache=True, nogil=True)
def _replace(positives, sides, entities, negatives):
    for i in range(len(sides)):
        for j in range(sides.shape[1]):
            is_tail = sides[i, j]
            negatives[i, j, 0] = positives[i, 0] if is_tail else entities[i, j]
            negatives[i, j, 1] = positives[i, 1]
            negatives[i, j, 2] = entities[i, j] if is_tail else positives[i, 2]


def best(scores: FloatTensor, k: int) -> LongTensor:
    """Return the positions of the k largest scores of each row; ties: the lower position first.

    :param scores: shape: (num_rows, num_columns)
    :param k: how many, at most ``num_columns``

    :returns: shape: (num_rows, k), ascending positions in each row
    """
    positions = torch.empty(len(scores), k, dtype=torch.long)
    if k:
        _best(scores.numpy(), positions.numpy())
    return positions


@njit(cache=True, nogil=True)
def _best(scores, positions):
    k = positions.shape[1]
    for i in range(len(scores)):
        row, heap = scores[i], positions[i]
        # a heap of positions with the worst on top
        for j in range(k):
            heap[j] = j
        for j in range(k // 2 - 1, -1, -1):
            _sift(row, heap, j)
        worst = row[heap[0]]
        for j in range(k, len(row)):
            # of two equal scores, the one that was there before has the lower position
            if row[j] > worst:
                heap[0] = j
                _sift(row, heap, 0)
                worst = row[heap[0]]
        heap.sort()


@njit(cache=True, nogil=True)
def _sift(row, heap, parent):
    """Move a position down to where all below are better."""
    moved = heap[parent]
    while True:
        child = 2 * parent + 1
        if child >= len(heap):
            break
        if child + 1 < len(heap) and _is_worse(row, heap[child + 1], heap[child]):
            child += 1
        if not _is_worse(row, heap[child], moved):
            break
        heap[parent] = heap[child]
        parent = child
    heap[parent] = moved


@njit(cache=True, nogil=True)
def _is_worse(row, one, other):
    return row[one] < row[other] or (row[one] == row[other] and one > other)
