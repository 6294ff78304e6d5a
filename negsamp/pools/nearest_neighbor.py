"""Pool: the entities nearest to the one that is replaced, in an auxiliary model's space."""

import torch
from pykeen.models import ERModel

from negsamp.auxiliary import entity_vectors
from negsamp.pools.search import Metric, nearest
from negsamp.pools.spans import LookUp, Pools
from negsamp.triples import TripleSet

__all__ = ["nearest_neighbor_pools"]


def nearest_neighbor_pools(
    triples: TripleSet, auxiliary: ERModel, num_neighbors: int = 100, metric: Metric = "euclidean"
) -> Pools:
    """Collect the k nearest entities of each entity, itself not counted [kotnis2017]_.

    :param triples: the graph
    :param auxiliary: the trained auxiliary model
    :param num_neighbors: k, before anything is excluded
    :param metric: the distance
    """
    vectors = entity_vectors(auxiliary)
    ids = torch.arange(triples.num_entities)
    k = min(num_neighbors, triples.num_entities - 1)
    neighbors = nearest(vectors, vectors, k, metric=metric, skip=ids)
    rows = ids.repeat_interleave(k)
    return Pools.from_rows(LookUp.REPLACED, triples, rows, neighbors.flatten(), triples.num_entities, index=ids)
