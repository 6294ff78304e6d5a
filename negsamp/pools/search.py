"""Exact search for the entities nearest to query vectors, in bounded memory."""

from typing import Literal, get_args

import torch
from pykeen.typing import FloatTensor, LongTensor

__all__ = ["Metric", "nearest", "top_ids"]

Metric = Literal["euclidean", "dot", "cosine"]

#: numbers in one block of scores, 8 bytes each: 256 MiB
BLOCK = 1 << 25


def nearest(
    queries: FloatTensor, entities: FloatTensor, k: int, metric: Metric = "euclidean", skip: LongTensor | None = None
) -> LongTensor:
    """Find the k entities nearest to each query; ties: the lower id first.

    Scores are computed in double precision, so that rounding does not decide.

    :param queries: shape: (num_queries, dim)
    :param entities: shape: (num_entities, dim)
    :param k: how many; at most the number of entities (less the skipped one)
    :param metric: ``"euclidean"`` (smallest distance), ``"dot"`` or ``"cosine"`` (largest product)
    :param skip: shape: (num_queries,): one entity a query that does not count

    :returns: shape: (num_queries, k), ascending ids in each row

    :raises ValueError: for any other metric
    """
    if metric not in get_args(Metric):
        raise ValueError(f"metric is {metric!r}; it must be one of {', '.join(get_args(Metric))}")
    queries, entities = queries.double(), entities.double()
    squares = entities.square().sum(dim=-1)
    rows = max(BLOCK // max(len(entities), 1), 1)
    found = []
    for start in range(0, len(queries), rows):
        scores = queries[start : start + rows] @ entities.T
        # what depends on the query alone changes no order, and no root is taken: exact on whole numbers
        if metric == "euclidean":
            scores -= squares / 2
        elif metric == "cosine":
            scores *= scores.abs() / torch.where(squares > 0, squares, 1)
        if skip is not None:
            scores.scatter_(1, skip[start : start + rows, None], -torch.inf)
        found.append(top_ids(scores, k))
    return torch.cat(found) if found else torch.empty(0, k, dtype=torch.long)


def top_ids(scores: FloatTensor, k: int) -> LongTensor:
    """Return the ids of the k largest scores of each row; ties: the lower id first.

    :param scores: shape: (num_rows, num_ids)
    :param k: how many, at most ``num_ids``

    :returns: shape: (num_rows, k), ascending ids in each row
    """
    values, ids = scores.topk(k, dim=-1)
    # only a tie across the border makes the chosen set depend on an order
    tied = (scores >= values[:, -1:]).sum(dim=-1) > k
    if tied.any():
        ids[tied] = scores[tied].sort(dim=-1, descending=True, stable=True).indices[:, :k]
    return ids.sort(dim=-1).values
