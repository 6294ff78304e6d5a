"""How far advice is right on benchmark graphs, which it is not fitted to: predicted gains beside measured ones.

Reads the tables of the experiments on them in ``docs/results``, writes ``negsamp/advice/real.csv`` with the graphs'
descriptors, and ``advice.csv``, ``advice.md`` and ``advice.png``::

    NEGSAMP_MIRROR=path/to/archives python benchmarks/advice.py
"""

from pathlib import Path

import click
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from negsamp.advice import (
    GENERATED,
    INTERVAL,
    REAL,
    describe_sampler,
    fit_structural,
    read_evidence,
    validate_forecasts,
)
from negsamp.datasets import load_dataset
from negsamp.descriptors import describe_dataset
from negsamp.io import atomic_path
from negsamp.results.comparison import BASELINE
from negsamp.results.figures import house_style, legend, panels_of, sampler_styles
from negsamp.results.tables import Table, sampler_label
from negsamp.sampling import SAMPLERS

#: the advice, the mean of what was measured without structure, and structure alone
PREDICTED = ("predicted", "usual", "structural")
#: gains that a correlation takes more than
FEW = 4
MRR = "inverse_harmonic_mean_rank_mean"


def measured_gains(tables: Path) -> pd.DataFrame:
    """Read the gains over random negatives of one experiment: means over the numbers of negatives."""
    found = pd.concat([pd.read_csv(path) for path in sorted(tables.glob("link_prediction/*.csv"))])
    # domains and ranges that are inferred are another schema
    found = found[found["sampler"].isin(SAMPLERS) & (found["state"] != "not applicable") & ~found["inferred"].eq(True)]
    keys = ["dataset", "model", "negatives"]
    baseline = found[found["sampler"] == BASELINE].set_index(keys)[MRR].rename("baseline")
    found = found[found["sampler"] != BASELINE].join(baseline, on=keys)
    gains = found.assign(gain=found[MRR] / found["baseline"] - 1)
    grouped = gains.groupby(["dataset", "model", "sampler"], sort=False)["gain"]
    # a mean over those that finished would move with what failed
    return grouped.mean()[grouped.count() == grouped.size()].reset_index()


def describe_gains(experiments: Path, mirror: Path | None) -> pd.DataFrame:
    """Put the descriptors of graphs and pools beside the gains of all experiments, as evidence is written."""
    parts = [
        measured_gains(folder).assign(experiment=folder.parent.name) for folder in sorted(experiments.glob("*/tables"))
    ]
    rows = []
    for name, of_graph in pd.concat(parts).groupby("dataset", sort=False):
        click.echo(f"describing {name}")
        dataset = load_dataset(str(name), mirror=mirror)
        structure = describe_dataset(dataset)
        for sampler, of_sampler in of_graph.groupby("sampler", sort=False):
            pools = {}
            if SAMPLERS[str(sampler)].needs not in ("auxiliary", "training"):
                _, pools = describe_sampler(str(sampler), dataset)
            for row in of_sampler.rename(columns={"dataset": "group"}).to_dict("records"):
                rows.append({**row, "graphs": 1, **structure, **pools})
    return pd.DataFrame(rows)


