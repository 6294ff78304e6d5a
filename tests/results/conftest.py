"""Fabricated records, in the folders and names that the chain gives them."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from negsamp.io import write_json, write_jsonl

METRICS = {
    "inverse_harmonic_mean_rank": 0.25,
    "hits_at_1": 0.125,
    "hits_at_3": 0.3,
    "hits_at_10": 0.5,
    "adjusted_arithmetic_mean_rank_index": 0.75,
}
PARAMETERS = {"margin": 5.0, "learning_rate": 0.00123, "l2_weight": None}


class Records:
    """Write records below a folder; each method returns the path of its file."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def report(self, dataset: str = "wn18", **changes: Any) -> Path:
        split = {"lines": 1200, "distinct": 1100, "unseen": 3}
        report = {
            "dataset": dataset,
            "source": "somewhere",
            "licence": None,
            "archive": "sha256:" + "0123456789abcdef" * 4,
            "entities": 40943,
            "relations": 18,
            "splits": {"training": {**split, "unseen": 0}, "validation": split, "testing": {**split, "lines": 1300}},
            "leaks": {"training_validation": 2, "training_testing": 38, "validation_testing": 1},
            "classes": 5,
            "typed_entities": 40000,
            "domains": 17,
            "ranges": 16,
            "domains_and_ranges": 15,
            "superclass_pairs": 4,
            "notes": [],
        }
        return self._write(f"resources/datasets/{dataset}/report.json", {**report, **changes})

    def statistics(
        self,
        dataset: str = "wn18",
        sampler: str = "corrupt",
        sizes: dict[int, int] | None = None,
        inferred: dict[str, int] | None = None,
    ) -> Path:
        sizes = sizes or {0: 1, 1: 1, 3: 2}
        queries = sum(sizes.values())
        values = {
            "queries": queries,
            "mean": sum(size * count for size, count in sizes.items()) / queries,
            "median": 2.0,
            "share_at_most": {
                str(limit): sum(count for size, count in sizes.items() if size <= limit) / queries
                for limit in [0, 2, 10, 40, 100]
            },
        }
        statistics = {
            "dataset": dataset,
            "sampler": sampler,
            **values,
            "sides": {"head": {**values, "queries": queries // 2}, "tail": {**values, "queries": queries // 2}},
            "histogram": {"sizes": sorted(sizes), "counts": [sizes[size] for size in sorted(sizes)]},
            "archive": None,
            "inferred": inferred,
        }
        return self._write(f"pools/{dataset}/{sampler}.statistics.json", statistics)

    def trials(
        self, dataset: str = "wn18", model: str = "TransE", sampler: str = "random", negatives: int = 1, **changes: Any
    ) -> Path:
        """Write 30 trials, of which 2 failed and trial 7 is the best, or all failed."""
        record = {**self._outcome(dataset, model, sampler, negatives), **changes}
        worse = {**METRICS, "inverse_harmonic_mean_rank": 0.0}
        failure = {"state": "failed", "reason": "diverged", "metrics": None, "mrr_interval": None}
        all_failed = record["state"] == "failed"
        trials = [
            {**record, "trial": i, **(failure if all_failed or i < 2 else {} if i == 7 else {"metrics": worse})}
            for i in range(30)
        ]
        path = self.root / f"hpo/{dataset}/{model}/{sampler}/{negatives}/trials-0.jsonl"
        write_jsonl(path, trials)
        return path

    def final(
        self,
        dataset: str = "wn18",
        model: str = "TransE",
        sampler: str = "random",
        negatives: int = 1,
        seed: int = 0,
        mrr: float = 0.25,
        **changes: Any,
    ) -> Path:
        record = {
            **self._outcome(dataset, model, sampler, negatives),
            "metrics": {**METRICS, "inverse_harmonic_mean_rank": mrr},
            "seed": seed,
            "slots": None if sampler in {"basic", "bernoulli"} else {"pool": 90, "masked": 10},
        }
        if changes.get("state") == "failed":
            record |= {"reason": "not finite", "metrics": None, "mrr_interval": None, "slots": None}
        return self._write(f"final/{dataset}/{model}/{sampler}/{negatives}/seed-{seed}.json", {**record, **changes})

    def ranks(
        self,
        dataset: str = "wn18",
        model: str = "TransE",
        sampler: str = "random",
        negatives: int = 1,
        seed: int = 0,
        ranks: Sequence[float] = (1.0, 2.0, 4.0),
    ) -> Path:
        """Write the ranks of some triples, the same on both sides; none of a retraining that failed."""
        path = self.root / f"final/{dataset}/{model}/{sampler}/{negatives}/seed-{seed}.ranks.csv.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [f"{triple},0,{triple + 1},{rank},{rank}\n" for triple, rank in enumerate(ranks)]
        path.write_bytes(gzip.compress("".join(["head,relation,tail,head_rank,tail_rank\n", *rows]).encode()))
        return path

    def auxiliary(self, dataset: str = "wn18", mrr: float = 0.25) -> Path:
        record = {
            "dataset": dataset,
            "model": "RESCAL",
            "training": {"training_loop": "als", "epochs": 10},
            "validation": {**METRICS, "inverse_harmonic_mean_rank": mrr},
        }
        return self._write(f"auxiliary/{dataset}/record.json", record)

    def timing(
        self, study: str = "wn18/TransE/random/1", seed: int = 0, seconds: float | None = 10.0, memory: float = 500.0
    ) -> Path:
        sampling = None if seconds is None else seconds / 8
        cost = {"training_s": seconds, "sampling_s": sampling, "evaluation_s": 1.5, "peak_memory_mb": memory}
        content = {**cost, "versions": {"python": "3.11.7", "torch": "2.13.0"}}
        return self._write(f"final/{study}/seed-{seed}.timing.json", content)

    def trial_timings(
        self, study: str = "wn18/TransE/random/1", chunk: int = 0, trials: tuple[int, ...] = (0, 1)
    ) -> Path:
        cost = {"training_s": 100.0, "sampling_s": 5.0, "evaluation_s": 0.5, "peak_memory_mb": 1}
        content = [{"trial": trial, **cost} for trial in trials]
        return self._write(f"hpo/{study}/trials-{chunk}.timing.json", {"trials": content})

    def _outcome(self, dataset: str, model: str, sampler: str, negatives: int) -> dict[str, Any]:
        return {
            "dataset": dataset,
            "model": model,
            "sampler": sampler,
            "negatives": negatives,
            "trial": 7,
            "ranked_triples": 500,
            "state": "complete",
            "reason": None,
            "parameters": PARAMETERS,
            "random_seed": 1,
            "metrics": METRICS,
            "mrr_interval": [0.2, 0.3],
            "best_epoch": None,
            "evaluations": [],
            "slots": None,
            "inferred": None,
            "archive": None,
        }

    def _write(self, name: str, content: Any) -> Path:
        path = self.root / name
        write_json(path, content)
        return path


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(tmp_path)
