"""One training and its evaluation: what a trial and a retraining have in common."""

from __future__ import annotations

import inspect
import platform
import resource
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import numpy as np
import torch
from optuna import TrialPruned
from pykeen.losses import loss_resolver
from pykeen.models import ERModel
from pykeen.pipeline import PipelineResult
from pykeen.sampling import NegativeSampler, negative_sampler_resolver
from pykeen.stoppers import EarlyStopper, Stopper
from pykeen.training.callbacks import TrainingCallback
from pykeen.training.training_loop import NonFiniteLossError
from pykeen.triples import CoreTriplesFactory
from pykeen.typing import LongTensor
from pykeen.utils import resolve_device

from negsamp.callbacks import BestEpochTrainingCallback, RefreshTrainingCallback
from negsamp.choice import OBJECTIVE
from negsamp.datasets import SchemaDataset
from negsamp.errors import InputError
from negsamp.evaluation import FastRankBasedEvaluator
from negsamp.models import save_model, takes_regularizer, with_l2
from negsamp.pipeline import metrics_of, run_pipeline, sample_triples
from negsamp.pools import Pools
from negsamp.sampling import SAMPLERS, PoolNegativeSampler, SamplerHandle
from negsamp.significance import mean_interval
from negsamp.triples import triples_digest

__all__ = ["LOOPS", "Options", "Outcome", "Study", "Training", "takes_margin"]

#: PyKEEN's training loops that sample no negatives; a study may name one in place of a sampler, with 0 negatives
LOOPS = ("lcwa", "symmetriclcwa")


class Outcome(NamedTuple):
    """What came of a training, as it is written to JSON."""

    #: what it found out, the same bytes for the same training
    record: dict[str, Any]
    #: what it cost, which is not
    cost: dict[str, Any]
    #: by side, the realistic rank of each ranked triple; None: it failed
    ranks: dict[str, list[float]] | None


@dataclass(frozen=True)
class Study:
    """What is compared: one cell of the tables."""

    dataset: str
    #: a PyKEEN model by name
    model: str
    #: a sampler of PyKEEN's or ours by name, or one of :data:`LOOPS`
    sampler: str
    #: negatives a positive; 0 where none are sampled
    negatives: int


