"""Negatives that share a class with the replaced entity."""

from collections.abc import Iterator
from typing import Any, ClassVar

from negsamp.errors import InputError
from negsamp.pools import Pools, typed_by_class_ancestor_pools, typed_by_class_pools
from negsamp.pools.typed_by_class import ClassSelection
from negsamp.sampling.base import PoolNegativeSampler
from negsamp.sampling.fallback import number_ancestors

__all__ = ["TypedByClassNegativeSampler"]


class TypedByClassNegativeSampler(PoolNegativeSampler):
    """Draw from the entities that share a class with the replaced one, for graphs without domains and ranges."""

    semantic_fallback: ClassVar[tuple[str, ...]] = ("ancestors", "corrupt", "everything")
    needs = "classes"

    def __init__(self, *, classes: ClassSelection = "specific", **kwargs: Any) -> None:
        """Keep the choice of classes.

        :param classes: see :func:`negsamp.pools.typed_by_class_pools`
        :param kwargs: passed on to :class:`PoolNegativeSampler`
        """
        self.classes = classes
        super().__init__(**kwargs)

    def build_pools(self) -> Pools:  # noqa: D102
        if self.schema is None:
            raise InputError("typedbyclass needs a schema with classes: give schema=... or pools=...")
        return typed_by_class_pools(self.triples, self.schema, self.classes)

    def stages_named(self, name: str) -> Iterator[tuple[str, Pools]]:  # noqa: D102
        if name == "ancestors" and self.schema is not None:
            return number_ancestors(typed_by_class_ancestor_pools(self.triples, self.schema, self.classes))
        return super().stages_named(name)
