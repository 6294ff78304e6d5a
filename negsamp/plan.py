"""What an experiment will take: jobs and trainings by a dry run, hours by training a few batches."""

from __future__ import annotations

import math
import re
import reprlib
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml
from pykeen.models import model_resolver
from pykeen.training import training_loop_resolver
from pykeen.training.callbacks import TrainingCallback
from pykeen.triples import CoreTriplesFactory
from pykeen.utils import resolve_device

from negsamp.datasets import read_registry
from negsamp.errors import InputError, Killed
from negsamp.hpo import LOOPS, takes_margin
from negsamp.hpo.process import run_forked
from negsamp.io import read_json
from negsamp.models import with_l2
from negsamp.twins import twin_of

__all__ = ["Forecast", "Plan", "measure_hours", "plan_jobs"]

_JOB = re.compile(r"^(?:local)?(?:rule|checkpoint) (?P<rule>\w+):\n(?P<body>(?:    .*\n)*)", re.MULTILINE)
_WILDCARDS = re.compile(r"^    wildcards: (.*)$", re.MULTILINE)
_TRAININGS = re.compile(r"^    resources: .*\btrainings=(\d+)", re.MULTILINE)


@dataclass(frozen=True)
class Plan:
    """What is left to be done."""

    #: rule → number of jobs
    jobs: Mapping[str, int]
    #: data set, model, negatives (0: a loop that samples none) and loop → number of trainings; auxiliary ones left out
    trainings: Mapping[tuple[str, str, int, str], int]


def plan_jobs(config: Path) -> Plan:
    """Ask Snakemake what it would run for a config, in the folder of the Snakefile.

    :param config: the file

    :raises InputError: if Snakemake refuses it
    """
    if not Path("Snakefile").is_file():
        raise InputError("there is no Snakefile here; go to the folder of the workflow")
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--cores", "1", "--configfile", str(config)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if result.returncode:
        lines = [line for line in (result.stderr + result.stdout).splitlines() if line.strip()]
        raise InputError(f"{config}: Snakemake refuses it: {' '.join(lines[-3:])}")
    return read_dry_run(result.stdout + result.stderr)


def read_dry_run(text: str) -> Plan:
    """Count jobs and trainings in what a dry run prints."""
    jobs: Counter[str] = Counter()
    trainings: Counter[tuple[str, str, int, str]] = Counter()
    for job in _JOB.finditer(text):
        jobs[job["rule"]] += 1
        wildcards, count = _WILDCARDS.search(job["body"]), _TRAININGS.search(job["body"])
        if wildcards is None or count is None:
            continue
        values = dict(part.split("=", 1) for part in wildcards[1].split(", "))
        if "sampler" in values:
            loop = values["sampler"] if values["sampler"] in LOOPS else "slcwa"
            trainings[values["dataset"], values["model"], int(values["negatives"]), loop] += int(count[1])
    return Plan(dict(jobs), dict(trainings))


def read_config(path: Path) -> dict[str, Any]:
    """Read a config over the default one, with the defaults of the schema, as the workflow does."""
    from snakemake.utils import update_config, validate

    config: dict[str, Any] = {}
    for file in (Path("config.yaml"), path):
        try:
            content = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
            raise InputError(f"{file}: cannot be read ({' '.join(str(error).split())}); correct it") from error
        if not isinstance(content, dict):
            raise InputError(f"{file}: {reprlib.repr(content)}, expected keys and their values; correct it")
        update_config(config, content)
    validate(config, str(Path("rules/schemas/config.schema.yaml").absolute()))
    return config


@dataclass(frozen=True)
class Forecast:
    """How long the trainings of a plan take here, one after the other, without ranking."""

    #: by data set
    hours: Mapping[str, float]
    #: what is missing in them, and why
    missing: Sequence[str]


