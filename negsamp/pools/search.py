"""Search for the entities nearest to query vectors: exact and in bounded memory, or approximate by faiss."""

from collections.abc import Iterator
from typing import Any, Literal, get_args

import torch
from pykeen.typing import FloatTensor, LongTensor

from negsamp.errors import InputError
from negsamp.kernels import best
from negsamp.progress import progress

__all__ = ["Metric", "Search", "check_search", "nearest", "nearest_by_faiss", "score_blocks", "top_ids"]

Metric = Literal["euclidean", "dot", "cosine"]
Search = Literal["exact", "faiss"]

#: bytes of one block of scores: what an exact search holds at a time is a small multiple of it
MEMORY_BUDGET = 64 << 20


def check_search(num_neighbors: int, search: Search, metric: Metric, *, grow: bool) -> None:
    """Refuse options of a search that have no such value, or do not go together.

    :raises ValueError: saying what is wrong
    """
    if num_neighbors < 1:
        raise ValueError(f"num_neighbors is {num_neighbors}; it must be 1 or more")
    for name, value, choices in (("metric", metric, get_args(Metric)), ("search", search, get_args(Search))):
        if value not in choices:
            raise ValueError(f"{name} is {value!r}; it must be one of {', '.join(choices)}")
    if grow and search != "exact":
        raise ValueError("grow=True needs to know which entities come next: use search='exact'")


def score_blocks(
    queries: FloatTensor, entities: FloatTensor, metric: Metric
) -> Iterator[tuple[LongTensor, FloatTensor]]:
    """Score all entities for some queries at a time; the larger the score, the nearer.

    Scores are computed in double precision, so that rounding does not decide.

    :param queries: shape: (num_queries, dim)
    :param entities: shape: (num_entities, dim), on the same device
    :param metric: ``"euclidean"`` (distance), ``"dot"`` or ``"cosine"`` (product)

    :yields: the positions of the queries, shape: (block_size,); and their scores, shape: (block_size, num_entities)
    """
    queries, entities = queries.double(), entities.double()
    squares = entities.square().sum(dim=-1)
    positions = torch.arange(len(queries), device=queries.device)
    blocks = torch.split(positions, rows_in_budget(len(entities), bytes_each=8))
    for block in progress(blocks, description="searching the nearest", unit="block"):
        scores = queries[block] @ entities.T
        # what depends on the query alone changes no order, and no root is taken: exact on whole numbers
        if metric == "euclidean":
            scores -= squares / 2
        elif metric == "cosine":
            scores *= scores.abs() / torch.where(squares > 0, squares, 1)
        yield block, scores


def rows_in_budget(numbers: int, bytes_each: int) -> int:
    """Return how many rows of so many numbers fit into the memory budget, at least one."""
    return max(MEMORY_BUDGET // (max(numbers, 1) * bytes_each), 1)


def nearest(
    queries: FloatTensor, entities: FloatTensor, k: int, metric: Metric = "euclidean", skip: LongTensor | None = None
) -> LongTensor:
    """Find the k entities nearest to each query; ties: the lower id first.

    :param queries: shape: (num_queries, dim)
    :param entities: shape: (num_entities, dim)
    :param k: how many; at most the number of entities (less the skipped one)
    :param metric: see :func:`score_blocks`
    :param skip: shape: (num_queries,): one entity a query that does not count

    :returns: shape: (num_queries, k), ascending ids in each row
    """
    found = [torch.empty(0, k, dtype=torch.long, device=queries.device)]
    for block, scores in score_blocks(queries, entities, metric):
        if skip is not None:
            scores.scatter_(1, skip[block, None], -torch.inf)
        found.append(top_ids(scores, k))
    return torch.cat(found)


def top_ids(scores: FloatTensor, k: int) -> LongTensor:
    """Return the ids of the k largest scores of each row; ties: the lower id first.

    :param scores: shape: (num_rows, num_ids)
    :param k: how many, at most ``num_ids``

    :returns: shape: (num_rows, k), ascending ids in each row
    """
    if scores.is_cpu:
        return best(scores, k)
    values, ids = scores.topk(k, dim=-1)
    # only a tie across the border makes the chosen set depend on an order
    tied = (scores >= values[:, -1:]).sum(dim=-1) > k
    if tied.any():
        ids[tied] = scores[tied].sort(dim=-1, descending=True, stable=True).indices[:, :k]
    return ids.sort(dim=-1).values


def nearest_by_faiss(
    queries: FloatTensor, entities: FloatTensor, k: int, metric: Metric = "euclidean", skip: LongTensor | None = None
) -> LongTensor:
    """Find about the k entities nearest to each query, with an inverted-file index of faiss, in single precision.

    The entities are clustered into about 4·√n cells, and a sixteenth of these (at least eight) is searched for each
    query, in time that grows with √n where an exact search's grows with n.

    :param queries: as for :func:`nearest`, and the other parameters too

    :returns: shape: (num_queries, k); −1 for an entity that was not found

    :raises InputError: if faiss is not installed
    """
    try:
        import faiss
    except ImportError as error:
        raise InputError("search='faiss' needs the package faiss: pip install faiss-cpu") from error
    points, wanted = entities.float().cpu().numpy(), queries.float().cpu().numpy()
    if metric == "cosine":
        points, wanted = points.copy(), wanted.copy()
        faiss.normalize_L2(points)
        faiss.normalize_L2(wanted)
    cells = max(min(int(4 * len(points) ** 0.5), len(points) // 39), 1)
    kind = faiss.METRIC_L2 if metric == "euclidean" else faiss.METRIC_INNER_PRODUCT
    index: Any = faiss.index_factory(points.shape[1], f"IVF{cells},Flat", kind)
    index.train(points)
    index.add(points)
    index.nprobe = min(max(cells // 16, 8), cells)
    _, ids = index.search(wanted, k if skip is None else k + 1)
    found = torch.as_tensor(ids, device=queries.device)
    if skip is None:
        return found
    # the skipped entity is dropped where it was found, the last one elsewhere
    is_skipped = found == skip[:, None]
    is_skipped[:, -1] |= ~is_skipped.any(dim=-1)
    return found[~is_skipped].view(len(found), k)
