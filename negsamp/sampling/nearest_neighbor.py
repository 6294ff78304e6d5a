"""Negatives near the replaced entity in an auxiliary model's space."""

from negsamp.pools import nearest_neighbor_pools
from negsamp.sampling.auxiliary import AuxiliaryNegativeSampler

__all__ = ["NearestNeighborNegativeSampler"]


class NearestNeighborNegativeSampler(AuxiliaryNegativeSampler):
    """Draw from the k entities nearest to the replaced one in the auxiliary model's entity space [kotnis2017]_."""

    find_pools = staticmethod(nearest_neighbor_pools)
