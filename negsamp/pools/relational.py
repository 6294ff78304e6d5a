"""Pool: the entities that the anchor reaches by another relation."""

import torch
from pykeen.typing import BoolTensor

from negsamp.pools.spans import LookUp, Pools
from negsamp.triples import TripleSet

__all__ = ["relational_pools"]


def relational_pools(triples: TripleSet) -> Pools:
    """Collect the neighbours of each entity, one list a side [kotnis2017]_.

    Once the known positives of a pair are excluded, the rest of the anchor's neighbours are exactly those that another
    relation links to it, so that one list an entity serves all relations.
    """
    keys = [(2 * anchors + side) * triples.num_entities + entities for side, (anchors, _, entities) in triples.sides()]
    return Pools.from_keys(
        LookUp.ANCHOR,
        triples,
        torch.cat(keys),
        2 * triples.num_entities,
        outsiders=_linked_by_one_relation(triples),
    )


def _linked_by_one_relation(triples: TripleSet) -> BoolTensor:
    """Tell which completions have the only relation between their two entities; shape: (2 * num_triples,)."""
    heads, _, tails = triples.triples.unbind(dim=-1)
    _, inverse, counts = torch.unique(heads * triples.num_entities + tails, return_inverse=True, return_counts=True)
    alone: BoolTensor = counts[inverse] == 1
    return alone.repeat(2)
