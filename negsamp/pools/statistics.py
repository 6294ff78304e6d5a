"""How large the pools are: the paper's first result table, exact."""

from typing import Any

import torch
from pykeen.typing import BoolTensor, LongTensor

from negsamp.pools.queries import Queries
from negsamp.pools.stage import Stage
from negsamp.triples import HEAD, TAIL, TripleSet

__all__ = ["pool_sizes", "pool_statistics"]

#: the sizes at which the share of small pools is told
THRESHOLDS = (0, 2, 10, 40, 100)


def pool_sizes(stage: Stage, triples: TripleSet) -> tuple[LongTensor, LongTensor]:
    """Count what each query of the training triples may draw from: its pool less its known positives.

    Queries are the distinct pairs; for pools looked up by the replaced entity, each triple and side.

    :param stage: pools with all known positives excluded, see :meth:`negsamp.PoolNegativeSampler.filtered_stage`
    :param triples: the graph

    :returns: sizes and sides, shape: (num_queries,)
    """
    if stage.pools.is_by_replaced:
        completions = torch.arange(2 * len(triples.triples))
        queries = Queries(triples, *triples.completions(), completions=completions)
    else:
        # such a pool does not depend on what is replaced, and every known positive is among the exclusions
        queries = Queries.of_pairs(triples, triples.known_positives.keys)
    return stage.ask(queries, own_is_known=True).free, queries.sides


def pool_statistics(stage: Stage, triples: TripleSet) -> dict[str, Any]:
    """Summarise the pool sizes, over both sides and for each.

    :returns: ``queries``, ``mean``, ``median`` (the mean of the two middle ones), ``share_at_most`` by threshold, the
        same under ``sides``, and the exact ``histogram``; plain numbers
    """
    sizes, sides = pool_sizes(stage, triples)
    values, counts = torch.unique(sizes, return_counts=True)
    return {
        **_summary(sizes),
        "sides": {name: _summary(sizes[_is(sides, side)]) for name, side in (("head", HEAD), ("tail", TAIL))},
        "histogram": {"sizes": values.tolist(), "counts": counts.tolist()},
    }


def _is(sides: LongTensor, side: int) -> BoolTensor:
    return sides == side


def _summary(sizes: LongTensor) -> dict[str, Any]:
    count = len(sizes)
    ordered = sizes.sort().values
    return {
        "queries": count,
        # sums of integers: exact, so that the mean is the nearest double
        "mean": int(sizes.sum()) / count,
        "median": int(ordered[(count - 1) // 2] + ordered[count // 2]) / 2,
        "share_at_most": {str(size): int((sizes <= size).sum()) / count for size in THRESHOLDS},
    }
