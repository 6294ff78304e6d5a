"""What it takes to rank test triples, with PyKEEN's evaluator and with ours, of the same models.

Writes ``ranking.csv`` and ``ranking.md``::

    NEGSAMP_MIRROR=path/to/archives python benchmarks/ranking.py
"""

from pathlib import Path

import click
import pandas as pd

from negsamp.bench.ranking import RANKED, measure_rankings
from negsamp.datasets import load_dataset
from negsamp.io import atomic_path

MODELS = ("TransE, L1", "TransE, L2", "DistMult")


@click.command()
@click.option("--dataset", default="wn18", show_default=True)
@click.option("--model", "models", multiple=True, type=click.Choice(list(RANKED)), default=MODELS, show_default=True)
@click.option("--embedding-dim", default=100, show_default=True)
@click.option("--max-triples", default=5000, show_default=True, help="Test triples that are ranked.")
@click.option("--threads", default=1, show_default=True, help="Torch threads.")
@click.option("--mirror", type=click.Path(file_okay=False, path_type=Path), envvar="NEGSAMP_MIRROR")
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), default="docs/results", show_default=True)
def main(
    dataset: str,
    models: tuple[str, ...],
    embedding_dim: int,
    max_triples: int,
    threads: int,
    mirror: Path | None,
    output: Path,
) -> None:
    """Measure both evaluators."""
    loaded = load_dataset(dataset, mirror=mirror)
    rows = []
    for row in measure_rankings(loaded, models, embedding_dim, max_triples, threads):
        click.echo(row)
        rows.append(row)
    table = pd.DataFrame(rows)
    output.mkdir(parents=True, exist_ok=True)
    with atomic_path(output / "ranking.csv") as path:
        table.to_csv(path, index=False, float_format="%.4g")
    clock = "processor" if threads == 1 else "wall"
    heading = f"{loaded.name}, dimension {embedding_dim}, {threads} thread(s), {clock} time in seconds\n\n"
    formats = ("", ",d", ".1f", ".2f", ".1f", ".1g")
    with atomic_path(output / "ranking.md") as path:
        path.write_text(heading + table.to_markdown(index=False, floatfmt=formats) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
