"""Builds: seconds and memory that a sampler takes before its first draw, each in a process of its own."""

import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import ParamSpec, TypeVar

import pandas as pd
import torch

from negsamp.bench.contenders import Arena, group_of
from negsamp.bench.machine import clock, memory, tensor_bytes
from negsamp.bench.throughput import Record, spread
from negsamp.datasets import SchemaDataset
from negsamp.pools import pool_statistics
from negsamp.sampling import PoolNegativeSampler

__all__ = ["in_fresh_process", "measure_builds", "over", "summarise_builds"]

P = ParamSpec("P")
R = TypeVar("R")


def measure_builds(arena: Arena, names: Sequence[str], *, repeats: int = 1) -> list[Record]:
    """Make contenders for one negative a positive, each in a process of its own, and count the sizes of their pools.

    :param arena: makes the contenders
    :param names: the contenders
    :param repeats: how often

    :returns: one record a contender and repetition: seconds of the build and of the statistics, the size of all tensors
        that are kept, and what the process holds, after the build and at most, over what it held when all was imported;
        the data set, read in between, is part of it and told by itself
    """
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        arena.dataset.save(folder)
        for repetition in range(repeats):
            for name in names:
                measured = in_fresh_process(_build, name, folder, arena.auxiliary, torch.get_num_threads())
                rows.append({"contender": name, "group": group_of(name), "repetition": repetition, **measured})
    return rows


def in_fresh_process(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function of a module in a new process, which has imported that module and done nothing else."""
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as executor:
        return executor.submit(function, *args, **kwargs).result()


def over(now: dict[str, float], before: dict[str, float]) -> dict[str, float]:
    """Subtract what was held before, the resident memory of then from the maximum of now."""
    base = {**before, "peak_mb": before.get("resident_mb", 0.0)}
    return {key: value - base[key] for key, value in now.items()}


def _build(name: str, folder: str, auxiliary: str | os.PathLike[str] | None, threads: int) -> Record:
    torch.set_num_threads(threads)
    imported = memory()
    dataset = SchemaDataset.load(Path(folder))
    dataset.training.mapped_triples.sum()  # what is mapped to memory counts once it is read
    loaded = over(memory(), imported)
    start = clock()
    sampler = Arena(dataset, auxiliary).make(name, 1)
    seconds = clock() - start
    built = over(memory(), imported)
    statistics_seconds = None
    if isinstance(sampler, PoolNegativeSampler):
        start = clock()
        pool_statistics(sampler.filtered_stage(), sampler.triples)
        statistics_seconds = clock() - start
    return {
        "build_seconds": seconds,
        "statistics_seconds": statistics_seconds,
        "tensors_mb": tensor_bytes(sampler) / 1e6,
        "loaded_mb": loaded.get("resident_mb"),
        "resident_mb": built.get("resident_mb"),
        "peak_mb": built.get("peak_mb"),
    }


def summarise_builds(rows: Sequence[Record]) -> list[Record]:
    """Summarise the builds of each contender: median and quartiles of all that was measured, None for what was not."""
    measured = ("build_seconds", "statistics_seconds", "tensors_mb", "loaded_mb", "resident_mb", "peak_mb")
    return [
        {
            "contender": name,
            "group": group_of(str(name)),
            **{key: None if builds[key].isna().any() else spread(builds[key].astype(float)) for key in measured},
        }
        for name, builds in pd.DataFrame(rows).groupby("contender", sort=False)
    ]
