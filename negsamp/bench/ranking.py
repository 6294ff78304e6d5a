"""Ranking: what it takes with PyKEEN's evaluator and with ours."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from pykeen.evaluation import RankBasedEvaluator
from pykeen.models import model_resolver

from negsamp.bench.build import in_fresh_process
from negsamp.bench.machine import clock
from negsamp.bench.throughput import Record
from negsamp.datasets import SchemaDataset
from negsamp.evaluation import FastRankBasedEvaluator
from negsamp.pipeline import sample_triples
from negsamp.twins import twin_of

__all__ = ["RANKED", "measure_rankings"]

#: the models that are ranked, by the names in the table: PyKEEN's name, and options
RANKED: dict[str, tuple[str, dict[str, Any]]] = {
    "TransE, L1": ("TransE", {"scoring_fct_norm": 1}),
    "TransE, L2": ("TransE", {"scoring_fct_norm": 2}),
    "DistMult": ("DistMult", {}),
    "RESCAL": ("RESCAL", {}),
    "RotatE": ("RotatE", {}),
}

_METRICS = ("inverse_harmonic_mean_rank", "hits_at_1", "hits_at_10", "adjusted_arithmetic_mean_rank")


def measure_rankings(
    dataset: SchemaDataset, names: Sequence[str], embedding_dim: int, max_triples: int, threads: int
) -> Iterator[Record]:
    """Rank the same test triples with both evaluators, each model in a process of its own.

    What a process has freed before decides how many pages the system must zero for the next, which is most of what
    PyKEEN's evaluator takes with products and L2.

    :param dataset: the data set
    :param names: some of :data:`RANKED`
    :param embedding_dim: the models' dimension; their weights are random
    :param max_triples: of the test triples, so many are ranked
    :param threads: torch threads

    :yields: seconds of both evaluators, how many times as long PyKEEN's takes, and the largest relative difference of
        any metric
    """
    with tempfile.TemporaryDirectory() as folder:
        dataset.save(folder)
        for name in names:
            yield in_fresh_process(_rank, folder, name, embedding_dim, max_triples, threads)


def _rank(folder: str, name: str, embedding_dim: int, max_triples: int, threads: int) -> Record:
    torch.set_num_threads(threads)
    dataset = SchemaDataset.load(Path(folder))
    model, options = RANKED[name]
    made = model_resolver.make(
        twin_of(model), {"embedding_dim": embedding_dim, **options}, triples_factory=dataset.training, random_seed=0
    )
    known = [dataset.training.mapped_triples, dataset.validation.mapped_triples]
    ranked = sample_triples(dataset.testing, max_triples).mapped_triples
    FastRankBasedEvaluator().evaluate(made, ranked[:1], use_tqdm=False)  # loads the compiled loops
    seconds, metrics = [], []
    for evaluator in (RankBasedEvaluator(), FastRankBasedEvaluator()):
        start = clock()
        results = evaluator.evaluate(made, ranked, additional_filter_triples=known, use_tqdm=False)
        seconds.append(clock() - start)
        metrics.append([results.get_metric(f"both.realistic.{metric}") for metric in _METRICS])
    theirs, ours = seconds
    return {
        "model": name,
        "triples": len(ranked),
        "rankbased": theirs,
        "fastrankbased": ours,
        "times": theirs / ours,
        "largest difference": max(abs(a - b) / max(abs(a), 1e-12) for a, b in zip(*metrics, strict=True)),
    }
