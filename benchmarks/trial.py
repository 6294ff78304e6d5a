"""Where the time of a trial goes, from the start of its process to its result file.

Each trial is a job of its own, as in the workflow. Writes ``trial.csv`` and ``trial.md``::

    NEGSAMP_MIRROR=path/to/archives python benchmarks/trial.py
"""

from pathlib import Path

import click
import pandas as pd

from negsamp.bench.trial import measure_trials
from negsamp.datasets import load_dataset
from negsamp.hpo import Options
from negsamp.io import atomic_path

MODELS = ("TransE", "DistMult", "RESCAL", "RotatE")


@click.command()
@click.option("--dataset", default="wn18", show_default=True)
@click.option("--model", "models", multiple=True, default=MODELS, show_default=True, help="May be repeated.")
@click.option("--sampler", default="corrupt", show_default=True)
@click.option("--negatives", default=10, show_default=True)
@click.option("--embedding-dim", default=100, show_default=True)
@click.option("--epochs", default=3, show_default=True)
@click.option("--threads", default=1, show_default=True, help="Torch threads.")
@click.option("--mirror", type=click.Path(file_okay=False, path_type=Path), envvar="NEGSAMP_MIRROR")
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), default="docs/results", show_default=True)
def main(
    dataset: str,
    models: tuple[str, ...],
    sampler: str,
    negatives: int,
    embedding_dim: int,
    epochs: int,
    threads: int,
    mirror: Path | None,
    output: Path,
) -> None:
    """Measure the parts of a trial."""
    loaded = load_dataset(dataset, mirror=mirror)
    options = Options(epochs=epochs, embedding_dim=embedding_dim)
    rows = []
    for row in measure_trials(loaded, models, sampler, negatives, options, threads):
        click.echo(row)
        rows.append(row)
    table = pd.DataFrame(rows)
    output.mkdir(parents=True, exist_ok=True)
    with atomic_path(output / "trial.csv") as path:
        table.to_csv(path, index=False, float_format="%.4g")
    heading = (
        f"{loaded.name}, {sampler}, {negatives} negatives, dimension {embedding_dim}, batches of 1,000, "
        f"{loaded.validation.num_triples:,} triples ranked, {threads} thread(s); seconds by the clock on the wall\n\n"
    )
    with atomic_path(output / "trial.md") as path:
        path.write_text(heading + table.to_markdown(index=False, floatfmt=".1f") + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
