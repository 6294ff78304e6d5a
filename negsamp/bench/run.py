"""A measurement from start to end: what the command line and the benchmark programs have in common."""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from negsamp.auxiliary import train_quickly
from negsamp.bench.build import measure_builds
from negsamp.bench.contenders import (
    ALL,
    BASIC,
    BLOOM,
    LIMIT,
    PYKEENS,
    Arena,
    give_negatives,
)
from negsamp.bench.epochs import measure_epochs
from negsamp.bench.machine import about
from negsamp.bench.report import report
from negsamp.bench.throughput import Record, measure_throughput
from negsamp.datasets import SchemaDataset
from negsamp.errors import InputError
from negsamp.models import save_model
from negsamp.sampling import SAMPLERS

__all__ = ["MEASURES", "choose", "measure", "open_arena"]

#: by the names of their reports
MEASURES: dict[str, Callable[..., list[Record]]] = {
    "throughput": measure_throughput,
    "epoch": measure_epochs,
    "build": measure_builds,
}


@contextmanager
def open_arena(
    dataset: SchemaDataset, wanted: Sequence[str] = (), auxiliary: str | os.PathLike[str] | None = None
) -> Iterator[Arena]:
    """Get together what contenders are made from; what the data set lacks and can be made up is made up.

    :param dataset: the data set; one without given negatives gets random ones
    :param wanted: the contenders that will be asked for; none: all
    :param auxiliary: a saved auxiliary model; None: one is trained, if it is needed

    :yields: the arena, as long as the trained model is there
    """
    needs = {SAMPLERS[name].needs for name in wanted or SAMPLERS if name in SAMPLERS}
    with tempfile.TemporaryDirectory() as folder:
        if auxiliary is None and needs & {"auxiliary", "training"}:
            auxiliary = Path(folder) / "auxiliary.safetensors"
            save_model(auxiliary, *train_quickly(dataset.training))
        yield Arena(give_negatives(dataset), auxiliary)


def choose(part: str, arena: Arena, wanted: Sequence[str] = ()) -> list[str]:
    """Choose the contenders of a measurement.

    :param part: one of :data:`MEASURES`
    :param arena: makes them
    :param wanted: those that were asked for; none: all that are of interest, as far as they can be made

    :raises InputError: if one that was asked for is unknown or cannot be made
    """
    left_out = arena.left_out()
    for name in wanted:
        if name not in ALL:
            raise InputError(f"unknown contender {name!r}: known are {', '.join(ALL)}")
        if name in left_out:
            raise InputError(f"{name} is not applicable: {left_out[name]}")
    if wanted and part != "build":
        wanted = [BASIC, *wanted]  # what all are compared with
    if not wanted:
        wanted = {
            "throughput": ALL,
            # the other filterers, and loops, take long: throughput tells of them
            "epoch": [*PYKEENS, BLOOM, *SAMPLERS],
            # a filterer is the same for all
            "build": [name for name in ALL if "+" not in name or name.startswith(f"{BASIC}+")],
        }[part]
    # what draws no triples cannot be trained with; pools that the model in training finds are not there before
    unfit = {"throughput": (), "epoch": (LIMIT,), "build": (LIMIT, "adaptiveadversarial")}[part]
    return [name for name in arena.names() if name in wanted and name not in unfit]


def measure(
    part: str,
    arena: Arena,
    context: click.Context,
    output: str | os.PathLike[str],
    *,
    wanted: Sequence[str] = (),
    seed: int = 0,
    **options: Any,
) -> Record:
    """Measure, and write the report.

    :param part: one of :data:`MEASURES`
    :param arena: makes the contenders
    :param context: the command that was called, which the report tells
    :param output: the folder to write to
    :param wanted: the contenders; none: all that are of interest
    :param seed: the seed
    :param options: of the function that measures

    :returns: the content of the JSON file
    """
    dataset = arena.dataset
    described = about(
        context,
        seed,
        dataset={
            "name": dataset.name,
            "entities": dataset.num_entities,
            "relations": dataset.num_relations,
            "training_triples": dataset.training.num_triples,
        },
        left_out={} if wanted else arena.left_out(),
    )
    if part != "build":
        options["seed"] = seed
    return report(output, part, MEASURES[part](arena, choose(part, arena, wanted), **options), described)
