"""The answer on graph structure: which property, and which descriptor, goes with a sampler's gain over random."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from negsamp.results.comparison import BASELINE
from negsamp.results.figures import house_style, legend, panels_of, sampler_styles
from negsamp.results.questions.answer import (
    CORRELATED,
    MRR,
    Answer,
    correlation_columns,
    correlation_text,
    failures,
    listed,
    read_trainings,
    require_some,
    unpacked,
    with_holm,
)
from negsamp.results.tables import Table, sampler_label
from negsamp.significance import LEVEL, detectable_correlation, rank_correlation

__all__ = ["collect_evidence", "gains_over_random", "graph_structure_answer"]

#: the mean over all models, beside each
_ALL = "all"
_GRAPH = ["file", "seed"]
#: kinds of relations as the figure writes them
_KINDS = {"one_to_one": "1-1", "one_to_many": "1-n", "many_to_one": "n-1", "many_to_many": "n-n"}


def graph_structure_answer(records: Iterable[str], *, sweeps: Mapping[str, Sequence[Sequence[Any]]]) -> Answer:
    """Tell how each sampler's gain over random negatives goes with each property, and with each descriptor.

    :param records: the files of all graphs
    :param sweeps: property → its values, and the file of each

    :raises InputError: if a file is missing or damaged, or no sampler has finished beside random negatives
    """
    trained, descriptors = _read(records)
    gains = gains_over_random(trained)
    whole = gains[gains["model"] == _ALL]
    require_some(whole, "graph structure", "no sampler has finished with every model beside random negatives")
    moved = _moved(gains, sweeps)
    families = [_by_property(moved), _by_descriptor(gains, descriptors)]
    found = pd.concat(
        [with_holm(family) for frame in families for _, family in frame.groupby("model", sort=False)], ignore_index=True
    )
    samplers = list(dict.fromkeys(gains["sampler"]))
    return Answer(_table(found, samplers, trained), _figure(moved, samplers), _verdict(found, gains, trained))


def collect_evidence(records: Iterable[str], *, sweeps: Mapping[str, Sequence[Sequence[Any]]]) -> pd.DataFrame:
    """Collect what :mod:`negsamp.advice` predicts gains from.

    :param records: the files of all graphs
    :param sweeps: property → its values, and the file of each

    :returns: one row a structure, sampler and model, means over the seeds' graphs: ``group`` (the sweep that it belongs
        to, or itself where it belongs to none or several), how many ``graphs``, the ``gain``, and the descriptors

    :raises InputError: if a file is missing or damaged
    """
    trained, descriptors = _read(records)
    gains = gains_over_random(trained)
    gains = gains[gains["model"] != _ALL]
    places: dict[str, list[str]] = {}
    for name, points in sweeps.items():
        for _, file in points:
            places.setdefault(str(file), []).append(name)
    groups = [
        places[file][0] if len(places.get(file, ())) == 1 else "/".join(Path(file).with_suffix("").parts[-2:])
        for file in gains["file"]
    ]
    grouped = gains.assign(group=groups).groupby(["file", "group", "sampler", "model"], sort=False)
    evidence = grouped[["gain", *descriptors]].mean().assign(graphs=grouped.size()).reset_index()
    return evidence[["group", "sampler", "model", "graphs", "gain", *descriptors]]


def _read(records: Iterable[str]) -> tuple[pd.DataFrame, list[str]]:
    """Read all trainings, one a row with the descriptors of its graph and pools; and name these."""
    frames = [read_trainings([path], ["structure", "pools"]).assign(file=str(path)) for path in records]
    read = pd.concat(frames, ignore_index=True)
    descriptors = [name for column in ("structure", "pools") for name in read[column].iloc[0]]
    return unpacked(unpacked(read, "structure"), "pools"), descriptors


def gains_over_random(trained: pd.DataFrame) -> pd.DataFrame:
    """Find by how much the test MRR of each sampler is above that of random negatives on the same graph.

    :param trained: one row a training

    :returns: one row a graph, sampler and model, and one for the mean of all models: as a share of the MRR of random
        negatives the ``gain``, the mean over the numbers of negatives; left out where one of them failed
    """
    keys = [*_GRAPH, "model", "negatives"]
    baseline = trained[trained["sampler"] == BASELINE].set_index(keys)[MRR].rename("baseline")
    others = trained[trained["sampler"] != BASELINE].join(baseline, on=keys)
    others = others.assign(gain=others[MRR] / others["baseline"] - 1).drop(columns=["dataset", "negatives"])

    def averaged(frame: pd.DataFrame, by: list[str]) -> pd.DataFrame:
        grouped = frame.groupby(by, sort=False)
        # a mean over those that finished would move with what failed
        is_whole = grouped["gain"].count() == grouped.size()
        return grouped.mean(numeric_only=True)[is_whole].reset_index()

    of_model = averaged(others, [*_GRAPH, "sampler", "model"])
    of_all = averaged(others.drop(columns="model"), [*_GRAPH, "sampler"]).assign(model=_ALL)
    return pd.concat([of_model, of_all], ignore_index=True)


def _moved(gains: pd.DataFrame, sweeps: Mapping[str, Sequence[Sequence[Any]]]) -> pd.DataFrame:
    """Return the gains of each sweep, with the property, the value, and where it lies on an axis (``x``)."""
    parts = []
    for name, points in sweeps.items():
        for place, (value, file) in enumerate(points):
            rows = gains[gains["file"] == str(file)]
            x = value
            if isinstance(value, str):
                # kinds of relations have no order of their own: how many sides are "many" has
                shares = rows[["one_to_many", "many_to_one", "many_to_many"]].mean()
                x = shares["one_to_many"] / 2 + shares["many_to_one"] / 2 + shares["many_to_many"]
            parts.append(rows.assign(property=name, value=str(value), place=place, x=float(x)))
    return pd.concat(parts, ignore_index=True)


def _by_property(moved: pd.DataFrame) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for (model, name, sampler), group in moved.groupby(["model", "property", "sampler"], sort=False):
        means = group.groupby("x")["gain"].mean()
        rows.append(
            {
                "kind": "property",
                "model": model,
                "predictor": name,
                "sampler": sampler,
                **correlation_columns(rank_correlation(group["x"].tolist(), group["gain"].tolist())),
                "gain_lowest": means.iloc[0],
                "gain_highest": means.iloc[-1],
            }
        )
    return pd.DataFrame(rows)


def _by_descriptor(gains: pd.DataFrame, descriptors: Iterable[str]) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for (model, sampler), group in gains.groupby(["model", "sampler"], sort=False):
        for name in descriptors:
            known = group.dropna(subset=name)
            if known[name].nunique() < 2:
                continue
            found = rank_correlation(known[name].tolist(), known["gain"].tolist())
            names = {"kind": "descriptor", "model": model, "predictor": name, "sampler": sampler}
            rows.append({**names, **correlation_columns(found)})
    return pd.DataFrame(rows, columns=["kind", "model", "predictor", "sampler", *CORRELATED])


def _table(found: pd.DataFrame, samplers: Sequence[str], trained: pd.DataFrame) -> Table:
    shown = found[found["model"] == _ALL]
    rows: list[dict[str, Any]] = []
    bold: set[tuple[int, int]] = set()
    for (kind, predictor), group in shown.groupby(["kind", "predictor"], sort=False):
        of_sampler = {row["sampler"]: row for row in group.to_dict("records")}
        row = {"": "moved" if kind == "property" else "measured", "property or descriptor": predictor}
        for column, sampler in enumerate(samplers, start=len(row)):
            cell = of_sampler.get(sampler)
            row[sampler_label(sampler)] = "—"
            if cell is not None:
                row[sampler_label(sampler)] = correlation_text(cell)
                if cell["p_holm"] < LEVEL:
                    bold.add((len(rows), column))
        rows.append(row)
    models = list(dict.fromkeys(trained["model"]))
    counts = shown.groupby("kind")["points"].max()
    return Table(
        raw=found,
        display=pd.DataFrame(rows),
        title="How does the structure of a graph decide which sampler works?",
        label="graph-structure",
        notes=(
            "Spearman's correlation, with Bonett and Wright's 95 % interval, of a sampler's gain over random "
            "negatives, as a share of their test MRR, with a property that alone is moved, and with what is measured "
            "on all graphs and on the sampler's own pools. Gains are means over "
            f"{listed(models)}; the CSV has each. Bold: different from 0 after Holm's correction over all cells of "
            "properties, or of descriptors, by permutation tests where points are few. The place of a kind of "
            "relations is the measured share of sides with many. Points: at most "
            f"{counts.get('property', 0)} a property, {counts.get('descriptor', 0)} a descriptor. {failures(trained)} "
            "Settings are fixed, the same for all samplers."
        ),
        bold=frozenset(bold),
        text_columns=2,
    )


def _figure(moved: pd.DataFrame, samplers: Sequence[str]) -> Figure:
    moved = moved[moved["model"] != _ALL]
    names, models = list(dict.fromkeys(moved["property"])), list(dict.fromkeys(moved["model"]))
    panels = [(name, model) for name in names for model in models]
    styles = sampler_styles([BASELINE, *samplers])
    with house_style():
        figure, places = panels_of(len(panels), height=1.7, vertical="gain, %")
        for (name, model), panel in zip(panels, places, strict=True):
            shown = moved[(moved["property"] == name) & (moved["model"] == model)]
            line = {key: styles[BASELINE][key] for key in ("color", "linestyle")}
            panel.axhline(0, label=sampler_label(BASELINE), linewidth=0.8, **line)
            for sampler in samplers:
                points = shown[shown["sampler"] == sampler].groupby("place")["gain"].agg(["mean", "std"])
                panel.errorbar(
                    points.index,
                    100 * points["mean"],
                    yerr=100 * points["std"] if points["std"].notna().any() else None,
                    label=sampler_label(sampler),
                    elinewidth=0.6,
                    **styles[sampler],
                )
            values = shown.drop_duplicates("place").set_index("place")["value"].sort_index()
            panel.set_xticks(values.index, labels=[_KINDS.get(value, value) for value in values])
            panel.tick_params(axis="x", labelsize=6)
            panel.set_title(f"{name}, {model}", fontsize=8)
        legend(figure)
    return figure


def _verdict(found: pd.DataFrame, gains: pd.DataFrame, trained: pd.DataFrame) -> str:
    baseline = trained.loc[trained["sampler"] == BASELINE, MRR].mean()
    chance = float(np.mean(1 / np.arange(1, round(trained["entities"].mean()) + 1)))
    shown = found[(found["model"] == _ALL) & (found["kind"] == "property")]
    sure = shown[shown["p_holm"] < LEVEL].sort_values("rho", key=abs, ascending=False, kind="stable")
    each = gains[gains["model"] != _ALL].groupby("sampler", sort=False)["gain"]
    changes = [
        f"{sampler_label(str(name))} {gain:+.0%} (above it in {share:.0%})"
        for (name, gain), share in zip(each.mean().items(), each.agg(lambda of: (of > 0).mean()), strict=True)
    ]
    said = [
        f"On {len(trained.drop_duplicates(_GRAPH)):,} generated graphs, {len(trained):,} trainings: with random "
        f"negatives test MRR is {baseline:.3f} on average, {baseline / chance:.0f} times what a random order gives.",
        f"Against that, on average: {listed(changes)}.",
    ]
    if len(sure):
        told = listed(
            f"{row['predictor']} for {sampler_label(row['sampler'])} (ρ = {correlation_text(row)}, from "
            f"{row['gain_lowest']:+.0%} to {row['gain_highest']:+.0%})"
            for row in sure.head(6).to_dict("records")
        )
        said.append(
            f"Of {len(shown)} pairs of a property and a sampler's gain, {len(sure)} rise or fall together after Holm's "
            f"correction, first of all {told}."
        )
    without = [name for name in dict.fromkeys(shown["predictor"]) if name not in set(sure["predictor"])]
    if without:
        said.append(f"No effect in one direction was found of {listed(without)}.")
    points = int(shown["points"].min())
    said.append(
        f"With {points} points a pair, a correlation below {detectable_correlation(points):.2f} would have been missed "
        "more often than one time in five, without the correction already."
    )
    return " ".join(said)
