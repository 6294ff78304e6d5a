"""Commands that train, measure, plan, and judge what came of it."""

import json
from pathlib import Path
from typing import Any

import click
from tabulate import tabulate

from negsamp.cli.options import dataset_argument, json_option, mirror_option, sampler_option

__all__ = ["bench", "claims", "plan"]


class NumbersCommand(click.Command):
    """A command whose ``--negatives`` takes numbers one after another, as well as one at a time."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        spelt: list[str] = []
        listing = False
        for arg in args:
            # the second and later numbers, which click would take for arguments
            if listing and arg.isdecimal() and spelt[-1] != "--negatives":
                spelt.append("--negatives")
            listing = arg == "--negatives" or (listing and arg.isdecimal())
            spelt.append(arg)
        return super().parse_args(ctx, spelt)


@click.command(cls=NumbersCommand)
@dataset_argument("dataset", default="synthetic")
@click.option(
    "--negatives",
    type=click.IntRange(min=1),
    multiple=True,
    default=(1, 10, 100),
    show_default=True,
    metavar="N...",
    help="Negatives of each positive.",
)
@click.option(
    "--measure",
    "parts",
    type=click.Choice(["throughput", "epoch", "build"]),
    multiple=True,
    help="What to measure; may be repeated [default: all].",
)
@sampler_option("samplers", multiple=True, help="A contender by name; may be repeated [default: all].")
@click.option("--batch-size", type=click.IntRange(min=1), default=1000, show_default=True, help="Positives a batch.")
@click.option("--repeats", type=click.IntRange(min=1), default=3, show_default=True, help="Turns of each contender.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Torch threads.")
@click.option("--seed", default=0, show_default=True, help="Of batches, draws, and the order of turns.")
@click.option(
    "--auxiliary",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A saved auxiliary model [default: a small one is trained, if a sampler needs one].",
)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default="negsamp-bench",
    show_default=True,
    help="Folder to write tables, JSON and figures to.",
)
@mirror_option
@json_option
@click.pass_context
def bench(
    context: click.Context,
    dataset: str,
    negatives: tuple[int, ...],
    parts: tuple[str, ...],
    samplers: tuple[str, ...],
    batch_size: int,
    repeats: int,
    threads: int,
    seed: int,
    auxiliary: Path | None,
    output: Path,
    mirror: Path | None,
    as_json: bool,
) -> None:
    """Measure samplers on DATASET, ours, PyKEEN's and others, side by side.

    Slots filled a second; time of an epoch of TransE and the share of sampling, with the median of the numbers of
    negatives; time and memory of building each sampler. Ratios count: they are taken turn by turn.

    Example: negsamp bench fb15k-237 --negatives 1 10 100 --json
    """
    import torch

    from negsamp.bench.report import table_of
    from negsamp.bench.run import MEASURES, measure, open_arena
    from negsamp.datasets import load_dataset

    torch.set_num_threads(threads)
    options: dict[str, dict[str, Any]] = {
        "throughput": {"negatives": negatives, "batch_size": batch_size},
        "epoch": {"negatives": sorted(negatives)[len(negatives) // 2], "batch_size": batch_size},
        "build": {},
    }
    contents = {}
    with open_arena(load_dataset(dataset, mirror=mirror), samplers, auxiliary) as arena:
        for part in parts or MEASURES:
            contents[part] = measure(
                part, arena, context, output, wanted=samplers, seed=seed, repeats=repeats, **options[part]
            )
            if not as_json:
                click.echo(f"{table_of(part, contents[part])}\n")
    if as_json:
        click.echo(json.dumps(contents, indent=2))
    click.echo(f"written to {output}", err=True)


@click.command()
@click.argument("config", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--cores", default=1, show_default=True, type=click.IntRange(min=1), help="Jobs at a time.")
@click.option("--batches", default=3, show_default=True, type=click.IntRange(min=1), help="Batches that are timed.")
@json_option
def plan(config: Path, cores: int, batches: int, as_json: bool) -> None:
    """Tell how many jobs, trainings and hours CONFIG is, in the folder of the workflow.

    Jobs and trainings are what a dry run of Snakemake would start; hours are foreseen from a few batches that are
    trained on this machine.

    Example: negsamp plan configs/paper.yaml
    """
    from negsamp.plan import measure_hours, plan_jobs, read_config

    found = plan_jobs(config)
    forecast = measure_hours(found, read_config(config), batches)
    trainings = sum(found.trainings.values())
    if as_json:
        summary = {
            "jobs": dict(found.jobs),
            "trainings": trainings,
            "hours": forecast.hours,
            "missing": forecast.missing,
        }
        click.echo(json.dumps(summary, indent=2))
        return
    jobs = {rule: count for rule, count in found.jobs.items() if rule != "all"}
    table = [*jobs.items(), ("total", sum(jobs.values()))]
    click.echo(tabulate(table, headers=["job", "count"], intfmt=","))
    click.echo(f"\ntrainings: {trainings:,}")
    for dataset, of_dataset in forecast.hours.items():
        at_a_time = f", {_duration(of_dataset / cores)} with {cores} at a time" if cores > 1 else ""
        click.echo(f"{dataset}: {_duration(of_dataset)} of training{at_a_time}")
    for line in forecast.missing:
        click.echo(f"not counted: {line}")
    click.echo("Ranking and auxiliary models are not counted; early stopping and a limit of time are not looked at.")


@click.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), help="Folder to write the table to, too.")
@json_option
def claims(folders: tuple[Path, ...], output: Path | None, as_json: bool) -> None:
    """Test what the paper says of samplers on several experiments together: the FOLDERS of their tables.

    Example: negsamp claims docs/results/desk-codex-s/tables docs/results/desk-db50k/tables
    """
    from negsamp.results import claims_of, write_table

    table = claims_of(folders)
    if output is not None:
        csv, tex, md = (output / f"claims.{kind}" for kind in ("csv", "tex", "md"))
        write_table(table, csv=csv, tex=tex, md=md)
    click.echo(table.raw.to_json(orient="records", indent=2) if as_json else table.to_markdown())


def _duration(hours: float) -> str:
    return f"{hours:,.1f} hours" if hours >= 1 else f"{60 * hours:.1f} minutes"
