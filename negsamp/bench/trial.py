"""Trials: where the time goes, from the start of a process to its result file."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from negsamp.bench.build import in_fresh_process
from negsamp.bench.throughput import Record
from negsamp.datasets import SchemaDataset
from negsamp.hpo import Options, SearchOptions, Space, Study, run_trials
from negsamp.io import write_jsonl
from negsamp.pools import save_stage
from negsamp.sampling import PoolNegativeSampler, make_sampler

__all__ = ["measure_trials"]

#: one setting, since time does not depend on it
SPACE: Space = {
    "margin": [1],
    "learning_rate": [1e-3],
    "l2_weight": [1e-4],
}


def measure_trials(
    dataset: SchemaDataset, models: Sequence[str], sampler: str, negatives: int, options: Options, threads: int
) -> Iterator[Record]:
    """Run a trial of each model, each in a process of its own, as a job of the workflow does.

    :param dataset: the data set
    :param models: PyKEEN's models by name
    :param sampler: a sampler by name, whose pools are stored before
    :param negatives: negatives a positive
    :param options: of the training
    :param threads: torch threads

    :yields: the seconds of its parts
    """
    with tempfile.TemporaryDirectory() as folder:
        dataset.save(folder)
        made = make_sampler(sampler, dataset)
        if isinstance(made, PoolNegativeSampler):
            save_stage(Path(folder) / "pools.safetensors", made.stages[0], made.triples, filtered=True)
        for model in models:
            study = Study(dataset.name, model, sampler, negatives)
            yield in_fresh_process(_run, folder, study, options, threads, time.time())


def _run(folder: str, study: Study, options: Options, threads: int, started: float) -> Record:
    """Do what the job of one trial does."""
    imported = time.time()
    dataset = SchemaDataset.load(Path(folder))
    read = time.time()
    pools = Path(folder) / "pools.safetensors"
    records, costs = run_trials(
        dataset,
        study,
        [0],
        search=SearchOptions(SPACE),
        options=options,
        pools=str(pools) if pools.exists() else None,
        threads=threads,
        parts=Path(folder) / "parts" / study.model,
        code="",
    )
    write_jsonl(Path(folder) / "trials.jsonl", records)
    ended = time.time()
    if records[0]["state"] == "failed":
        raise RuntimeError(records[0]["reason"])
    training, ranking = costs[0]["training_s"], costs[0]["evaluation_s"]
    return {
        "model": study.model,
        "start and imports": imported - started,
        "data set": read - imported,
        "an epoch": training / options.epochs,
        "ranking": ranking,
        "the rest": ended - read - training - ranking,
        "100 epochs, all in all": ended - started + training / options.epochs * (100 - options.epochs),
    }
