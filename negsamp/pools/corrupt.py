"""Pool: the entities seen on the same side of the same relation."""

import torch

from negsamp.pools.spans import LookUp, Pools
from negsamp.triples import TripleSet

__all__ = ["corrupt_pools"]


def corrupt_pools(triples: TripleSet) -> Pools:
    """Collect the heads and the tails of each relation [socher2013]_."""
    keys = torch.empty(2, len(triples.triples), dtype=torch.long)
    for side, (_, relations, entities) in triples.sides():
        keys[side] = (2 * relations + side) * triples.num_entities + entities
    return Pools.from_keys(LookUp.RELATION, triples, keys.view(-1), 2 * triples.num_relations)
