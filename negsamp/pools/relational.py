"""Pool: the entities that the anchor reaches by another relation."""

import torch
from pykeen.typing import BoolTensor

from negsamp.kernels import find
from negsamp.pools.spans import LookUp, Pools
from negsamp.triples import TripleSet

__all__ = ["relational_pools"]


def relational_pools(triples: TripleSet) -> Pools:
    """Collect the neighbours of each entity, one list a side [kotnis2017]_.

    Once the known positives of a pair are excluded, the rest of the anchor's neighbours are exactly those that another
    relation links to it, so that one list an entity serves all relations.
    """
    keys = torch.empty(2, len(triples.triples), dtype=torch.long)
    for side, (anchors, _, entities) in triples.sides():
        keys[side] = (2 * anchors + side) * triples.num_entities + entities
    return Pools.from_keys(
        LookUp.ANCHOR,
        triples,
        keys.view(-1),
        2 * triples.num_entities,
        outsiders=_linked_by_one_relation(triples),
    )


def _linked_by_one_relation(triples: TripleSet) -> BoolTensor:
    """Tell which completions have the only relation between their two entities; shape: (2 * num_triples,)."""
    heads, _, tails = triples.triples.unbind(dim=-1)
    pairs = heads * triples.num_entities + tails
    ordered = pairs.clone()
    ordered.numpy().sort()
    linked_by_more = torch.unique_consecutive(ordered[1:][ordered[1:] == ordered[:-1]])
    return (find(linked_by_more, pairs) < 0).repeat(2)
