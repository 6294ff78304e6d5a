"""The experiment that tests of faults disturb."""

from pathlib import Path

from repository import copy_repository

CONFIG = """\
name: faults
datasets: [Nations]
models: [TransE]
samplers: [random, nearestneighbor]
negatives: [3]
seeds: [0]
sampling: {num_neighbors: 5}
training: {epochs: 20, batch_size: 500, embedding_dim: 8}
hpo: {trials: 4, trials_per_job: 2}
auxiliary: {model_kwargs: {embedding_dim: 8}, epochs: 1}
reference: {training_loop: null}
"""
ARGUMENTS = ("--configfile", "faults.yaml")


def copy(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    copy_repository(folder)
    (folder / "faults.yaml").write_text(CONFIG)
    return folder
