"""How large the pools are: the paper's first result table, exact."""

from collections.abc import Iterator
from typing import Any

import torch
from pykeen.typing import LongTensor

from negsamp.pools.queries import Queries
from negsamp.pools.stage import Stage
from negsamp.triples import HEAD, TAIL, TripleSet

__all__ = ["pool_sizes", "pool_statistics"]

#: how many queries are asked for in one step
CHUNK = 1 << 20

#: the sizes at which the share of small pools is told
THRESHOLDS = (0, 2, 10, 40, 100)


def pool_sizes(stage: Stage, triples: TripleSet) -> tuple[LongTensor, LongTensor]:
    """Count what each query of the training triples may draw from: its pool less its known positives.

    Queries are the distinct pairs; for pools looked up by the replaced entity, each triple and side.

    :param stage: pools with all known positives excluded, see :meth:`negsamp.PoolNegativeSampler.filtered_stage`
    :param triples: the graph

    :returns: sizes and sides, shape: (num_queries,)
    """
    sizes, sides = zip(*_sizes(stage, triples), strict=True)
    return torch.cat(sizes), torch.cat(sides)


def _sizes(stage: Stage, triples: TripleSet) -> Iterator[tuple[LongTensor, LongTensor]]:
    """Give sizes and sides of some queries at a time."""
    # a pool that is not looked up by what is replaced does not depend on it, and every known positive is excluded
    completions = torch.arange(2 * len(triples.triples))
    if not stage.pools.is_by_replaced:
        pairs = triples.known_positives.completion_rows.long()
        # any one of each pair
        completions = torch.empty_like(triples.known_positives.keys).scatter_(0, pairs, completions)
    for part in completions.split(CHUNK):
        queries = Queries(triples, completions=part)
        yield torch.from_numpy(stage.ask(queries, own_is_known=True).free), queries.sides


def pool_statistics(stage: Stage, triples: TripleSet) -> dict[str, Any]:
    """Summarise the pool sizes, over both sides and for each.

    :returns: ``queries``, ``mean``, ``median`` (the mean of the two middle ones), ``share_at_most`` by threshold, the
        same under ``sides``, and the exact ``histogram``; plain numbers
    """
    # how many queries of each side have a pool of each size
    counts = torch.zeros(2, triples.num_entities + 1, dtype=torch.long)
    for sizes, sides in _sizes(stage, triples):
        counts += torch.bincount(sides * counts.shape[1] + sizes, minlength=counts.numel()).view_as(counts)
    both = counts.sum(dim=0)
    sizes = both.nonzero().squeeze(dim=-1)
    return {
        **_summary(both),
        "sides": {name: _summary(counts[side]) for name, side in (("head", HEAD), ("tail", TAIL))},
        "histogram": {"sizes": sizes.tolist(), "counts": both[sizes].tolist()},
    }


def _summary(counts: LongTensor) -> dict[str, Any]:
    """Summarise a histogram, shape: (num_entities + 1,)."""
    up_to = counts.cumsum(dim=0)
    queries = int(up_to[-1])
    # the sizes of the two queries in the middle
    low, high = (int(torch.searchsorted(up_to, place, right=True)) for place in ((queries - 1) // 2, queries // 2))
    return {
        "queries": queries,
        # sums of integers: exact, so that the mean is the nearest double
        "mean": int((counts * torch.arange(len(counts))).sum()) / queries,
        "median": (low + high) / 2,
        "share_at_most": {str(size): int(up_to[min(size, len(up_to) - 1)]) / queries for size in THRESHOLDS},
    }
