"""Negatives that another relation links to the anchor."""

from negsamp.pools import Pools, relational_pools
from negsamp.sampling.base import PoolNegativeSampler

__all__ = ["RelationalNegativeSampler"]


class RelationalNegativeSampler(PoolNegativeSampler):
    """Draw from the entities that another relation links to the same anchor on the same side [kotnis2017]_."""

    def build_pools(self) -> Pools:  # noqa: D102
        return relational_pools(self.triples)
