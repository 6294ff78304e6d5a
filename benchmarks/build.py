"""What samplers take before their first draw: seconds, and memory over what the imports hold.

Each is made in a process of its own. Writes ``build.json``, ``.csv``, ``.md`` and ``.png``::

    NEGSAMP_MIRROR=path/to/archives python benchmarks/build.py
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
@click.option("--repeats", default=3, show_default=True, help="Builds of each.")
@click.option("--threads", default=1, show_default=True, help="Torch threads.")
@click.option("--mirror", type=click.Path(file_okay=False, path_type=Path), envvar="NEGSAMP_MIRROR")
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), default="docs/results", show_default=True)
@click.pass_context
def main(
    context: click.Context,
    dataset: str,
    samplers: tuple[str, ...],
    repeats: int,
    threads: int,
    mirror: Path | None,
    output: Path,
) -> None:
    """Measure builds."""
    torch.set_num_threads(threads)
    with open_arena(load_dataset(dataset, mirror=mirror), samplers) as arena:
        content = measure("build", arena, context, output, wanted=samplers, repeats=repeats)
    click.echo(table_of("build", content))


if __name__ == "__main__":
    main()
