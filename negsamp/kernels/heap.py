"""The k largest values of each row."""

import torch
from numba import njit
from pykeen.typing import FloatTensor, LongTensor

__all__ = ["best"]


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
