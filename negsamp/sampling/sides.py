"""Which side each negative replaces."""

from typing import Literal, get_args

import torch
from pykeen.typing import BoolTensor, FloatTensor, LongTensor

from negsamp.triples import HEAD, TAIL, TripleSet

__all__ = ["Corruption", "assign_sides", "head_probabilities"]

Corruption = Literal["balanced", "bernoulli", "head", "tail"]


def assign_sides(
    corruption: Corruption, num_negs_per_pos: int, turned: BoolTensor, head_probabilities: FloatTensor
) -> LongTensor:
    """Say which side each slot replaces.

    :param corruption: how
    :param num_negs_per_pos: how many slots a positive has
    :param turned: shape: (batch_size,), whether the triple stands for its reverse, so that its sides are swapped
    :param head_probabilities: shape: (batch_size,), for ``"bernoulli"``: how likely the head is replaced

    :returns: shape: (batch_size, num_negs_per_pos), dtype: int8
    """
    batch_size, n = len(turned), num_negs_per_pos
    if corruption == "balanced":
        # One arrangement of ⌈n/2⌉ and ⌊n/2⌋ slots a batch, and a fair coin a positive that says which side is which:
        # for each positive, every order and (n odd) either majority is equally likely, at the cost of one permutation.
        order = torch.randperm(n)
        return (order < n // 2).to(torch.int8) ^ torch.randint(2, (batch_size, 1), dtype=torch.int8)
    if corruption == "bernoulli":
        return (torch.rand(batch_size, n) >= head_probabilities.unsqueeze(dim=-1)).to(torch.int8)
    sides = turned.to(torch.int8) ^ (TAIL if corruption == "tail" else HEAD)
    return sides.unsqueeze(dim=-1).repeat(1, n)


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
