"""How build, memory, throughput and opening stored pools grow with a graph, up to the size of Wikidata5M.

Graphs are generated: degrees follow Zipf's law, proportions are Wikidata5M's (4.6 million entities and 822 relations at
20.6 million triples). Up to a million triples, graphs with fewer entities and with fewer relations are added, which
tell apart what grows with what; formulas are fitted to all. Writes ``scaling.json``, ``.csv``, ``.md`` and ``.png``::

    python benchmarks/scaling.py
"""

from dataclasses import asdict
from pathlib import Path

import click
import torch

from negsamp.bench.machine import about
from negsamp.bench.report import report, table_of
from negsamp.bench.scaling import measure_scaling, shapes

TRIPLES = (100_000, 300_000, 1_000_000, 3_000_000, 10_000_000, 20_614_279)


@click.command()
@click.option("--triples", multiple=True, default=TRIPLES, show_default=True, help="May be repeated.")
@click.option("--crossed", default=1_000_000, show_default=True, help="Up to how many triples graphs are added.")
@click.option("--sampler", "samplers", multiple=True, default=("corrupt", "relational"), show_default=True)
@click.option("--negatives", default=10, show_default=True, help="Negatives a positive.")
@click.option("--repeats", default=5, show_default=True, help="Turns of drawing.")
@click.option("--workers", default=4, show_default=True, help="Processes that open stored pools together.")
@click.option("--seed", default=0, show_default=True, help="Of graphs and draws.")
@click.option("--threads", default=1, show_default=True, help="Torch threads.")
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), default="docs/results", show_default=True)
@click.pass_context
def main(
    context: click.Context,
    triples: tuple[int, ...],
    crossed: int,
    samplers: tuple[str, ...],
    negatives: int,
    repeats: int,
    workers: int,
    seed: int,
    threads: int,
    output: Path,
) -> None:
    """Measure graphs of growing size; what is done is written after each."""
    torch.set_num_threads(threads)
    graphs = shapes(triples, crossed)
    described = about(context, seed, graphs=[asdict(graph) for graph in graphs])
    options = {"negatives": negatives, "repeats": repeats, "workers": workers, "seed": seed}
    rows = []
    for row in measure_scaling(graphs, samplers, **options):
        rows.append(row)
        content = report(output, "scaling", rows, described)
        click.echo(f"{row['sampler']}, {row['triples']:,} triples: built in {row['build_seconds']:.1f} s")
    click.echo(table_of("scaling", content))


if __name__ == "__main__":
    main()
