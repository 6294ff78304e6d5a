"""Negatives from the relation's domain or range."""

from typing import ClassVar

from negsamp.errors import InputError
from negsamp.pools import Pools, typed_pools
from negsamp.sampling.base import PoolNegativeSampler

__all__ = ["TypedNegativeSampler"]


class TypedNegativeSampler(PoolNegativeSampler):
    """Draw from the members of the relation's range (for a head: of its domain) [krompass2015]_.

    Several classes mean their union; with a class hierarchy, the members of a class include those of its descendants.
    """

    semantic_fallback: ClassVar[tuple[str, ...]] = ("ancestors", "corrupt", "everything")
    needs = "domains_and_ranges"

    def build_pools(self) -> Pools:  # noqa: D102
        if self.schema is None:
            raise InputError("typed needs a schema with domains and ranges: give schema=... or pools=...")
        return typed_pools(self.triples, self.schema)
