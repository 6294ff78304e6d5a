"""Pool: the entities that an auxiliary model takes for the answer (near miss)."""

import torch
from pykeen.models import ERModel

from negsamp.auxiliary import best_scored, entity_vectors, predicted_vectors
from negsamp.pools.search import Metric, nearest
from negsamp.pools.spans import LookUp, Pools
from negsamp.triples import TripleSet

__all__ = ["adversarial_pools"]


def adversarial_pools(
    triples: TripleSet, auxiliary: ERModel, num_neighbors: int = 100, metric: Metric = "euclidean"
) -> Pools:
    """Collect the k entities nearest to the predicted vector of each pair, or its k best-scored ones [kotnis2017]_.

    :param triples: the graph
    :param auxiliary: the trained auxiliary model; one without predicted vectors is asked for its scores instead
    :param num_neighbors: k, before anything is excluded
    :param metric: the distance to the predicted vector
    """
    anchors, relations, sides, _ = triples.completions()
    keys = torch.unique(triples.pair_keys(anchors, relations, sides))
    anchors, relations, sides = triples.unpair(keys)
    k = min(num_neighbors, triples.num_entities)
    vectors = predicted_vectors(auxiliary, anchors, relations, sides)
    if vectors is None:
        ids = best_scored(auxiliary, anchors, relations, sides, k)
    else:
        ids = nearest(vectors, entity_vectors(auxiliary), k, metric=metric)
    rows = torch.arange(len(keys)).repeat_interleave(k)
    return Pools.from_rows(LookUp.PAIR, triples, rows, ids.flatten(), len(keys), index=keys)
