"""Pool: the entities that share a class with the one that is replaced."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch
from pykeen.typing import LongTensor
from scipy import sparse

from negsamp.pools.spans import LookUp, Pools
from negsamp.pools.typed import boolean_product, widened
from negsamp.schema import Schema, narrower_classes
from negsamp.triples import TripleSet

__all__ = ["ClassSelection", "typed_by_class_ancestor_pools", "typed_by_class_pools"]

ClassSelection = Literal["specific", "all"]


def typed_by_class_pools(triples: TripleSet, schema: Schema, classes: ClassSelection = "specific") -> Pools:
    """Collect the entities that share a listed class with each entity, one pool for each distinct set of classes.

    :param triples: the graph
    :param schema: the schema
    :param classes: ``"specific"`` skips a class of an entity when another of its classes has a strictly smaller,
        contained set of members; ``"all"`` is the paper's, and nearly everything on graphs with a root class

    :raises ValueError: for any other choice of classes
    """
    sets, index = _class_sets(schema, classes)
    matrix = boolean_product(sets, schema.membership().T.tocsr())
    return Pools.from_sparse(LookUp.REPLACED, triples, matrix, index=index)


def typed_by_class_ancestor_pools(
    triples: TripleSet, schema: Schema, classes: ClassSelection = "specific"
) -> Iterator[Pools]:
    """Widen the class sets: members of the ancestors at distance ≤ 1, ≤ 2, and so on."""
    sets, index = _class_sets(schema, classes)
    for matrix in widened(sets, schema, typed_by_class_pools(triples, schema, classes)):
        yield Pools.from_sparse(LookUp.REPLACED, triples, matrix, index=index)


def _class_sets(schema: Schema, classes: ClassSelection) -> tuple[sparse.csr_array, LongTensor]:
    """Return the distinct class sets, shape: (num_sets, num_classes), and each entity's set, shape: (num_entities,).

    The entities without a class get the number after the last set: the empty span.
    """
    membership = schema.membership()
    if classes == "specific":
        membership = _drop_wider(membership)
    elif classes != "all":
        raise ValueError(f"classes is {classes!r}; it must be 'specific' or 'all'")
    membership.sort_indices()
    rows: dict[bytes, int] = {}
    index = np.empty(membership.shape[0], dtype=np.int64)
    first: list[int] = []
    for entity, (start, end) in enumerate(zip(membership.indptr[:-1], membership.indptr[1:], strict=True)):
        key = membership.indices[start:end].tobytes()
        if key and key not in rows:
            rows[key] = len(first)
            first.append(entity)
        index[entity] = rows.get(key, -1)
    index[index < 0] = len(first)
    return membership[first], torch.as_tensor(index)


def _drop_wider(membership: sparse.csr_array) -> sparse.csr_array:
    counts = membership.astype(np.int32)
    dropped = boolean_product(membership, narrower_classes(membership.T.tocsr()))
    kept = counts - counts.multiply(dropped.astype(np.int32))
    kept = sparse.csr_array(kept)
    kept.eliminate_zeros()
    return kept.astype(bool)
