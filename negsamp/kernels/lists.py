"""Lists of excluded members: how they are laid out, and written."""

from __future__ import annotations

import numpy as np
import torch
from numba import njit
from pykeen.typing import LongTensor

from negsamp.kernels.search import BLOCK, bisect, bisect_all

__all__ = ["DRAWABLE", "ENTRIES", "EXCLUDED", "NEVER", "ROOM", "START", "exclude", "own_ranks"]

#: what a list begins with, as offsets from its place: where its span starts, how many entities of the span can be
#: drawn, and how many are excluded; and where its entries follow
START, DRAWABLE, EXCLUDED, ENTRIES = range(4)

#: how many numbers a list takes that excludes nothing: what it begins with, and the entry that closes it
ROOM = ENTRIES + 2

#: closes a list: a rank that no draw reaches
NEVER = np.iinfo(np.int32).max


def exclude(
    members: LongTensor | None,
    starts: LongTensor,
    ends: LongTensor,
    known: LongTensor,
    known_starts: LongTensor,
    known_ends: LongTensor,
    entries: LongTensor,
    first: int,
) -> tuple[LongTensor, int]:
    """Write the lists of :class:`negsamp.pools.exclusions.Lists`: what spans and known positives have in common.

    :param members: shape: (num_members,), ascending inside each span; None: 0, 1, 2, …
    :param starts: shape: (num_lists,), where the span of each list starts
    :param ends: where it ends
    :param known: shape: (num_known,), the known positives, ascending inside the part that belongs to a list
    :param known_starts: where the part of each list starts
    :param known_ends: where it ends
    :param entries: where to write
    :param first: the position to write from

    :returns: shape: (num_lists,): where each list begins; and where the last one ends
    """
    places = torch.empty(len(starts), dtype=torch.long)
    nothing = torch.empty(0, dtype=torch.int32)
    spans = (nothing if members is None else members, starts, ends)
    tensors = (*spans, known, known_starts, known_ends, entries, places)
    end = _exclude(first, *(tensor.numpy() for tensor in tensors))
    return places, end


@njit(cache=True, nogil=True)
def _exclude(at, members, starts, ends, known, known_starts, known_ends, entries, places):
    low, high, wanted = np.empty((3, BLOCK), np.int64)
    is_everything = not len(members)
    i = 0
    while i < len(starts):
        # the known positives of several short lists are looked up side by side
        stop, count = i, 0
        while not is_everything and stop < len(starts):
            length = known_ends[stop] - known_starts[stop]
            if length > min(BLOCK - count, ends[stop] - starts[stop]):
                break
            for k in range(known_starts[stop], known_ends[stop]):
                low[count], high[count], wanted[count] = starts[stop], ends[stop], known[k]
                count += 1
            stop += 1
        bisect_all(members, low, high, wanted, count)
        looked_up = 0
        for j in range(i, stop):
            places[j], excluded = at, 0
            for k in range(known_starts[j], known_ends[j]):
                place = low[looked_up]
                looked_up += 1
                if place < ends[j] and members[place] == known[k]:
                    entries[at + ENTRIES + 2 * excluded + 1] = place - starts[j] - excluded
                    excluded += 1
            at = _close(entries, at, starts[j], ends[j] - starts[j], excluded)
        if stop == i:
            places[i] = at
            span, part = (starts[i], ends[i]), (known_starts[i], known_ends[i])
            excluded = _walk(entries, at + ENTRIES + 1, is_everything, members, span, known, part)
            at = _close(entries, at, starts[i], ends[i] - starts[i], excluded)
            stop += 1
        i = stop
    return at


@njit(cache=True, nogil=True)
def _walk(entries, at, is_everything, members, span, known, part):
    """Write what one span and its known positives share: go through the shorter, look up in the longer."""
    start, end = span
    k, known_end = part
    place, excluded = start, 0
    walks_known = is_everything or known_end - k <= end - start
    while place < end and k < known_end:
        if is_everything:
            place = start + known[k]
            is_common = True
        elif walks_known:
            place = bisect(members, place, end, known[k])
            is_common = place < end and members[place] == known[k]
        else:
            k = bisect(known, k, known_end, members[place])
            is_common = k < known_end and members[place] == known[k]
        if is_common:
            entries[at + 2 * excluded] = place - start - excluded
            excluded += 1
        if walks_known:
            k += 1
        else:
            place += 1
    return excluded


@njit(cache=True, nogil=True)
def _close(entries, place, start, length, excluded):
    """Begin, guide and close the list at a place whose ranks are written; return where the next one begins."""
    drawable = length - excluded
    entries[place + START], entries[place + DRAWABLE], entries[place + EXCLUDED] = start, drawable, excluded
    guides = place + ENTRIES
    ranks = guides + 1
    entries[ranks + 2 * excluded] = NEVER
    scale = scale_of(excluded, drawable)
    part = 0
    for j in range(excluded):
        # it counts from the part on that begins with it, or else after it
        begin = int(np.floor((entries[ranks + 2 * j] - 1) * scale)) + 1
        while part < min(begin, excluded + 1):
            entries[guides + 2 * part] = j
            part += 1
    while part <= excluded:
        entries[guides + 2 * part] = excluded
        part += 1
    return guides + 2 * part


@njit(cache=True, nogil=True)
def scale_of(excluded, drawable):
    """Return the number of parts by the number of ranks: a rank times this, rounded down, is its part."""
    return min(excluded + 1, drawable) / max(drawable, 1)


@njit(cache=True, nogil=True)
def own_ranks(members, entries, places, replaced):
    """Return the rank that the replaced entity of each query has among those that can be drawn.

    :param members: shape: (num_members,), ascending inside each span; or empty: 0, 1, 2, …
    :param entries: the lists
    :param places: shape: (num_queries,), where the list of each query begins
    :param replaced: shape: (num_queries,)

    :returns: shape: (num_queries,), dtype: int32; :data:`NEVER` where it cannot be drawn anyway
    """
    own = np.full(len(places), NEVER, np.int32)
    for i in range(len(places)):
        start, excluded = entries[places[i] + START], entries[places[i] + EXCLUDED]
        end = start + entries[places[i] + DRAWABLE] + excluded
        at = bisect(members, start, end, replaced[i]) if len(members) else start + replaced[i]
        if at >= end or (len(members) and members[at] != replaced[i]):
            continue
        # the exclusions before this position: the j-th lies at its rank plus j
        ranks = places[i] + ENTRIES + 1
        low, high = 0, excluded
        while low < high:
            middle = (low + high) >> 1
            if entries[ranks + 2 * middle] + middle < at - start:
                low = middle + 1
            else:
                high = middle
        if low == excluded or entries[ranks + 2 * low] + low != at - start:
            own[i] = at - start - low
    return own
