"""The command line: each command calls the function that the workflow's script calls."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from tabulate import tabulate

from negsamp.errors import InputError

__all__ = ["main"]


class _Numbers(click.Command):
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


class _Group(click.Group):
    """Commands whose bad input ends in one line."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except InputError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="negsamp")
def main() -> None:
    """Look at data sets, at the negative pools that samplers find in them, and at what to expect of each."""


_mirror = click.option(
    "--mirror",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="NEGSAMP_MIRROR",
    help="Folder of archives that is looked in before their addresses [NEGSAMP_MIRROR].",
)
_infer_schema = click.option(
    "--infer-schema",
    type=click.FloatRange(0, 1, min_open=True),
    metavar="SHARE",
    help="Infer missing domains and ranges: classes that cover this share of the heads or tails.",
)
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")


@main.command()
@_mirror
@_json
def datasets(mirror: Path | None, as_json: bool) -> None:
    """List the data sets known by name, and which of them are at hand.

    Example: negsamp datasets --mirror ~/archives
    """
    from negsamp.datasets import list_datasets

    rows = list_datasets(mirror)
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    shown = [[row["dataset"], row["present"], row["classes"], row["domains_and_ranges"], row["source"]] for row in rows]
    signs = [[{True: "yes", False: "no"}.get(cell, cell) for cell in row] for row in shown]
    click.echo(tabulate(signs, headers=["data set", "at hand", "classes", "domains", "source"], maxcolwidths=72))


@main.command()
@click.argument("dataset")
@click.option("--sampler", "samplers", multiple=True, help="A sampler by name; may be repeated [default: all static].")
@click.option("--auxiliary", type=click.Path(dir_okay=False), help="A saved auxiliary model.")
@click.option("-k", "--num-neighbors", type=click.IntRange(min=1), default=100, show_default=True, help="Pool size.")
@click.option("--grow", is_flag=True, help="Grow pools until so many are left after exclusions.")
@_infer_schema
@_mirror
@_json
def pools(
    dataset: str,
    samplers: tuple[str, ...],
    auxiliary: str | None,
    num_neighbors: int,
    grow: bool,
    infer_schema: float | None,
    mirror: Path | None,
    as_json: bool,
) -> None:
    """Print how large the pools of DATASET are: a name, or a folder given with a slash.

    Size is what a query may draw from: its pool less its known positives.

    Example: negsamp pools WN18 --sampler corrupt --json
    """
    from negsamp.datasets import load_dataset
    from negsamp.pools import pool_statistics
    from negsamp.sampling import SAMPLERS, make_sampler, serves

    loaded = load_dataset(dataset, mirror=mirror)
    if not samplers:
        unmet = {"training", *([] if auxiliary else ["auxiliary"]), *([] if loaded.negatives else ["negatives"])}
        wanted = [name for name, cls in SAMPLERS.items() if cls.needs not in unmet]
        samplers = tuple(name for name in wanted if serves(name, loaded, infer_schema))
        for name in sorted(set(wanted).difference(samplers)):
            click.echo(
                f"{name} is not applicable: {loaded.name} has no {SAMPLERS[name].needs.replace('_', ' ')}", err=True
            )
    rows = []
    for name in samplers:
        sampler = make_sampler(
            name, loaded, auxiliary=auxiliary, num_neighbors=num_neighbors, grow=grow, infer_schema=infer_schema
        )
        if sampler.needs == "training":
            raise InputError(f"{name} has no pools before a training")
        statistics = pool_statistics(sampler.filtered_stage(), sampler.triples)
        del statistics["histogram"]
        rows.append({"dataset": loaded.name, "sampler": name, "inferred": sampler.inferred, **statistics})
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    click.echo(f"{loaded.name}: sizes of pools, and shares of queries with at most so many")
    click.echo(_pool_table(rows))
    for row in rows:
        if row["inferred"] is not None:
            click.echo("{sampler}: {domains} domains and {ranges} ranges are inferred".format(**row, **row["inferred"]))


