"""Pool: the entities seen on the same side of the same relation."""

import torch

from negsamp.pools.spans import LookUp, Pools
from negsamp.triples import TripleSet

__all__ = ["corrupt_pools"]


def corrupt_pools(triples: TripleSet) -> Pools:
    """Collect the heads and the tails of each relation [socher2013]_."""
    keys = [
        (2 * relations + side) * triples.num_entities + entities for side, (_, relations, entities) in triples.sides()
    ]
    return Pools.from_keys(LookUp.RELATION, triples, torch.cat(keys), 2 * triples.num_relations)
