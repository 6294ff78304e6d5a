"""Negative pools: which entities may stand in, for every query, as spans of one flat array."""

from negsamp.pools.adversarial import adversarial_pools, find_near_misses
from negsamp.pools.corrupt import corrupt_pools
from negsamp.pools.exclusions import Exclusions
from negsamp.pools.given import given_pools
from negsamp.pools.nearest_neighbor import nearest_neighbor_pools
from negsamp.pools.queries import Queries
from negsamp.pools.relational import relational_pools
from negsamp.pools.spans import LookUp, Pools
from negsamp.pools.stage import MASKED, Slots, Stage
from negsamp.pools.statistics import pool_sizes, pool_statistics
from negsamp.pools.storage import load_stage, save_stage
from negsamp.pools.typed import typed_ancestor_pools, typed_pools
from negsamp.pools.typed_by_class import typed_by_class_ancestor_pools, typed_by_class_pools

__all__ = [
    "MASKED",
    "Exclusions",
    "LookUp",
    "Pools",
    "Queries",
    "Slots",
    "Stage",
    "adversarial_pools",
    "corrupt_pools",
    "find_near_misses",
    "given_pools",
    "load_stage",
    "nearest_neighbor_pools",
    "pool_sizes",
    "pool_statistics",
    "relational_pools",
    "save_stage",
    "typed_ancestor_pools",
    "typed_by_class_ancestor_pools",
    "typed_by_class_pools",
    "typed_pools",
]
