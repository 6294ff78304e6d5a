"""Commands that look at graphs: which are known, what they are like, what samplers find in them."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from tabulate import tabulate

from negsamp.cli.options import (
    auxiliary_option,
    dataset_argument,
    fallback_option,
    infer_schema_option,
    json_option,
    mirror_option,
    num_neighbors_option,
    sampler_of,
    sampler_option,
)
from negsamp.errors import InputError

if TYPE_CHECKING:
    from negsamp.datasets import SchemaDataset
    from negsamp.sampling.fallback import Fallback

__all__ = ["advise_command", "datasets", "describe", "pools", "sample"]


@click.command()
@mirror_option
@json_option
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


@click.command()
@dataset_argument("names", metavar="DATASET...", nargs=-1, required=True)
@mirror_option
@json_option
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
        if not as_json:
            _tell_notes(loaded)
    if as_json:
        click.echo(json.dumps(columns, indent=2))
        return
    cells = [
        [name, *(_cell(found[name]) for found in columns.values()), meaning] for name, meaning in DESCRIPTORS.items()
    ]
    aligned = ["left", *["right"] * len(columns), "left"]
    headers = ["descriptor", *columns, "meaning"]
    click.echo(tabulate(cells, headers=headers, disable_numparse=True, colalign=aligned))


def _tell_notes(dataset: SchemaDataset) -> None:
    """Tell what is odd in a data set, beside what a command prints."""
    for note in dataset.report["notes"]:
        click.echo(f"{dataset.name}: {note}", err=True)


def _cell(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


@click.command()
@dataset_argument("dataset")
@sampler_option("samplers", multiple=True, help="A sampler by name; may be repeated [default: all static].")
@auxiliary_option
@num_neighbors_option
@click.option("--grow", is_flag=True, help="Grow pools until so many are left after exclusions.")
@infer_schema_option
@mirror_option
@json_option
def pools(
    dataset: str,
    samplers: tuple[str, ...],
    auxiliary: Path | None,
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
    from negsamp.sampling import SAMPLERS, missing_for, serves

    loaded = load_dataset(dataset, mirror=mirror)
    if not samplers:
        unmet = {"training", *([] if auxiliary else ["auxiliary"]), *([] if loaded.negatives else ["negatives"])}
        wanted = [name for name, cls in SAMPLERS.items() if cls.needs not in unmet]
        samplers = tuple(name for name in wanted if serves(name, loaded, infer_schema))
        for name in sorted(set(wanted).difference(samplers)):
            click.echo(f"{name} is not applicable: {loaded.name} has no {missing_for(name, loaded)}", err=True)
    rows = []
    for name in samplers:
        sampler = sampler_of(
            name, loaded, auxiliary=auxiliary, num_neighbors=num_neighbors, grow=grow, infer_schema=infer_schema
        )
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
    _tell_notes(loaded)


@click.command()
@dataset_argument("dataset")
@sampler_option(default="random", show_default=True, help="A sampler by name.")
@click.option(
    "-n", "--num-negatives", type=click.IntRange(min=1), default=5, show_default=True, help="For each triple."
)
@click.option("--triples", type=click.IntRange(min=1), default=3, show_default=True, help="How many, chosen at random.")
@click.option("--head", help="Choose among triples of this head.")
@click.option("--relation", help="Choose among triples of this relation.")
@click.option("--tail", help="Choose among triples of this tail.")
@fallback_option
@click.option("--unfiltered", is_flag=True, help="Exclude the replaced entity alone, not all known positives.")
@auxiliary_option
@num_neighbors_option
@click.option("--seed", default=0, show_default=True, help="Of the choice and the draw.")
@infer_schema_option
@mirror_option
@json_option
def sample(
    dataset: str,
    sampler: str,
    num_negatives: int,
    triples: int,
    head: str | None,
    relation: str | None,
    tail: str | None,
    fallback: Fallback,
    unfiltered: bool,
    auxiliary: Path | None,
    num_neighbors: int,
    seed: int,
    infer_schema: float | None,
    mirror: Path | None,
    as_json: bool,
) -> None:
    """Draw negatives of training triples of DATASET, and show them by name, each with the stage it was drawn from.

    DATASET is a name, or a folder given with a slash. A stage is the sampler's own pool, one of its fallbacks, or
    "masked" where nothing is left.

    Example: negsamp sample nations --sampler relational -n 5 --fallback random
    """
    import torch

    from negsamp.auxiliary import train_quickly
    from negsamp.datasets import load_dataset
    from negsamp.sampling.examples import choose_triples, draw_examples

    loaded = load_dataset(dataset, mirror=mirror)
    torch.manual_seed(seed)
    positives = choose_triples(loaded.training, triples, head=head, relation=relation, tail=tail)
    drawer = sampler_of(
        sampler,
        loaded,
        auxiliary=auxiliary,
        train=lambda: train_quickly(loaded.training),
        num_negs_per_pos=num_negatives,
        filtered=not unfiltered,
        fallback=fallback,
        num_neighbors=num_neighbors,
        infer_schema=infer_schema,
    )
    examples = draw_examples(drawer, loaded.training, positives)
    if as_json:
        click.echo(json.dumps(examples, indent=2, ensure_ascii=False))
        return
    click.echo(_example_table(examples))


def _example_table(examples: list[dict[str, Any]]) -> str:
    """Lay out positives, each with its negatives under it, the replaced entity in bold where that can be shown."""
    rows: list[list[str]] = []
    for number, example in enumerate(examples, start=1):
        head, relation, tail = example["positive"]
        rows.append([f"triple {number}", head, relation, tail, ""])
        for negative in example["negatives"]:
            entity = negative["entity"]
            shown = "–" if entity is None else click.style(entity, bold=True)
            replaced = {"head": [shown, relation, tail], "tail": [head, relation, shown], None: ["–", relation, "–"]}
            rows.append(["", *replaced[negative["side"]], negative["stage"]])
        rows.append([""] * 5)
    headers = ["", "head", "relation", "tail", "stage"]
    return str(tabulate(rows[:-1], headers=headers, disable_numparse=True))


@click.command("advise")
@dataset_argument("dataset")
@infer_schema_option
@click.option(
    "--evidence",
    type=click.Path(dir_okay=False, path_type=Path),
    help="What the workflow's target graph_structure wrote, its evidence.csv [default: the package's].",
)
@mirror_option
@json_option
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
