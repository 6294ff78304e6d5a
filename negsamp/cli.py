"""The command line: each command calls the function that the workflow's script calls."""

import json
from pathlib import Path
from typing import Any

import click
from tabulate import tabulate

from negsamp.errors import InputError

__all__ = ["main"]


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
    """Look at data sets and at the negative pools that samplers find in them."""


_mirror = click.option(
    "--mirror",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="NEGSAMP_MIRROR",
    help="Folder of archives that is looked in before their addresses [NEGSAMP_MIRROR].",
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
@click.option(
    "--infer-schema",
    type=click.FloatRange(0, 1, min_open=True),
    metavar="SHARE",
    help="Infer missing domains and ranges: classes that cover this share of the heads or tails.",
)
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
