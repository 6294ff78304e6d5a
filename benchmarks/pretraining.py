"""How soon an auxiliary RESCAL is good: by ALS, against all entities (LCWA), against ten negatives (sLCWA).

Solves with more and more iterations, trains epoch by epoch, and ranks the same validation triples after each. Seconds
are those of the processor, without the ranking. Writes ``pretraining.csv`` (each epoch) and ``pretraining.md``::

    NEGSAMP_MIRROR=path/to/archives python benchmarks/pretraining.py
"""

import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import click
import pandas as pd
import torch
from pykeen.models import model_resolver
from pykeen.training import training_loop_resolver

from negsamp import FastRankBasedEvaluator
from negsamp.als import factorize
from negsamp.auxiliary import train_auxiliary
from negsamp.datasets import SchemaDataset, load_dataset
from negsamp.io import atomic_path
from negsamp.models import with_l2
from negsamp.pipeline import sample_triples
from negsamp.twins import twin_of

LOSSES = {"lcwa": "crossentropy", "slcwa": "marginranking"}


def measure(
    dataset: SchemaDataset, kind: str, epochs: int, embedding_dim: int, learning_rate: float, max_triples: int
) -> Iterator[dict[str, Any]]:
    """Train a RESCAL, and rank after each epoch.

    :param kind: ``"lcwa"`` or ``"slcwa"``

    :yields: one row an epoch
    """
    training, ranked = dataset.training, sample_triples(dataset.validation, max_triples).mapped_triples
    model = model_resolver.make(
        twin_of("RESCAL"),
        with_l2("RESCAL", {"embedding_dim": embedding_dim}, 0.0),
        triples_factory=training,
        loss=LOSSES[kind],
        random_seed=0,
    )
    sampling = {"negative_sampler": "basic", "negative_sampler_kwargs": {"num_negs_per_pos": 10}}
    loop = training_loop_resolver.make(
        kind,
        model=model,
        triples_factory=training,
        optimizer="adam",
        optimizer_kwargs={"lr": learning_rate},
        automatic_memory_optimization=False,
        **(sampling if kind == "slcwa" else {}),
    )
    seconds = 0.0
    for epoch in range(1, epochs + 1):
        start = time.process_time()
        # the loop goes on to this epoch; the first call has none to go on from
        loop.train(
            training, num_epochs=epoch, continue_training=epoch > 1, batch_size=1000, pin_memory=False, use_tqdm=False
        )
        seconds += time.process_time() - start
        known = [training.mapped_triples, dataset.validation.mapped_triples]
        results = FastRankBasedEvaluator().evaluate(model, ranked, additional_filter_triples=known, use_tqdm=False)
        yield {
            "training loop": kind,
            "learning rate": learning_rate,
            "epoch": epoch,
            "seconds": round(seconds, 1),
            "validation MRR": round(float(results.get_metric("both.realistic.inverse_harmonic_mean_rank")), 4),
        }


def solve(dataset: SchemaDataset, iterations: int, embedding_dim: int, max_triples: int) -> Iterator[dict[str, Any]]:
    """Solve for a RESCAL with more and more iterations.

    :yields: one row a number of iterations
    """
    for count in range(1, iterations + 1):
        start = time.process_time()
        factorize(dataset.training, embedding_dim, count)
        seconds = time.process_time() - start
        _, record = train_auxiliary(
            dataset.training,
            dataset.validation,
            model_kwargs={"embedding_dim": embedding_dim},
            training_loop="als",
            epochs=count,
            max_evaluation_triples=max_triples,
        )
        yield {
            "training loop": "als",
            "learning rate": None,
            "epoch": count,
            "seconds": round(seconds, 1),
            "validation MRR": round(record["validation"]["inverse_harmonic_mean_rank"], 4),
        }


@click.command()
@click.option("--dataset", default="wn18", show_default=True)
@click.option("--embedding-dim", default=100, show_default=True)
@click.option("--als", "als_iterations", default=5, show_default=True, help="Iterations of least squares.")
@click.option("--lcwa", "lcwa_epochs", default=5, show_default=True, help="Epochs against all entities.")
@click.option("--slcwa", "slcwa_epochs", default=3, show_default=True, help="Epochs against ten negatives.")
@click.option("--learning-rate", default=0.01, show_default=True, help="Adam's, of both.")
@click.option("--max-triples", default=500, show_default=True, help="Validation triples that are ranked.")
@click.option("--threads", default=1, show_default=True, help="Torch threads.")
@click.option("--mirror", type=click.Path(file_okay=False, path_type=Path), envvar="NEGSAMP_MIRROR")
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), default="docs/results", show_default=True)
def main(
    dataset: str,
    embedding_dim: int,
    als_iterations: int,
    lcwa_epochs: int,
    slcwa_epochs: int,
    learning_rate: float,
    max_triples: int,
    threads: int,
    mirror: Path | None,
    output: Path,
) -> None:
    """Measure all three."""
    torch.set_num_threads(threads)
    loaded = load_dataset(dataset, mirror=mirror)
    rows: list[dict[str, Any]] = []
    for row in chain(
        solve(loaded, als_iterations, embedding_dim, max_triples),
        measure(loaded, "lcwa", lcwa_epochs, embedding_dim, learning_rate, max_triples),
        measure(loaded, "slcwa", slcwa_epochs, embedding_dim, learning_rate, max_triples),
    ):
        click.echo(row)
        rows.append(row)
    table = pd.DataFrame(rows)
    output.mkdir(parents=True, exist_ok=True)
    with atomic_path(output / "pretraining.csv") as path:
        table.to_csv(path, index=False)
    heading = f"{loaded.name}, RESCAL, dimension {embedding_dim}, batches of 1,000, {threads} thread(s)\n\n"
    with atomic_path(output / "pretraining.md") as path:
        path.write_text(heading + table.astype(object).fillna("").to_markdown(index=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
