"""Negatives that another relation links to the anchor."""

from pykeen.typing import BoolTensor

from negsamp.pools import Pools, relational_pools
from negsamp.pools.relational import linked_by_one_relation
from negsamp.sampling.base import PoolNegativeSampler

__all__ = ["RelationalNegativeSampler"]


class RelationalNegativeSampler(PoolNegativeSampler):
    """Draw from the entities that another relation links to the same anchor on the same side [kotnis2017]_."""

    def build_pools(self) -> Pools:  # noqa: D102
        return relational_pools(self.triples)

    def always_excluded(self) -> BoolTensor:  # noqa: D102
        return linked_by_one_relation(self.triples)