@main.command()
@click.argument("names", metavar="DATASET...", nargs=-1, required=True)
@_mirror
@_json
def describe(names: tuple[str, ...], mirror: Path | None, as_json: bool) -> None:
    """Describe the structure of graphs in numbers: each DATASET is a name, or a folder given with a slash.

    Training triples alone are looked at.

    Example: negsamp describe wn18 ./my-graph
    """
    from negsamp.datasets import load_dataset
    from negsamp.descriptors import DESCRIPTORS, describe_dataset

    columns = {}
    for name in names:
        loaded = load_dataset(name, mirror=mirror)
        if loaded.name in columns:
            raise InputError(f"{name}: another of these graphs is called {loaded.name}, too; describe one at a time")
        columns[loaded.name] = describe_dataset(loaded)
    if as_json:
        click.echo(json.dumps(columns, indent=2))
        return
    cells = [
        [name, *(_cell(found[name]) for found in columns.values()), meaning] for name, meaning in DESCRIPTORS.items()
    ]
    aligned = ["left", *["right"] * len(columns), "left"]
    headers = ["descriptor", *columns, "meaning"]
    click.echo(tabulate(cells, headers=headers, disable_numparse=True, colalign=aligned))


def _cell(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


@main.command("advise")
@click.argument("dataset")
@_infer_schema
@click.option(
    "--evidence",
    type=click.Path(dir_okay=False, path_type=Path),
    help="What the workflow's target graph_structure wrote, its evidence.csv [default: the package's].",
)
@_mirror
@_json
def advise_command(
    dataset: str, infer_schema: float | None, evidence: Path | None, mirror: Path | None, as_json: bool
) -> None:
    """Advise on samplers for DATASET, a name, or a folder given with a slash: applicable ones, likely gains, why.

    Nothing is trained. Gains are predicted from what samplers gained on benchmark graphs and on generated ones, each
    with its evidence and an interval.

    Example: negsamp advise ./my-graph
    """
    from negsamp.advice import GENERATED, advice_text, advise, read_evidence
    from negsamp.datasets import load_dataset

    found = advise(load_dataset(dataset, mirror=mirror), read_evidence(evidence or GENERATED), infer_schema)
    click.echo(json.dumps(asdict(found), indent=2) if as_json else advice_text(found))


@main.command(cls=_Numbers)
@click.argument("dataset", default="synthetic")
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
@click.option("--sampler", "samplers", multiple=True, help="A contender by name; may be repeated [default: all].")
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
@_mirror
@_json
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


@main.command()
@click.argument("config", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--cores", default=1, show_default=True, type=click.IntRange(min=1), help="Jobs at a time.")
@click.option("--batches", default=3, show_default=True, type=click.IntRange(min=1), help="Batches that are timed.")
@_json
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


@main.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), help="Folder to write the table to, too.")
@_json
def claims(folders: tuple[Path, ...], output: Path | None, as_json: bool) -> None:
    """Test what the paper says of samplers on several experiments together: the FOLDERS of their tables.

    Example: negsamp claims results/desk-*/tables
    """
    from negsamp.results import claims_of, write_table

    table = claims_of(folders)
    if output is not None:
        csv, tex, md = (output / f"claims.{kind}" for kind in ("csv", "tex", "md"))
        write_table(table, csv=csv, tex=tex, md=md)
    click.echo(table.raw.to_json(orient="records", indent=2) if as_json else table.to_markdown())


def _duration(hours: float) -> str:
    return f"{hours:,.1f} hours" if hours >= 1 else f"{60 * hours:.1f} minutes"


def _pool_table(rows: list[dict[str, Any]]) -> str:
    """Lay out the statistics, one row a sampler."""
    thresholds = list(rows[0]["share_at_most"]) if rows else []
    headers = ["sampler", "queries", "mean", "median", *(f"≤ {size}" for size in thresholds)]
    cells = [
        [
            row["sampler"],
            f"{row['queries']:,}",
            f"{row['mean']:,.1f}",
            f"{row['median']:,.1f}",
            *(f"{row['share_at_most'][size]:.1%}" for size in thresholds),
        ]
        for row in rows
    ]
    # numbers are formatted already; tabulate would parse them again
    aligned = ["left", *["right"] * (len(headers) - 1)]
    return str(tabulate(cells, headers=headers, disable_numparse=True, colalign=aligned))


if __name__ == "__main__":
    main()
