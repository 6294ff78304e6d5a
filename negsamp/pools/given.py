"""Pool: the candidates that a user gives."""

import torch

from negsamp.negatives import GivenNegatives
from negsamp.pools.spans import LookUp, Pools
from negsamp.triples import TripleSet

__all__ = ["given_pools"]


def given_pools(triples: TripleSet, negatives: GivenNegatives) -> Pools:
    """Collect the candidates of each pair that has any."""
    anchors, relations, candidates, sides = negatives.rows
    keys, rows = torch.unique(triples.pair_keys(anchors, relations, sides), return_inverse=True)
    return Pools.from_rows(LookUp.PAIR, triples, rows, candidates, len(keys), index=torch.arange(len(keys)), keys=keys)
