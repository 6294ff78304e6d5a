"""One training and its evaluation: what a trial and a retraining have in common."""

import platform
import resource
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any, Literal

import torch
from pykeen.pipeline import PipelineResult
from pykeen.training.training_loop import NonFiniteLossError
from pykeen.triples import CoreTriplesFactory

from negsamp.callbacks import RefreshTrainingCallback
from negsamp.datasets import SchemaDataset
from negsamp.models import takes_regularizer, with_l2
from negsamp.pipeline import metrics_of, run_pipeline, sample_triples
from negsamp.sampling import SAMPLERS, PoolNegativeSampler, SamplerHandle
from negsamp.triples import triples_digest

__all__ = ["Options", "Outcome", "Study", "Training"]

#: what a training found out, the same bytes for the same training; and what it cost, which is not
Outcome = tuple[dict[str, Any], dict[str, Any]]


@dataclass(frozen=True)
class Study:
    """What is compared: one cell of the tables."""

    dataset: str
    #: a PyKEEN model by name
    model: str
    #: a sampler of PyKEEN's or ours by name
    sampler: str
    #: negatives a positive
    negatives: int


@dataclass(frozen=True)
class Options:
    """What is the same for all trainings of an experiment."""

    epochs: int = 100
    batch_size: int = 1000
    embedding_dim: int = 100
    #: how many validation (test) triples are ranked, a fixed random choice; None: all
    max_evaluation_triples: int | None = None
    #: None: the first GPU, if there is one
    device: str | None = None
    #: options of the draw: ``filtered``, ``fallback``, ``corruption``, ``infer_schema``; pools are found beforehand, or
    #: by the model in training with the options of that search
    sampling: Mapping[str, Any] = field(default_factory=dict)
    #: options of :class:`negsamp.RefreshTrainingCallback`, for pools that are found by the model in training
    refresh: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Training:
    """One training of a model with a sampler, and the ranking of a split: a trial, or a retraining."""

    dataset: SchemaDataset
    study: Study
    #: ``margin``, ``learning_rate``, ``l2_weight``
    parameters: Mapping[str, float]
    #: fixes the result on one kind of machine
    random_seed: int
    options: Options
    #: the stored pools; None for samplers that have none beforehand
    pools: str | None
    #: what is ranked; test triples are looked at for ``"testing"`` alone
    split: Literal["validation", "testing"]

    def run(self) -> Outcome:
        """Train and rank. A training that diverges or runs out of memory is a result, recorded with its reason."""
        handle = SamplerHandle()
        metrics, reason = None, None
        cost: dict[str, Any] = {"training_s": None, "evaluation_s": None}
        try:
            result = self._pipeline(handle)
            metrics = metrics_of(result.metric_results)
            cost = {"training_s": result.train_seconds, "evaluation_s": result.evaluate_seconds}
        except NonFiniteLossError as error:
            reason = f"diverged: {error}"
        except (MemoryError, RuntimeError) as error:
            if not isinstance(error, MemoryError | torch.OutOfMemoryError) and "allocate memory" not in str(error):
                raise
            reason = f"out of memory: {str(error).partition(chr(10))[0]}"
        peak_memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return self.record(metrics, reason, handle.sampler), {
            **cost,
            "peak_memory_mb": peak_memory_mb,
            "versions": _versions(),
        }

    def record(
        self, metrics: dict[str, float] | None, reason: str | None, sampler: PoolNegativeSampler | None
    ) -> dict[str, Any]:
        """Write down what the training was, and what came of it.

        :param metrics: None: the training failed
        :param reason: why it failed
        :param sampler: what has drawn; None: a sampler of PyKEEN's, or none that can be asked any more
        """
        l2_weight = self.parameters["l2_weight"] if takes_regularizer(self.study.model) else None
        return {
            **asdict(self.study),
            "parameters": {**self.parameters, "l2_weight": l2_weight},
            "random_seed": self.random_seed,
            "options": asdict(self.options),
            "ranked_triples": sample_triples(self._split, self.options.max_evaluation_triples).num_triples,
            "archive": self.dataset.report["archive"],
            "triples_digest": triples_digest(self.dataset.training.mapped_triples),
            "state": "failed" if metrics is None else "complete",
            "reason": reason,
            "metrics": metrics,
            "slots": None if sampler is None else sampler.usage.total(),
            "inferred": None if sampler is None else sampler.inferred,
        }

    @property
    def _split(self) -> CoreTriplesFactory:
        split: CoreTriplesFactory = getattr(self.dataset, self.split)
        return split

    def _pipeline(self, handle: SamplerHandle) -> PipelineResult:
        study, options = self.study, self.options
        ranked = sample_triples(self._split, options.max_evaluation_triples)
        is_adaptive = study.sampler in SAMPLERS and SAMPLERS[study.sampler].needs == "training"
        return run_pipeline(
            training=self.dataset.training,
            # PyKEEN wants all three splits: what is ranked stands in, so that no test triple is given to a trial
            validation=self.dataset.validation if self.split == "testing" else ranked,
            testing=ranked,
            model=study.model,
            model_kwargs=with_l2(study.model, {"embedding_dim": options.embedding_dim}, self.parameters["l2_weight"]),
            loss="marginranking",
            loss_kwargs={"margin": self.parameters["margin"]},
            learning_rate=self.parameters["learning_rate"],
            training_loop="slcwa",
            # PyKEEN's size probing would draw negatives that no training sees
            training_loop_kwargs={"automatic_memory_optimization": False},
            training_kwargs={
                "num_epochs": options.epochs,
                "batch_size": options.batch_size,
                "pin_memory": False,
                "callbacks": RefreshTrainingCallback(**options.refresh) if is_adaptive else None,
            },
            negative_sampler=study.sampler,
            negative_sampler_kwargs=self._sampler_kwargs(handle),
            evaluation_kwargs={
                # the triples of the split that are not ranked are positives all the same
                "additional_filter_triples": [self._split.mapped_triples],
            },
            use_testing_data=self.split == "testing",
            use_tqdm=False,
            device=options.device,
            random_seed=self.random_seed,
        )

    def _sampler_kwargs(self, handle: SamplerHandle) -> dict[str, Any]:
        kwargs: dict[str, Any] = {"num_negs_per_pos": self.study.negatives}
        if self.study.sampler not in SAMPLERS:
            return kwargs
        return {**kwargs, **self.options.sampling, "pools": self.pools, "schema": self.dataset.schema, "handle": handle}


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in ("negsamp", "pykeen", "torch")}}
