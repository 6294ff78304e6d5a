"""PyKEEN's pipeline as we run it, and the metrics that are reported."""

import gc
from collections.abc import Mapping
from typing import Any, cast

import torch
from pykeen.evaluation import MetricResults
from pykeen.pipeline import PipelineResult, pipeline
from pykeen.training.callbacks import TrainingCallback
from pykeen.triples import CoreTriplesFactory
from tqdm import tqdm

from negsamp.evaluation import FastRankBasedEvaluator
from negsamp.io import stable_seed
from negsamp.progress import progress
from negsamp.triples import triples_digest
from negsamp.twins import twin_of

__all__ = ["METRICS", "metrics_of", "run_pipeline", "sample_triples"]

#: by PyKEEN's names; both sides, realistic rank, filtered
METRICS = (
    "inverse_harmonic_mean_rank",
    "hits_at_1",
    "hits_at_3",
    "hits_at_10",
    "adjusted_arithmetic_mean_rank_index",
)


def run_pipeline(
    *,
    model: str,
    learning_rate: float,
    training_kwargs: Mapping[str, Any],
    evaluator: FastRankBasedEvaluator | type[FastRankBasedEvaluator] = FastRankBasedEvaluator,
    **kwargs: Any,
) -> PipelineResult:
    """Run :func:`pykeen.pipeline.pipeline` with Adam, the evaluator of this package, and what is imported left alone.

    Some models have quicker :mod:`twins <negsamp.twins>`. Adam is torch's fused one: gradients are as long as the
    entities, and it goes through them once instead of ten times, which saves a fifth of an epoch of TransE on WN18.
    PyKEEN collects garbage once an epoch, and walks through all that is imported: about 0.2 s with torch and pandas.

    :param model: PyKEEN's name of the model
    :param learning_rate: Adam's
    :param training_kwargs: options of the training loop, ``num_epochs`` among them
    :param evaluator: what evaluates, or its class
    :param kwargs: the other options of the pipeline

    :raises NonFiniteLossError: if the training diverged
    """
    callbacks = training_kwargs.get("callbacks") or []
    gc.freeze()
    try:
        with progress(description="training", unit="epoch", total=training_kwargs["num_epochs"]) as bar:
            return pipeline(
                model=twin_of(model),
                optimizer="adam",
                optimizer_kwargs={"lr": learning_rate, "fused": True},
                evaluator=cast(Any, evaluator),
                training_kwargs={**training_kwargs, "callbacks": [*callbacks, _Epochs(bar)], "use_tqdm": False},
                **kwargs,
            )
    finally:
        gc.unfreeze()


class _Epochs(TrainingCallback):
    """Moves a bar on, in place of PyKEEN's own."""

    def __init__(self, bar: tqdm) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._bar = bar

    def post_epoch(self, epoch: int, epoch_loss: float, **kwargs: Any) -> None:
        self._bar.set_postfix(loss=f"{epoch_loss:.3g}", refresh=False)
        self._bar.update()


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
