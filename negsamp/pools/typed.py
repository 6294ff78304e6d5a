"""Pool: the members of a relation's domain or range, and the wider ones of its ancestors."""

from collections.abc import Iterator

import numpy as np
from scipy import sparse

from negsamp.pools.spans import LookUp, Pools
from negsamp.schema import Schema
from negsamp.triples import TripleSet

__all__ = ["typed_ancestor_pools", "typed_pools"]


def typed_pools(triples: TripleSet, schema: Schema) -> Pools:
    """Collect the members of each relation's domain (for its heads) and range (for its tails) [krompass2015]_.

    Several classes mean their union; members of a class include those of its descendants.
    """
    return Pools.from_sparse(LookUp.RELATION, triples, boolean_product(schema.relation_classes(), schema.members()))


def typed_ancestor_pools(triples: TripleSet, schema: Schema) -> Iterator[Pools]:
    """Widen domains and ranges: members of the ancestors at distance ≤ 1, ≤ 2, and so on."""
    for matrix in widened(schema.relation_classes(), schema, typed_pools(triples, schema)):
        yield Pools.from_sparse(LookUp.RELATION, triples, matrix)


def widened(classes: sparse.csr_array, schema: Schema, narrow: Pools) -> Iterator[sparse.csr_array]:
    """Give the members of all ancestors of each row's classes, one step further up each time.

    A row that a step does not enlarge is empty in that step: the stage before it has given all of it.

    :param classes: shape: (num_rows, num_classes)
    :param schema: the schema
    :param narrow: the pools that are widened, one a row

    :yields: shape: (num_rows, num_entities)
    """
    members = schema.members()
    sizes = narrow.lengths.numpy()[: classes.shape[0]]
    for distance in range(1, schema.height() + 1):
        matrix = boolean_product(boolean_product(classes, schema.ancestors(distance)), members)
        wider = np.diff(matrix.indptr)
        keep = sparse.diags_array((wider > sizes).astype(np.int32), format="csr", dtype=np.int32)
        yield boolean_product(keep, matrix)
        sizes = np.maximum(sizes, wider)


def boolean_product(left: sparse.csr_array, right: sparse.csr_array) -> sparse.csr_array:
    """Return which row of the left matrix reaches which column of the right one."""
    product = (left.astype(np.int32) @ right.astype(np.int32)).tocsr()
    product.eliminate_zeros()
    product.data = np.ones(product.nnz, dtype=bool)
    return product