@dataclass(frozen=True)
class Options:
    """What is the same for all trainings of an experiment."""

    epochs: int = 100
    batch_size: int = 1000
    embedding_dim: int = 100
    #: PyKEEN's name of the loss, and its options; a ``margin``, where it takes one, is the trial's
    loss: str = "marginranking"
    loss_kwargs: Mapping[str, Any] = field(default_factory=dict)
    #: ``frequency``, ``patience`` and ``relative_delta`` of PyKEEN's early stopper, on validation MRR; None: all epochs
    early_stopping: Mapping[str, Any] | None = None
    #: how many validation (test) triples are ranked, a fixed random choice; None: all
    max_evaluation_triples: int | None = None
    #: None: the first GPU, if there is one
    device: str | None = None
    #: options of the draw: ``filtered``, ``fallback``, ``corruption``, ``infer_schema``; pools are found beforehand, or
    #: by the model in training with the options of that search
    sampling: Mapping[str, Any] = field(default_factory=dict)
    #: options of :class:`negsamp.RefreshTrainingCallback`, for pools that are found by the model in training
    refresh: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse options of the loss that would fail in each training, or be replaced silently."""
        known = sorted(set(_options_of(self.loss)) - {"margin"})
        if unknown := sorted(set(self.loss_kwargs) - set(known)):
            is_searched = "margin" in unknown and takes_margin(self.loss)
            found = "hpo.space searches for the margin" if is_searched else f"it has {', '.join(known)}"
            raise InputError(f"loss_kwargs: no option {unknown[0]!r} of the loss {self.loss!r} can be given; {found}")


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
    #: pools, or the file that they are stored in; None for samplers that have none beforehand
    pools: Pools | str | None
    #: what is ranked; test triples are looked at for ``"testing"`` alone
    split: Literal["validation", "testing"]
    #: PyKEEN's ``result_tracker`` and ``result_tracker_kwargs``, which decide no result
    tracking: Mapping[str, Any] = field(default_factory=dict)
    #: asked at each evaluation of early stopping whether to give up, by epochs and MRR up to now; None: never
    should_prune: Callable[[Sequence[tuple[int, float]]], bool] | None = None
    #: where the trained model goes, see :func:`negsamp.models.save_model`; None: nowhere
    model_path: Path | None = None

    def run(self) -> Outcome:
        """Train and rank. A training that diverges or runs out of memory is a result, recorded with its reason."""
        handle, watch = SamplerHandle(), Stopwatch()
        evaluator = FastRankBasedEvaluator(known_positives=self.dataset.validation.mapped_triples)
        evaluations: list[tuple[int, float]] = []
        result, reason, state = None, None, "failed"
        try:
            with tempfile.TemporaryDirectory() as folder:
                result = self._pipeline(handle, watch, evaluator, evaluations, Path(folder) / "best.pt")
        except TrialPruned:
            state, reason = "pruned", f"pruned after epoch {evaluations[-1][0]}"
        except NonFiniteLossError as error:
            reason = f"diverged: {error}"
        except (MemoryError, RuntimeError) as error:
            if not isinstance(error, MemoryError | torch.OutOfMemoryError) and "allocate memory" not in str(error):
                raise
            reason = f"out of memory: {str(error).partition(chr(10))[0]}"
        cost = {
            "training_s": None if result is None else result.train_seconds,
            "sampling_s": None if result is None or self.study.sampler in LOOPS else watch.seconds,
            "evaluation_s": None if result is None else result.evaluate_seconds,
            "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "versions": versions(),
            "device": str(resolve_device(self.options.device)),
        }
        if result is None:
            record = self.record(state, reason=reason, evaluations=evaluations, sampler=handle.sampler)
            return Outcome(record, cost, None)
        if self.model_path is not None:
            self._save(cast(ERModel, result.model), self.model_path)
        ranks = evaluator.realistic_ranks
        record = self.record(
            "complete",
            metrics=metrics_of(result.metric_results),
            interval=mean_interval(np.mean([1 / of_side for of_side in ranks.values()], axis=0)),
            best_epoch=result.stopper.best_epoch if isinstance(result.stopper, EarlyStopper) else None,
            evaluations=evaluations,
            sampler=handle.sampler,
        )
        return Outcome(record, cost, {str(side): of_side.tolist() for side, of_side in sorted(ranks.items())})

    def record(
        self,
        state: str = "failed",
        *,
        metrics: dict[str, float] | None = None,
        interval: tuple[float, float] | None = None,
        best_epoch: int | None = None,
        evaluations: Sequence[tuple[int, float]] = (),
        reason: str | None = None,
        sampler: PoolNegativeSampler | None = None,
    ) -> dict[str, Any]:
        """Write down what the training was, and what came of it.

        :param state: ``"complete"``, ``"failed"`` or ``"pruned"``
        :param metrics: of one that is complete
        :param interval: the ends of a 95 % interval of the MRR, over the ranked triples
        :param best_epoch: whose weights were ranked; None: the last one's
        :param evaluations: epochs and their validation MRR, as early stopping has seen them
        :param reason: why it is not complete
        :param sampler: what has drawn; None: a sampler of PyKEEN's, or none that can be asked any more
        """
        given = self.parameters.items()
        is_taken = {"margin": takes_margin(self.options.loss), "l2_weight": takes_regularizer(self.study.model)}
        return {
            **asdict(self.study),
            "parameters": {name: value if is_taken.get(name, True) else None for name, value in given},
            "random_seed": self.random_seed,
            "options": asdict(self.options),
            "ranked_triples": sample_triples(self._split, self.options.max_evaluation_triples).num_triples,
            "archive": self.dataset.archive,
            "triples_digest": triples_digest(self.dataset.training.mapped_triples),
            "state": state,
            "reason": reason,
            "metrics": metrics,
            "mrr_interval": interval,
            "best_epoch": best_epoch,
            "evaluations": [list(evaluation) for evaluation in evaluations],
            "slots": None if sampler is None else sampler.usage.total(),
            "inferred": None if sampler is None else sampler.inferred,
        }

    @property
    def _split(self) -> CoreTriplesFactory:
        split: CoreTriplesFactory = getattr(self.dataset, self.split)
        return split

    @property
    def _model_kwargs(self) -> dict[str, Any]:
        return {"embedding_dim": self.options.embedding_dim}

    def _save(self, model: ERModel, path: Path) -> None:
        settings = {
            **asdict(self.study),
            "model_kwargs": self._model_kwargs,
            "l2_weight": self.parameters["l2_weight"],
            "triples_digest": triples_digest(self.dataset.training.mapped_triples),
        }
        save_model(path, model, settings)

    def _pipeline(
        self,
        handle: SamplerHandle,
        watch: Stopwatch,
        evaluator: FastRankBasedEvaluator,
        evaluations: list[tuple[int, float]],
        best_model_path: Path,
    ) -> PipelineResult:
        study, options = self.study, self.options
        ranked = sample_triples(self._split, options.max_evaluation_triples)
        watched = sample_triples(self.dataset.validation, options.max_evaluation_triples)
        callbacks: list[TrainingCallback] = []
        if study.sampler in SAMPLERS and SAMPLERS[study.sampler].needs == "training":
            callbacks.append(RefreshTrainingCallback(**options.refresh))
        stopping: dict[str, Any] = {}

        def note(stopper: Stopper, mrr: int | float, epoch: int) -> None:
            evaluations.append((epoch, float(mrr)))
            if self.should_prune is not None and self.should_prune(evaluations):
                raise TrialPruned

        if options.early_stopping is not None:
            callbacks.append(BestEpochTrainingCallback(best_model_path))
            stopping = {
                "stopper": "early",
                "stopper_kwargs": {
                    **options.early_stopping,
                    "metric": f"both.realistic.{OBJECTIVE}",
                    "best_model_path": best_model_path,
                    "result_callbacks": [note],
                },
            }
        margin = {"margin": self.parameters["margin"]} if takes_margin(options.loss) else {}
        return run_pipeline(
            training=self.dataset.training,
            # PyKEEN wants all three splits: what is ranked stands in, so that no test triple is given to a trial
            validation=watched,
            testing=ranked,
            model=study.model,
            model_kwargs=with_l2(study.model, self._model_kwargs, self.parameters["l2_weight"]),
            loss=options.loss,
            loss_kwargs={**options.loss_kwargs, **margin},
            learning_rate=self.parameters["learning_rate"],
            training_loop=study.sampler if study.sampler in LOOPS else "slcwa",
            # PyKEEN's size probing would draw negatives that no training sees
            training_loop_kwargs={"automatic_memory_optimization": False},
            training_kwargs={
                "num_epochs": options.epochs,
                "batch_size": options.batch_size,
                "pin_memory": False,
                "callbacks": callbacks or None,
            },
            **stopping,
            **self.tracking,
            **self._sampling(handle, watch),
            evaluator=evaluator,
            evaluation_kwargs={
                # the triples of the split that are not ranked are positives all the same
                "additional_filter_triples": [self._split.mapped_triples],
            },
            use_testing_data=self.split == "testing",
            device=options.device,
            random_seed=self.random_seed,
        )

    def _sampling(self, handle: SamplerHandle, watch: Stopwatch) -> dict[str, Any]:
        sampler = self.study.sampler
        if sampler in LOOPS:
            return {}
        kwargs: dict[str, Any] = {"num_negs_per_pos": self.study.negatives}
        if sampler in SAMPLERS:
            own = {"pools": self.pools, "schema": self.dataset.schema, "handle": handle}
            kwargs = {**kwargs, **self.options.sampling, **own}
        return {
            "negative_sampler": watch.over(negative_sampler_resolver.lookup(sampler)),
            "negative_sampler_kwargs": kwargs,
        }


class Stopwatch:
    """Adds up what a sampler takes, PyKEEN's as well as ours."""

    def __init__(self) -> None:
        """Start at zero."""
        self.seconds = 0.0

    def over(self, sampler: type[NegativeSampler]) -> type[NegativeSampler]:
        """Return the same class, whose draws are timed."""
        draw = sampler.sample

        def sample(this: NegativeSampler, positive_batch: LongTensor) -> Any:
            start = time.perf_counter()
            drawn = draw(this, positive_batch)
            self.seconds += time.perf_counter() - start
            return drawn

        return type(sampler.__name__, (sampler,), {"sample": sample})


def takes_margin(loss: str) -> bool:
    """Tell whether a loss has an option ``margin``.

    :raises InputError: if PyKEEN has no such loss
    """
    return "margin" in _options_of(loss)


def _options_of(loss: str) -> Collection[str]:
    try:
        found = loss_resolver.lookup(loss)
    except KeyError as error:
        known = ", ".join(sorted(loss_resolver.options))
        raise InputError(f"unknown loss {loss!r}; PyKEEN knows {known}") from error
    options: set[str] = set()
    for cls in inspect.getmro(found):
        parameters = inspect.signature(cls).parameters.values()
        options |= {parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD}
        # what a class takes by any name goes to the one above it
        if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in parameters):
            break
    return options


def versions() -> dict[str, str]:
    """Name what decides a result beside the code: the packages that compute."""
    return {"python": platform.python_version(), **{name: version(name) for name in ("negsamp", "pykeen", "torch")}}
