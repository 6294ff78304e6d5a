"""Uniform negatives, through our base."""

from negsamp.pools import Pools
from negsamp.sampling.base import PoolNegativeSampler

__all__ = ["RandomNegativeSampler"]


class RandomNegativeSampler(PoolNegativeSampler):
    """Draw from all entities [bordes2013]_: the fair reference for the samplers beside it."""

    def build_pools(self) -> Pools:  # noqa: D102
        return Pools.everything(self.triples)
