"""How many slots samplers fill a second: ours, PyKEEN's with and without filterers, TorchKGE's, and a Python loop.

Writes ``throughput.json``, ``.csv``, ``.md`` and ``.png``::

    pip install 'negsamp[bench]'  # TorchKGE, which is left out where it is not installed
    NEGSAMP_MIRROR=path/to/archives python benchmarks/throughput.py
"""

from pathlib import Path

import click
import torch

from negsamp.bench.report import table_of
from negsamp.bench.run import measure, open_arena
from negsamp.datasets import load_dataset


@click.command()
@click.option("--dataset", default="fb15k-237", show_default=True)
@click.option("--sampler", "samplers", multiple=True, help="A contender; may be repeated [default: all].")
@click.option("--negatives", multiple=True, default=(1, 10, 100), show_default=True, help="May be repeated.")
@click.option("--batch-size", default=1000, show_default=True, help="Positives a batch.")
@click.option("--batches", default=20, show_default=True, help="Batches a turn.")
@click.option("--repeats", default=15, show_default=True, help="Turns of each contender.")
@click.option("--seed", default=0, show_default=True, help="Of batches, draws, and the order of turns.")
@click.option("--threads", default=1, show_default=True, help="Torch threads.")
@click.option("--mirror", type=click.Path(file_okay=False, path_type=Path), envvar="NEGSAMP_MIRROR")
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), default="docs/results", show_default=True)
@click.pass_context
def main(
    context: click.Context,
    dataset: str,
    samplers: tuple[str, ...],
    negatives: tuple[int, ...],
    batch_size: int,
    batches: int,
    repeats: int,
    seed: int,
    threads: int,
    mirror: Path | None,
    output: Path,
) -> None:
    """Measure throughputs."""
    torch.set_num_threads(threads)
    with open_arena(load_dataset(dataset, mirror=mirror), samplers) as arena:
        options = {"negatives": negatives, "batch_size": batch_size, "batches": batches, "repeats": repeats}
        content = measure("throughput", arena, context, output, wanted=samplers, seed=seed, **options)
    click.echo(table_of("throughput", content))


if __name__ == "__main__":
    main()
