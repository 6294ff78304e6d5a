"""Epochs: what a training takes with each sampler, and how much of it is sampling."""

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import torch
from pykeen.models import model_resolver
from pykeen.training import SLCWATrainingLoop

from negsamp.bench.contenders import BASIC, Arena, group_of
from negsamp.bench.machine import clock
from negsamp.bench.throughput import Record, compare, spread, uncollected
from negsamp.models import with_l2

__all__ = ["measure_epochs", "summarise_epochs"]


class _Timed:
    """Adds up what the calls of a function take."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.seconds = 0.0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        start = clock()
        result = self.function(*args, **kwargs)
        self.seconds += clock() - start
        return result


def measure_epochs(
    arena: Arena,
    names: Sequence[str],
    *,
    model: str = "TransE",
    embedding_dim: int = 100,
    negatives: int = 10,
    batch_size: int = 1000,
    repeats: int = 5,
    seed: int = 0,
) -> list[Record]:
    """Train a model with each contender, one epoch of each in turn, by PyKEEN's own loop and without evaluation.

    Samplers and their pools are made before; the first epoch of each is not counted.

    :param arena: makes the contenders
    :param names: the contenders
    :param model: a PyKEEN model by name
    :param embedding_dim: its dimension
    :param negatives: negatives a positive
    :param batch_size: positives a batch
    :param repeats: epochs of each that are counted
    :param seed: of the weights, the batches and the draws, the same for all

    :returns: one record an epoch
    """
    training = arena.dataset.training
    loops, watches = {}, {}
    for name in names:
        sampler = arena.make(name, negatives)
        watches[name] = sampler.sample = _Timed(sampler.sample)  # type: ignore[method-assign]
        loops[name] = _training_loop(arena, model, embedding_dim, sampler, seed)
    taken = {}
    # PyKEEN collects garbage after each epoch
    with uncollected():
        for epoch in range(repeats + 1):
            for i in torch.randperm(len(names), generator=torch.Generator().manual_seed(seed + epoch)).tolist():
                torch.manual_seed(seed + epoch)  # the same batches for all
                watches[names[i]].seconds = 0.0
                start = clock()
                loops[names[i]].train(
                    training,
                    num_epochs=epoch + 1,
                    batch_size=batch_size,
                    continue_training=epoch > 0,
                    clear_optimizer=False,
                    use_tqdm=False,
                    pin_memory=False,
                )
                taken[i, epoch] = (clock() - start, watches[names[i]].seconds)
    return [
        {
            "contender": names[i],
            "group": group_of(names[i]),
            "epoch": epoch,
            "seconds": seconds,
            "sampling_seconds": sampling_seconds,
        }
        for (i, epoch), (seconds, sampling_seconds) in sorted(taken.items())
        if epoch
    ]


def _training_loop(arena: Arena, model: str, embedding_dim: int, sampler: Any, seed: int) -> SLCWATrainingLoop:
    training = arena.dataset.training
    return SLCWATrainingLoop(
        model=model_resolver.make(
            model,
            with_l2(model, {"embedding_dim": embedding_dim}, None),
            triples_factory=training,
            random_seed=seed,
            loss="marginranking",
        ).to("cpu"),
        triples_factory=training,
        optimizer="adam",
        optimizer_kwargs={"lr": 1e-3},
        negative_sampler=sampler,
        automatic_memory_optimization=False,
    )


def summarise_epochs(rows: Sequence[Record]) -> list[Record]:
    """Summarise the epochs of each contender.

    :returns: seconds; the same in multiples of ``basic``, epoch by epoch, where that was measured; and the share of
        sampling
    """
    frame = compare(pd.DataFrame(rows), "seconds", [BASIC], ["epoch"])
    frame["sampling"] = frame["sampling_seconds"] / frame["seconds"]
    return [
        {
            "contender": name,
            "group": group_of(str(name)),
            "seconds": spread(epochs["seconds"]),
            "times": {BASIC: spread(epochs[BASIC])} if BASIC in epochs else {},
            "sampling": spread(epochs["sampling"]),
        }
        for name, epochs in frame.groupby("contender", sort=False)
    ]