def summarise(validated: pd.DataFrame) -> Table:
    """Tell of each graph, and of all, how far forecasts and gains are from each other."""

    def row(name: str, rows: pd.DataFrame) -> dict[str, object]:
        def error(column: str) -> float:
            return float((rows[column] - rows["gain"]).abs().mean())

        def rho(column: str) -> float | None:
            return float(rows[column].corr(rows["gain"], method="spearman")) if len(rows) > FEW else None

        is_sure = (rows["low"] > 0) | (rows["high"] < 0)
        return {
            "graph": name,
            "gains": len(rows),
            "weight": rows["weight"].mean(),
            **{f"{kind}_{column}": of(column) for kind, of in (("error", error), ("rho", rho)) for column in PREDICTED},
            "losses": (rows["gain"] < 0).mean(),
            "in_interval": rows["gain"].between(rows["low"], rows["high"]).mean(),
            "sure": int(is_sure.sum()),
            "right": int((is_sure & (np.sign(rows["predicted"]) == np.sign(rows["gain"]))).sum()),
        }

    graphs = [(str(name), rows) for name, rows in validated.groupby("group", sort=False)]
    raw = pd.DataFrame([row(name, rows) for name, rows in [*graphs, ("all", validated)]])

    def joined(kind: str, form: str) -> list[str]:
        cells = raw[[f"{kind}_{column}" for column in PREDICTED]].itertuples(index=False)
        return [", ".join("–" if pd.isna(value) else format(value, form) for value in cell) for cell in cells]

    display = pd.DataFrame(
        {
            "graph": raw["graph"],
            "gains": raw["gains"].map(str),
            "losses": raw["losses"].map("{:.0%}".format),
            "weight": raw["weight"].map("{:.2f}".format),
            "mean error": joined("error", ".0%"),
            "ρ": joined("rho", ".2f"),
            f"in the {INTERVAL:.0%} interval": raw["in_interval"].map("{:.0%}".format),
            "sure, of these right": [f"{of.sure}, {of.right}" for of in raw.itertuples()],
        }
    )
    notes = (
        "Gains over random negatives by sampler, model and experiment, means over the numbers of negatives. All of a "
        "graph's gains are predicted from generated graphs and the other graphs of this table. Losses: gains below 0. "
        "Weight: of structure. Errors and Spearman's correlation: of the advice, of the usual gain without structure, "
        "and of structure alone. Sure: the interval is above or below 0."
    )
    return Table(raw, display, "Predicted and measured gains on benchmark graphs", "advice", notes)


def scatter(validated: pd.DataFrame) -> Figure:
    """Draw predicted and measured gains of each graph."""
    graphs, samplers = (
        list(validated["group"].unique()),
        [name for name in SAMPLERS if name in set(validated["sampler"])],
    )
    styles = sampler_styles(samplers)
    numbers = ["gain", "predicted", "low", "high"]
    shown = validated.assign(**{name: 100 * validated[name] for name in numbers})
    with house_style():
        figure, panels = panels_of(len(graphs), height=1.9, vertical="measured gain, %")
        for graph, panel in zip(graphs, panels, strict=True):
            panel.axline((0, 0), slope=1, color="0.6", linewidth=0.8)
            for sampler in samplers:
                # also where there are none, for the legend
                rows = shown[(shown["group"] == graph) & (shown["sampler"] == sampler)]
                panel.errorbar(
                    rows["predicted"],
                    rows["gain"],
                    xerr=[rows["predicted"] - rows["low"], rows["high"] - rows["predicted"]],
                    label=sampler_label(sampler),
                    elinewidth=0.4,
                    **{**styles[sampler], "linestyle": "none"},
                )
            panel.set_xlim(shown["low"].min() - 5, shown["high"].max() + 5)
            panel.set_ylim(shown["gain"].min() - 5, shown["gain"].max() + 5)
            panel.set_title(graph, fontsize=8)
            panel.set_xlabel("predicted gain, %")
        legend(figure)
    return figure


@click.command()
@click.option("--mirror", type=click.Path(file_okay=False, path_type=Path), envvar="NEGSAMP_MIRROR")
@click.option(
    "--experiments",
    type=click.Path(file_okay=False, path_type=Path),
    default="docs/results",
    show_default=True,
    help="Folder whose folders hold the tables of an experiment each.",
)
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), default="docs/results", show_default=True)
@click.option(
    "--evidence",
    type=click.Path(dir_okay=False, path_type=Path),
    default=REAL,
    help="What is written for advice to read [default: the package's].",
)
def main(mirror: Path | None, experiments: Path, output: Path, evidence: Path) -> None:
    """Describe the graphs, and compare."""
    with atomic_path(evidence) as path:
        describe_gains(experiments, mirror).to_csv(path, index=False, float_format="%.6g")
    validated = validate_forecasts(fit_structural(read_evidence(GENERATED)), read_evidence(evidence))
    columns = ["group", "experiment", "model", "sampler", "gain", *PREDICTED, "low", "high", "weight"]
    with atomic_path(output / "advice.csv") as path:
        validated[columns].to_csv(path, index=False, float_format="%.4g")
    with atomic_path(output / "advice.md") as path:
        path.write_text(summarise(validated).to_markdown(), encoding="utf-8")
    with atomic_path(output / "advice.png") as path:
        scatter(validated).savefig(path, dpi=200)


if __name__ == "__main__":
    main()
