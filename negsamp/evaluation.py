"""The metrics that are reported, by PyKEEN's names."""

import math

from pykeen.evaluation import MetricResults

__all__ = ["METRICS", "metrics_of"]

#: both sides, realistic rank, filtered
METRICS = (
    "inverse_harmonic_mean_rank",
    "hits_at_1",
    "hits_at_3",
    "hits_at_10",
    "adjusted_arithmetic_mean_rank_index",
)


def metrics_of(results: MetricResults) -> dict[str, float]:
    """Pick the reported metrics.

    :raises ValueError: if one is not a finite number
    """
    metrics = {name: float(results.get_metric(f"both.realistic.{name}")) for name in METRICS}
    if not all(map(math.isfinite, metrics.values())):
        raise ValueError(f"the evaluation gave {metrics}")
    return metrics
