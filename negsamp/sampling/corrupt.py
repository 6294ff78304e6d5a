"""Negatives from the same side of the same relation."""

from typing import ClassVar

from negsamp.pools import Pools, corrupt_pools
from negsamp.sampling.base import PoolNegativeSampler

__all__ = ["CorruptNegativeSampler"]


class CorruptNegativeSampler(PoolNegativeSampler):
    """Draw from the entities seen on the same side of the same relation [socher2013]_."""

    semantic_fallback: ClassVar[tuple[str, ...]] = ("typed", "everything")

    def build_pools(self) -> Pools:  # noqa: D102
        return corrupt_pools(self.triples)
