"""The answer on auxiliary models: how their own quality goes with that of the model trained with their negatives."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from negsamp.results.collect import STUDY
from negsamp.results.comparison import BASELINE
from negsamp.results.figures import house_style, legend, panels_of, sampler_styles
from negsamp.results.questions.answer import (
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

__all__ = ["auxiliary_quality_answer"]

#: what an auxiliary model is, in the records of trainings
_AUXILIARY = ["auxiliary", "epochs"]


def auxiliary_quality_answer(records: Iterable[str]) -> Answer:
    """Tell how test MRR goes with the validation MRR of the auxiliary model that the negatives are taken from.

    :param records: the files of all kinds of auxiliary models, and of trainings without one

    :raises InputError: if a file is missing or damaged, or no training with an auxiliary model has finished
    """
    trained = unpacked(read_trainings(list(records), [*_AUXILIARY, "auxiliary_mrr", "pools"]), "pools")
    means = trained.groupby([*STUDY, *_AUXILIARY], dropna=False, sort=False, as_index=False).agg(
        mean=(MRR, "mean"), auxiliary_mrr=("auxiliary_mrr", "mean"), held_out=("held_out", "mean")
    )
    points = means[means["auxiliary"].notna()].dropna(subset="mean")
    require_some(points, "auxiliary quality", "no training with an auxiliary model has finished")
    others = means[means["auxiliary"].isna()]
    found = with_holm(pd.DataFrame(_rows(points, others)))
    return Answer(_table(found, trained), _figure(points, others), _verdict(found, trained))


def _rows(points: pd.DataFrame, others: pd.DataFrame) -> Iterable[dict[str, Any]]:
    for study, group in points.groupby(STUDY, sort=False):
        without = _beside(others, study).set_index("sampler")["mean"]
        untrained = group[group["epochs"] == 0]
        best = group.sort_values("auxiliary_mrr", kind="stable").iloc[-1]
        yield {
            **dict(zip(STUDY, study, strict=True)),
            **correlation_columns(rank_correlation(group["auxiliary_mrr"].tolist(), group["mean"].tolist())),
            "rho_held_out": rank_correlation(group["held_out"].tolist(), group["mean"].tolist()).rho,
            "untrained": untrained["mean"].mean(),
            "best_auxiliary": f"{best['auxiliary']}, {best['epochs']:.0f} epochs",
            "best_auxiliary_mrr": best["auxiliary_mrr"],
            "with_best_auxiliary": best["mean"],
            **{name: without.get(name, np.nan) for name in dict.fromkeys(others["sampler"])},
        }


def _beside(others: pd.DataFrame, study: Any) -> pd.DataFrame:
    """Return the means without an auxiliary model that stand beside a study: those of the same but for the sampler."""
    dataset, model, _, negatives = study
    return others[(others[["dataset", "model", "negatives"]] == [dataset, model, negatives]).all(axis=1)]


def _table(found: pd.DataFrame, trained: pd.DataFrame) -> Table:
    others = [name for name in dict.fromkeys(trained["sampler"]) if name in found.columns]
    rows, bold = [], set()
    for number, row in enumerate(found.to_dict("records")):
        if row["p_holm"] < LEVEL:
            bold.add((number, 4))
        numbers = {
            "MRR, untrained auxiliary": row["untrained"],
            "MRR, best auxiliary": row["with_best_auxiliary"],
            **{f"MRR, {sampler_label(name)}": row[name] for name in others},
        }
        rows.append(
            {
                "data set": row["dataset"],
                "model": row["model"],
                "sampler": sampler_label(row["sampler"]),
                "negatives": str(row["negatives"]),
                "correlation": correlation_text(row),
                "with held-out": f"{row['rho_held_out']:+.2f}",
                "best auxiliary (its MRR)": f"{row['best_auxiliary']} ({row['best_auxiliary_mrr']:.3f})",
                **{name: "—" if pd.isna(value) else f"{value:.3f}" for name, value in numbers.items()},
            }
        )
    kinds = list(dict.fromkeys(trained["auxiliary"].dropna()))
    epochs = sorted(set(trained["epochs"].dropna().astype(int)))
    return Table(
        raw=found,
        display=pd.DataFrame(rows),
        title="How much does the auxiliary model's quality matter?",
        label="auxiliary-quality",
        notes=(
            "Spearman's correlation, with Bonett and Wright's 95 % interval, of the auxiliary model's validation MRR "
            "with the test MRR of the model that is trained with its negatives, the mean over seeds; and, with "
            "held-out, of the share of the sampler's pool that is a validation or test triple. Bold: different from 0 "
            f"after Holm's correction over the rows. Auxiliary models: {listed(kinds)}, after "
            f"{listed(map(str, epochs))} epochs, trained anew with each seed; at most {found['points'].max()} points "
            f"a row. {failures(trained)} Settings are fixed, the same for all "
            "samplers."
        ),
        bold=frozenset(bold),
        text_columns=5,
    )


def _figure(points: pd.DataFrame, others: pd.DataFrame) -> Figure:
    studies = list(dict.fromkeys(points[STUDY].itertuples(index=False, name=None)))
    kinds = list(dict.fromkeys(points["auxiliary"]))
    longest = max(points["epochs"].max(), 1)
    # models look like no sampler of ours
    styles = sampler_styles([*dict.fromkeys(others["sampler"]), *kinds])
    with house_style():
        figure, places = panels_of(len(studies), height=2.1, vertical="test MRR")
        for study, panel in zip(studies, places, strict=True):
            dataset, model, sampler, negatives = study
            of_study = points[(points[STUDY] == list(study)).all(axis=1)]
            for kind in kinds:
                shown = of_study[of_study["auxiliary"] == kind]
                color, marker = (styles[kind][name] for name in ("color", "marker"))
                panel.scatter(
                    shown["auxiliary_mrr"],
                    shown["mean"],
                    # larger the longer it was trained; hollow where it was not
                    s=8 + 30 * shown["epochs"] / longest,
                    facecolors=["none" if epochs == 0 else color for epochs in shown["epochs"]],
                    edgecolors=color,
                    marker=marker,
                    linewidths=0.8,
                )
                # filled in the legend, whichever point comes first
                panel.scatter([], [], s=20, color=color, marker=marker, label=kind)
            for row in _beside(others, study).to_dict("records"):
                style = styles[row["sampler"]]
                panel.axhline(
                    row["mean"], color=style["color"], linestyle=style["linestyle"], label=sampler_label(row["sampler"])
                )
            panel.margins(x=0.08)
            panel.set_title(f"{dataset}, {model},\n{sampler_label(sampler)}, n = {negatives}", fontsize=8)
            panel.set_xlabel("auxiliary model's MRR")
        legend(figure)
    return figure


def _verdict(found: pd.DataFrame, trained: pd.DataFrame) -> str:
    sure = found[found["p_holm"] < LEVEL]
    rises, falls = sure[sure["rho"] > 0], sure[sure["rho"] < 0]
    points = int(found["points"].min())
    rows = [
        f"{row['dataset']}, {row['model']}, {sampler_label(row['sampler'])}: ρ = {correlation_text(row)}"
        for row in found.to_dict("records")
    ]
    said = [
        f"On {listed(dict.fromkeys(trained['dataset']))}, {len(trained):,} trainings: of {len(found)} combinations of "
        "a data set, a model and a sampler, test MRR rises with the quality of the auxiliary model in "
        f"{len(rises)}, falls in {len(falls)}, and no effect in one direction was found in {len(found) - len(sure)} "
        f"({'; '.join(rows)}).",
    ]
    controls = found.dropna(subset=["untrained", "with_best_auxiliary"])
    if len(controls):
        higher = int((controls["untrained"] > controls["with_best_auxiliary"]).sum())
        said.append(
            "Negatives of an untrained auxiliary model, the control, give a higher mean MRR than those of the best one "
            f"in {higher} of {len(controls)} ({controls['untrained'].mean():.3f} against "
            f"{controls['with_best_auxiliary'].mean():.3f} on average)."
        )
    for name in ("adaptiveadversarial", BASELINE):
        if name in found.columns and found[name].notna().any():
            known = found.dropna(subset=[name, "with_best_auxiliary"])
            above = int((known[name] > known["with_best_auxiliary"]).sum())
            said.append(
                f"{sampler_label(name).capitalize()} negatives, which need no auxiliary model, are above those of the "
                f"best one in {above} of {len(known)} ({known[name].mean():.3f} on average)."
            )
    said.append(
        f"With {points} points a pair, a correlation below {detectable_correlation(points):.2f} would have been missed "
        "more often than one time in five, without the correction already; the points of one kind are one model as it "
        "is trained, and less independent than that supposes."
    )
    return " ".join(said)
