"""Look-up of integers: in sorted ones by bisection, and of triples in a hash table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numba import njit
from pykeen.typing import LongTensor

if TYPE_CHECKING:
    from negsamp.triples import TripleSet

__all__ = ["complete", "find", "hashed"]

#: how many look-ups wait for memory side by side
BLOCK = 512


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
    for begin in range(0, len(wanted), BLOCK):
        end = min(begin + BLOCK, len(wanted))
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


@njit(cache=True, nogil=True)
def bisect(values, low, high, wanted):
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


@njit(cache=True, nogil=True)
def bisect_all(values, low, high, wanted, count):
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


def hashed(keys: LongTensor) -> LongTensor:
    """Lay out a hash table of distinct integers, with open addressing and linear probing.

    :param keys: shape: (num_keys,)

    :returns: shape: (2 * num_keys + 1,), dtype: int32 or int64: the position of the key that is kept at each place, −1
        where there is none
    """
    dtype = torch.int32 if len(keys) < 2**31 else torch.long
    table = torch.full((2 * len(keys) + 1,), -1, dtype=dtype)
    _hash(keys.numpy(), table.numpy())
    return table


@njit(cache=True, nogil=True)
def _hash(keys, table):
    for i in range(len(keys)):
        place = home_of(keys[i], len(table))
        while table[place] >= 0:
            place = place + 1 if place + 1 < len(table) else 0
        table[place] = i


@njit(cache=True, nogil=True)
def home_of(key, size):
    """Return the place of a table that a key is looked for first."""
    # the finalizer of MurmurHash3, since the keys of a graph have much of a pattern; its upper half times the size
    mixed = np.uint64(key)
    mixed = (mixed ^ (mixed >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    mixed = (mixed ^ (mixed >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    mixed ^= mixed >> np.uint64(33)
    return np.int64(((mixed >> np.uint64(32)) * np.uint64(size)) >> np.uint64(32))


@njit(cache=True, nogil=True)
def position_of(key, keys, table, place):
    """Return the position of a key whose look-up begins at this place of the table, −1 if it is not there."""
    position = table[place]
    while position >= 0 and keys[position] != key:
        place = place + 1 if place + 1 < len(table) else 0
        position = table[place]
    return position


@njit(cache=True, nogil=True)
def key_of(num_entities, num_relations, head, relation, tail):
    """Return the integer of a triple, see :attr:`negsamp.triples.TripleSet.keys`."""
    return (head * num_relations + relation) * num_entities + tail


def complete(triples: TripleSet, positives: LongTensor) -> LongTensor | None:
    """Find triples among :meth:`negsamp.triples.TripleSet.completions`.

    :param triples: the graph
    :param positives: shape: (batch_size, 3), without artificial inverses

    :returns: shape: (2 * batch_size,), of each triple where its head is replaced, and where its tail is; None if any is
        no training triple
    """
    found, are_known = _complete(*triples.graph, positives.numpy())
    return torch.from_numpy(found) if are_known else None


@njit(cache=True, nogil=True)
def _complete(num_entities, num_relations, keys, table, positives):
    found = np.empty(2 * len(positives), np.int64)
    wanted, places = np.empty((2, BLOCK), np.int64)
    for begin in range(0, len(positives), BLOCK):
        count = min(BLOCK, len(positives) - begin)
        for i in range(count):
            head, relation, tail = positives[begin + i, 0], positives[begin + i, 1], positives[begin + i, 2]
            wanted[i] = key_of(num_entities, num_relations, head, relation, tail)
            places[i] = home_of(wanted[i], len(table))
        for i in range(count):
            position = position_of(wanted[i], keys, table, places[i])
            if position < 0:
                return found, False
            found[2 * (begin + i)] = position
            found[2 * (begin + i) + 1] = position + len(keys)
    return found, True
