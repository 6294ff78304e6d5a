"""PyKEEN's pipeline as we run it, and the metrics that are reported."""

import gc
from typing import Any

import torch
from pykeen.evaluation import MetricResults, RankBasedEvaluator
from pykeen.models import Model
from pykeen.pipeline import PipelineResult, pipeline
from pykeen.training.training_loop import NonFiniteLossError
from pykeen.triples import CoreTriplesFactory
from pykeen.typing import FloatTensor, MappedTriples, Target

from negsamp.io import stable_seed
from negsamp.triples import triples_digest

__all__ = ["METRICS", "FiniteEvaluator", "metrics_of", "run_pipeline", "sample_triples"]

#: by PyKEEN's names; both sides, realistic rank, filtered
METRICS = (
    "inverse_harmonic_mean_rank",
    "hits_at_1",
    "hits_at_3",
    "hits_at_10",
    "adjusted_arithmetic_mean_rank_index",
)


class FiniteEvaluator(RankBasedEvaluator):
    """Refuses to rank by numbers that are none: PyKEEN would fail in many ways, or count them as good ranks."""

    def evaluate(self, model: Model, *args: Any, **kwargs: Any) -> MetricResults:
        """Evaluate a model.

        :raises NonFiniteLossError: if a parameter of the model is not finite
        """
        if not all(bool(parameter.isfinite().all()) for parameter in model.parameters()):
            raise NonFiniteLossError("a parameter of the model is not finite")
        return super().evaluate(model, *args, **kwargs)

    def process_scores_(
        self,
        hrt_batch: MappedTriples,
        target: Target,
        scores: FloatTensor,
        true_scores: FloatTensor | None = None,
        dense_positive_mask: FloatTensor | None = None,
    ) -> None:
        """Rank a batch.

        :raises NonFiniteLossError: if the score of a ranked triple is not finite
        """
        if true_scores is not None and not true_scores.isfinite().all():
            raise NonFiniteLossError("a score is not finite")
        super().process_scores_(hrt_batch, target, scores, true_scores, dense_positive_mask)


def run_pipeline(**kwargs: Any) -> PipelineResult:
    """Run :func:`pykeen.pipeline.pipeline`, without a walk through everything imported after each epoch.

    PyKEEN collects garbage once an epoch, which takes about 0.2 s where torch and pandas are loaded.

    :raises NonFiniteLossError: if the training diverged
    """
    gc.freeze()
    try:
        return pipeline(evaluator=FiniteEvaluator, **kwargs)
    finally:
        gc.unfreeze()


def metrics_of(results: MetricResults) -> dict[str, float]:
    """Pick the reported metrics."""
    return {name: float(results.get_metric(f"both.realistic.{name}")) for name in METRICS}


def sample_triples(factory: CoreTriplesFactory, size: int | None) -> CoreTriplesFactory:
    """Choose triples to rank at random, always the same ones of the same triples.

    :param factory: the split that is ranked
    :param size: how many; None: all
    """
    if size is None or size >= factory.num_triples:
        return factory
    seed = stable_seed(triples_digest(factory.mapped_triples), "evaluation")
    chosen = torch.randperm(factory.num_triples, generator=torch.Generator().manual_seed(seed))[:size]
    return factory.clone_and_exchange_triples(factory.mapped_triples[chosen.sort().values])