def measure_hours(plan: Plan, config: Mapping[str, Any], batches: int = 3) -> Forecast:
    """Foresee how long all trainings take here.

    Each model is trained for a few batches of random triples, as many entities and relations as the data set has, with
    the fewest and the most of PyKEEN's basic negatives: time is taken to grow linearly in between. Early stopping and a
    limit of time may make it less, and so may pairs that share triples (LCWA); auxiliary models are left out. Each
    measurement has a process of its own: one that is killed for memory is told.

    :param plan: the trainings
    :param config: see :func:`read_config`
    :param batches: how many are timed, after one that is not
    """
    hours: dict[str, float] = {}
    missing: list[str] = []
    threads = config["compute"]["torch_threads"]
    for dataset in dict.fromkeys(name for name, *_ in plan.trainings):
        counts = _counts(dataset)
        if counts is None:
            reading = "snakemake --cores 1 --configfile … --until prepare_dataset"
            missing.append(f"{dataset}: sizes are known once it is read: {reading}")
            continue
        hours[dataset] = 0.0
        of_dataset = {key[1:]: count for key, count in plan.trainings.items() if key[0] == dataset}
        for model, loop in dict.fromkeys((model, loop) for model, _, loop in of_dataset):
            wanted = {n: count for (m, n, of_loop), count in of_dataset.items() if (m, of_loop) == (model, loop)}
            low, high = min(wanted), max(wanted)
            try:
                measure = partial(_seconds, config, counts, model, loop, batches)
                ends = {n: run_forked(f"measuring {model}", partial(measure, n), threads) for n in {low, high}}
            except Killed as killed:
                missing.append(f"{dataset}, {loop}: {killed}")
                continue
            slope = (ends[high] - ends[low]) / max(high - low, 1)
            for n, count in wanted.items():
                hours[dataset] += count * (ends[low] + slope * (n - low)) / 3600
    return Forecast(hours, missing)


def _counts(dataset: str) -> Mapping[str, int] | None:
    """Tell the numbers of entities, relations and training triples, as far as they are known without reading it."""
    report = Path(f"resources/datasets/{dataset}/report.json")
    if report.is_file():
        found = read_json(report)
        distinct = found["splits"]["training"]["distinct"]
        return {"entities": found["entities"], "relations": found["relations"], "training": distinct}
    entry = read_registry().get(dataset)
    return entry.counts if entry is not None and entry.counts else None


def _seconds(
    config: Mapping[str, Any], counts: Mapping[str, int], model: str, loop: str, batches: int, negatives: int
) -> float:
    """Measure what a training takes."""
    training = config["training"]
    options = {**training, **config["reference"]} if loop in LOOPS else training
    batch_size = min(options["batch_size"], counts["training"])
    sizes = torch.tensor([counts["entities"], counts["relations"], counts["entities"]])
    lines = (torch.rand((batches + 1) * batch_size, 3) * sizes).long()
    factory = CoreTriplesFactory(lines, counts["entities"], counts["relations"])
    margin = {"margin": 1.0} if takes_margin(options["loss"]) else {}
    device = resolve_device(config["compute"]["device"])
    made = model_resolver.make(
        twin_of(model),
        with_l2(model, {"embedding_dim": training["embedding_dim"]}, 1e-6),
        triples_factory=factory,
        random_seed=0,
        loss=options["loss"],
        loss_kwargs={**options["loss_kwargs"], **margin},
    ).to(device)
    sampling: dict[str, Any] = {}
    if loop not in LOOPS:
        sampling = {"negative_sampler": "basic", "negative_sampler_kwargs": {"num_negs_per_pos": negatives}}
    loops = training_loop_resolver.make(
        loop,
        model=made,
        triples_factory=factory,
        optimizer="adam",
        optimizer_kwargs={"fused": True},
        automatic_memory_optimization=False,
        **sampling,
    )
    watch = _BatchWatch()
    loops.train(factory, num_epochs=1, batch_size=batch_size, pin_memory=False, use_tqdm=False, callbacks=watch)
    times = watch.times[1:]
    batches_of_all = training["epochs"] * math.ceil(counts["training"] / batch_size)
    return float(batches_of_all * statistics.median(times))


class _BatchWatch(TrainingCallback):
    """Notes what each batch takes, its negatives included."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.times: list[float] = []
        self._last = time.perf_counter()

    def post_batch(self, epoch: int, batch: Any, **kwargs: Any) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        now = time.perf_counter()
        self.times.append(now - self._last)
        self._last = now
