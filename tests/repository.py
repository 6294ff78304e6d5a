"""A copy of the repository to run the real workflow in, and what a run leaves behind."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]

#: a config of a minute: two graphs, samplers of every kind
SMALL = """\
name: small
datasets: [synthetic, Nations]
models: [TransE]
samplers: [basic, random, typed, adversarial]
negatives: [3]
seeds: [0]
synthetic: {num_entities: 40, num_relations: 4, num_triples: 200, depth: 2}
sampling: {num_neighbors: 5}
training: {epochs: 1, batch_size: 500, embedding_dim: 8}
hpo: {trials: 2, trials_per_job: 1}
auxiliary: {model_kwargs: {embedding_dim: 8}, epochs: 1}
reference: {training_loop: null}
"""


def copy_repository(folder: Path) -> None:
    for name in ("Snakefile", "config.yaml"):
        shutil.copy(ROOT / name, folder)
    for name in ("rules", "workflow_scripts", "envs", "profiles", "negsamp"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "snakemake", *arguments]


def environment(**others: str) -> Mapping[str, str]:
    # no mirror: the first sign that something reaches for the network, or for a mirror that the config does not name
    return {**os.environ, "NEGSAMP_MIRROR": "", **others}


def snakemake(folder: Path, *arguments: str, cores: int = 2) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command("--cores", str(cores), *arguments),
        cwd=folder,
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )


def planned(folder: Path, *arguments: str) -> dict[str, int]:
    """Return how many jobs of each rule a dry run would start."""
    result = snakemake(folder, "--dry-run", "--quiet", "rules", *arguments)
    assert result.returncode == 0, result.stderr
    rows = re.findall(r"^(\w+) +(\d+)$", result.stdout + result.stderr, flags=re.MULTILINE)
    return {rule: int(count) for rule, count in rows if rule not in ("all", "total")}


def finished_trials(folder: Path) -> dict[Path, int]:
    """Return when each trial that is kept was written."""
    return {path: path.stat().st_mtime_ns for path in folder.glob("results/*/hpo/**/parts/*.json")}


def results(folder: Path, name: str) -> dict[str, bytes]:
    """Return the files that are the same in every run of a config: no logs, costs or trials in the making."""
    root = folder / "results" / name
    found = {path.relative_to(root): path for path in sorted(root.rglob("*")) if path.is_file()}
    return {
        str(relative): path.read_bytes()
        for relative, path in found.items()
        if not {"logs", "parts", "optuna"} & set(relative.parts)
        and not relative.name.endswith(".timing.json")
        and not str(relative).startswith("tables/cost.")
    }
