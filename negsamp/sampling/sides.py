"""Which side each negative replaces."""

from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from pykeen.typing import COLUMN_RELATION, BoolTensor, FloatTensor, LongTensor

from negsamp.kernels import balanced_sides
from negsamp.triples import HEAD, TAIL, TripleSet

__all__ = ["Corruption", "assign_sides", "head_probabilities"]

Corruption = Literal["balanced", "bernoulli", "head", "tail"]


def assign_sides(
    corruption: Corruption,
    uniform: NDArray[np.float64],
    positives: LongTensor,
    turned: BoolTensor | None,
    head_probabilities: FloatTensor,
) -> NDArray[np.int8]:
    """Say which side each slot replaces.

    Under ``"balanced"``, one row of random numbers arranges ⌈n/2⌉ and ⌊n/2⌋ slots for the whole batch, and a fair coin
    a positive says which side is which: for each positive, every order and (n odd) either majority is equally likely.

    :param corruption: how
    :param uniform: shape: (batch_size + 1, num_negs_per_pos + 1), see :class:`negsamp.pools.Slots`
    :param positives: shape: (batch_size, 3), without artificial inverses
    :param turned: shape: (batch_size,), whether the triple stands for its reverse, so that its sides are swapped; None:
        none does
    :param head_probabilities: shape: (num_relations,), for ``"bernoulli"``: how likely the head is replaced

    :returns: shape: (batch_size, num_negs_per_pos)
    """
    if corruption == "balanced":
        sides: NDArray[np.int8] = balanced_sides(uniform)
        return sides
    shape = len(uniform) - 1, uniform.shape[1] - 1
    if corruption == "bernoulli":
        probabilities = head_probabilities[positives[:, COLUMN_RELATION]]
        return (torch.rand(shape) >= probabilities.unsqueeze(dim=-1)).numpy().view(np.int8)
    sides = np.full(shape, TAIL if corruption == "tail" else HEAD, np.int8)
    return sides if turned is None else sides ^ turned.numpy()[:, None]


def head_probabilities(triples: TripleSet, corruption: Corruption) -> FloatTensor:
    """Return how likely each relation's head is replaced under ``"bernoulli"``: tph / (tph + hpt) [wang2014]_.

    tph is the mean number of tails a head has, hpt that of heads a tail has.

    :returns: shape: (num_relations,); one half for a relation without triples

    :raises ValueError: if there is no such corruption
    """
    if corruption not in get_args(Corruption):
        raise ValueError(f"corruption is {corruption!r}; it must be one of {', '.join(get_args(Corruption))}")
    heads, relations, tails = triples.triples.unbind(dim=-1)

    def distinct(entities: LongTensor) -> FloatTensor:
        pairs = torch.unique(relations * triples.num_entities + entities)
        return torch.bincount(pairs // triples.num_entities, minlength=triples.num_relations).double()

    num_heads, num_tails = distinct(heads), distinct(tails)
    # tph = triples / heads and hpt = triples / tails, so that the number of triples cancels
    return torch.where(num_heads > 0, num_tails / (num_heads + num_tails), 0.5)
