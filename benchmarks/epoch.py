"""What an epoch of training takes with each sampler, and how much of it is sampling.

PyKEEN's own training loop, without evaluation; samplers take turns epoch by epoch, and pools are found before. Writes
``epoch.json``, ``.csv``, ``.md`` and ``.png``::

    NEGSAMP_MIRROR=path/to/archives python benchmarks/epoch.py
"""

from pathlib import Path

import click
import torch

from negsamp.bench.report import table_of
from negsamp.bench.run import measure, open_arena
from negsamp.datasets import load_dataset


@click.command()
@click.option("--dataset", default="fb15k-237", show_default=True)
@click.option("--sampler", "samplers", multiple=True, help="A contender; may be repeated [default: all but the slow].")
@click.option("--model", default="TransE", show_default=True, help="A PyKEEN model.")
@click.option("--embedding-dim", default=100, show_default=True)
@click.option("--negatives", default=10, show_default=True, help="Negatives a positive.")
@click.option("--batch-size", default=1000, show_default=True, help="Positives a batch.")
@click.option("--repeats", default=7, show_default=True, help="Epochs with each sampler; one more is not counted.")
@click.option("--seed", default=0, show_default=True, help="Of weights, batches, draws, and the order of turns.")
@click.option("--threads", default=1, show_default=True, help="Torch threads.")
@click.option("--mirror", type=click.Path(file_okay=False, path_type=Path), envvar="NEGSAMP_MIRROR")
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), default="docs/results", show_default=True)
@click.pass_context
def main(
    context: click.Context,
    dataset: str,
    samplers: tuple[str, ...],
    model: str,
    embedding_dim: int,
    negatives: int,
    batch_size: int,
    repeats: int,
    seed: int,
    threads: int,
    mirror: Path | None,
    output: Path,
) -> None:
    """Measure epochs."""
    torch.set_num_threads(threads)
    with open_arena(load_dataset(dataset, mirror=mirror), samplers) as arena:
        options = {
            "model": model,
            "embedding_dim": embedding_dim,
            "negatives": negatives,
            "batch_size": batch_size,
            "repeats": repeats,
        }
        content = measure("epoch", arena, context, output, wanted=samplers, seed=seed, **options)
    click.echo(table_of("epoch", content))


if __name__ == "__main__":
    main()
