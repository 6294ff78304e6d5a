"""Training callbacks that work on the sampler of a training loop: they count, and refresh, between epochs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, cast

import torch
from pykeen.models import ERModel
from pykeen.sampling import negative_sampler_resolver
from pykeen.training import SLCWATrainingLoop, TrainingLoop
from pykeen.training.callbacks import TrainingCallback, callback_resolver

from negsamp.errors import InputError
from negsamp.sampling import AdaptiveAdversarialNegativeSampler, PoolNegativeSampler, SamplerHandle

__all__ = ["BestEpochTrainingCallback", "RefreshTrainingCallback", "UsageTrainingCallback"]


class BestEpochTrainingCallback(TrainingCallback):
    """Ends a training with the weights of its best epoch, also one that was not stopped early.

    PyKEEN's :class:`~pykeen.stoppers.EarlyStopper` goes back to the best weights where it stops a training; one that
    comes to its last epoch before patience is lost would keep the last weights.
    """

    def __init__(self, best_model_path: Path) -> None:
        """Prepare the callback.

        :param best_model_path: where the stopper keeps the best weights, as it was told
        """
        super().__init__()  # type: ignore[no-untyped-call]
        self.best_model_path = best_model_path

    def post_train(self, losses: list[float], **kwargs: Any) -> None:
        """Load the best weights, if the stopper has kept any."""
        if self.best_model_path.is_file():
            self.model.load_state_dict(torch.load(self.best_model_path, weights_only=True))


class SamplerTrainingCallback(TrainingCallback):
    """Meets the sampler that a training loop makes, through a handle among the sampler's options.

    A handle that the options hold already is used; otherwise one is put there.
    """

    #: what the callback works on
    wanted: type[PoolNegativeSampler] = PoolNegativeSampler  # type: ignore[type-abstract]

    def __init__(self) -> None:
        """Prepare the callback; the sampler is made later, by the training loop."""
        super().__init__()  # type: ignore[no-untyped-call]
        self._handle = SamplerHandle()
        self._sampler: PoolNegativeSampler | None = None

    @property
    def sampler(self) -> Any:
        """The sampler of the training that runs.

        :raises InputError: before the first batch
        """
        if self._sampler is None:
            raise InputError("the training loop has not made its sampler yet")
        return self._sampler

    def register_training_loop(self, training_loop: TrainingLoop) -> None:
        """Give the handle to the training loop, which has not made its sampler yet.

        :raises InputError: if the training loop has no such sampler
        """
        super().register_training_loop(training_loop)
        self._sampler = None
        if not isinstance(training_loop, SLCWATrainingLoop):
            raise InputError(f"{type(self).__name__} needs the training loop sLCWA: others sample no negatives")
        given = training_loop.negative_sampler
        if isinstance(given, self.wanted):
            self._handle.sampler = given
            return
        found = negative_sampler_resolver.lookup(given)
        if not issubclass(found, self.wanted):
            raise InputError(
                f"{type(self).__name__} works on {self.wanted.__name__}, and the sampler is {found.__name__}"
            )
        kwargs = dict(training_loop.negative_sampler_kwargs or {})
        self._handle = kwargs.setdefault("handle", self._handle)
        # the loop's own copy: what the user has given stays as it is
        training_loop.negative_sampler_kwargs = kwargs

    def pre_batch(self, **kwargs: Any) -> None:
        """Keep the sampler that draws for this training: another one may be made from the same options later."""
        if self._sampler is None:
            self._sampler = self._handle.sampler


class UsageTrainingCallback(SamplerTrainingCallback):
    """Report at the end of each epoch what filled the slots, and count the next epoch from zero.

    Known to PyKEEN by name; the counts go to the result tracker as ``slots.pool``, ``slots.masked``, and so on::

        pipeline(..., training_kwargs={"callbacks": "usage"}, result_tracker="csv")
    """

    def post_epoch(self, epoch: int, epoch_loss: float, **kwargs: Any) -> None:  # noqa: D102
        self.result_tracker.log_metrics(self.sampler.usage.end_epoch(), step=epoch, prefix="slots")


class RefreshTrainingCallback(SamplerTrainingCallback):
    """Refresh the pools of :class:`negsamp.AdaptiveAdversarialNegativeSampler` every few epochs.

    Known to PyKEEN by name; what a refresh has cost goes to the result tracker as ``refresh.seconds`` and
    ``refresh.pairs``::

        pipeline(
            ...,
            negative_sampler="adaptiveadversarial",
            training_kwargs={"callbacks": "refresh", "callbacks_kwargs": {"refresh_every": 5}},
        )
    """

    wanted = AdaptiveAdversarialNegativeSampler

    def __init__(self, refresh_every: int = 5, max_pairs: int | None = None) -> None:
        """Say how often, and how much at most.

        :param refresh_every: refresh after this many epochs, and again after as many more
        :param max_pairs: how many pairs each refresh may search for, see
            :meth:`negsamp.AdaptiveAdversarialNegativeSampler.refresh`; None: all

        :raises ValueError: if a number is less than 1
        """
        for name, value in (("refresh_every", refresh_every), ("max_pairs", max_pairs)):
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}; it must be 1 or more")
        super().__init__()
        self.refresh_every = refresh_every
        self.max_pairs = max_pairs

    def post_epoch(self, epoch: int, epoch_loss: float, **kwargs: Any) -> None:  # noqa: D102
        if epoch % self.refresh_every:
            return
        start = time.perf_counter()
        pairs = self.sampler.refresh(cast(ERModel, self.model), self.max_pairs)
        cost = {"seconds": time.perf_counter() - start, "pairs": pairs}
        self.result_tracker.log_metrics(cost, step=epoch, prefix="refresh")


for _callback in (UsageTrainingCallback, RefreshTrainingCallback):
    callback_resolver.register(_callback, raise_on_conflict=False)
