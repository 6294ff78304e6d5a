"""The answer on the random integration: what no fallback, or a semantic one, makes of a sampler."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from negsamp.results.collect import STUDY
from negsamp.results.comparison import COMPARED, compare_family
from negsamp.results.figures import PAGE, house_style, sampler_styles
from negsamp.results.questions.answer import MRR, Answer, failures, listed, read_trainings, require_some
from negsamp.results.tables import MARKS, Table, sampler_label
from negsamp.significance import BETTER, WORSE, detectable_difference

__all__ = ["random_integration_answer"]

#: what the others are compared with: the paper's *integrate*
_INTEGRATE = "random"
_RUN = [*STUDY, "fallback", "seed"]
#: what slots were filled by; all else is a stage of a semantic fallback
_SHARES = {"pool": "pool", "random": "everything", "masked": "masked"}
_LINES: dict[str, Any] = {"none": ":", "random": "--", "semantic": "-"}


def random_integration_answer(records: Iterable[str]) -> Answer:
    """Compare samplers without a fallback and with a semantic one to the same with a random one.

    :param records: the files of all samplers and fallbacks

    :raises InputError: if a file is missing or damaged, or no training with a random fallback has finished
    """
    trained = read_trainings(list(records), ["fallback", "validity", "slots", "reciprocal_ranks"])
    is_base = trained["fallback"].eq(_INTEGRATE) & trained[MRR].notna()
    require_some(trained[is_base], "random integration", "no training with a random fallback has finished")
    trained["fallback"] = trained["fallback"].fillna("none")
    shares = pd.DataFrame([_shares(slots or {}) for slots in trained["slots"]], index=trained.index)
    trained = pd.concat([trained, shares], axis=1).astype({"validity": float})
    means = trained.groupby([*STUDY, "fallback"], sort=False, as_index=False).agg(
        mean=(MRR, "mean"),
        std=(MRR, "std"),
        **{name: (name, "mean") for name in shares.columns},
        validity=("validity", "mean"),
    )
    compared = _compare(trained)
    found = means.merge(compared, how="left", on=[*STUDY, "fallback"])
    # blank for the random fallback itself
    found["is_same"] = found["is_same"].eq(True)
    return Answer(_table(found, trained), _figure(means), _verdict(found, trained))


def _shares(slots: Mapping[str, int]) -> dict[str, float]:
    # a rescued slot is one of a batch that would be empty: it is drawn from everything
    counted = {name: slots.get(stage, 0) for name, stage in _SHARES.items()}
    total = sum(slots.values())
    counted["random"] += slots.get("rescued", 0)
    counted["semantic"] = total - sum(counted.values())
    return {f"share_{name}": count / total if total else np.nan for name, count in counted.items()}


def _compare(trained: pd.DataFrame) -> pd.DataFrame:
    """Compare each fallback with the random one, on the same test triples and seeds, as one family of tests.

    Where no fallback was needed, or both gave the same entities, they are the same trainings: nothing to compare.
    """
    finished = trained.dropna(subset="reciprocal_ranks")
    ranks = {tuple(row[:-1]): np.asarray(row[-1]) for row in finished[[*_RUN, "reciprocal_ranks"]].to_numpy(object)}
    seeds = sorted(set(finished["seed"]))
    rows: list[dict[str, Any]] = []
    groups: dict[tuple[Any, ...], dict[str, Any]] = {}
    for *study, fallback in dict.fromkeys(tuple(key[:-1]) for key in ranks):
        common = [seed for seed in seeds if {(*study, fallback, seed), (*study, _INTEGRATE, seed)} <= ranks.keys()]
        if fallback == _INTEGRATE or not common:
            continue
        differences = np.stack([ranks[*study, fallback, seed] - ranks[*study, _INTEGRATE, seed] for seed in common])
        names = zip([*STUDY, "fallback"], [*study, fallback], strict=True)
        rows.append({**dict(names), "is_same": not differences.any()})
        if differences.any():
            # seeds matter alike for the trainings of one model
            groups.setdefault((*study[:2], differences.shape), {})[str(len(rows) - 1)] = differences
    for name, compared in compare_family(groups.values()).items():
        rows[int(name)].update(compared)
    found = pd.DataFrame(rows, columns=[*STUDY, "fallback", "is_same", *COMPARED])
    low, high = (found[name].to_numpy(float) for name in ("difference_low", "difference_high"))
    return found.assign(detectable=detectable_difference(low, high))


def _table(found: pd.DataFrame, trained: pd.DataFrame) -> Table:
    rows = []
    for row in found.to_dict("records"):
        failed = pd.isna(row["mean"])
        deviation = "" if pd.isna(row["std"]) else f" ± {row['std']:.3f}"
        against = "the same trainings" if row["is_same"] else "—"
        if not pd.isna(row["difference"]):
            low, high = row["difference_low"], row["difference_high"]
            against = f"{row['difference']:+.3f} [{low:+.3f}, {high:+.3f}]"
        shares = {name: row[f"share_{name}"] for name in ("pool", "semantic", "random", "masked")}
        rows.append(
            {
                "data set": row["dataset"],
                "model": row["model"],
                "sampler": sampler_label(row["sampler"]),
                "negatives": str(row["negatives"]),
                "fallback": row["fallback"],
                "test MRR": "failed" if failed else f"{row['mean']:.3f}{deviation}{MARKS.get(row['verdict'], '')}",
                "against random": against,
                **{name: "—" if pd.isna(value) else f"{value:.1%}" for name, value in shares.items()},
                "valid": "—" if pd.isna(row["validity"]) else f"{row['validity']:.1%}",
            }
        )
    return Table(
        raw=found,
        display=pd.DataFrame(rows),
        title="Can the random integration be replaced?",
        label="random-integration",
        notes=(
            "Test MRR (mean ± standard deviation over seeds) of a sampler without a fallback, with random entities and "
            "with semantic stages; ↑ better, ↓ worse, = no difference from the random fallback, by a paired bootstrap "
            f"over test triples and {trained['seed'].nunique()} seeds, after Holm's correction over the rows that "
            "differ; in brackets its 95 % interval, one at a time. Shares of the slots that were filled by the "
            "sampler's own pool, by semantic stages, by random entities, and by nothing; valid: share of the negatives "
            "whose new entity is of the domain or range, where one is known. "
            f"{failures(trained)} Settings are fixed, the same for all samplers and fallbacks."
        ),
        text_columns=5,
    )


def _figure(means: pd.DataFrame) -> Figure:
    datasets, models = (list(dict.fromkeys(means[name])) for name in ("dataset", "model"))
    samplers, fallbacks = (list(dict.fromkeys(means[name])) for name in ("sampler", "fallback"))
    numbers = sorted(set(means["negatives"]))
    kinds = [
        *((f"{model}", "mean", "test MRR", [model], 1) for model in models),
        ("random fill", "share_random", "slots, %", models, 100),
        ("valid", "validity", "negatives, %", models, 100),
    ]
    styles = sampler_styles(samplers)
    with house_style():
        figure = Figure(figsize=(PAGE, 2.0 * len(datasets) + 0.6), layout="constrained")
        places = figure.subplots(len(datasets), len(kinds), squeeze=False)
        for dataset, panels in zip(datasets, places, strict=True):
            for (title, column, vertical, of_models, factor), panel in zip(kinds, panels, strict=True):
                shown = means[(means["dataset"] == dataset) & means["model"].isin(of_models)]
                for (sampler, fallback), group in shown.groupby(["sampler", "fallback"], sort=False):
                    line = group.groupby("negatives")[column].mean()
                    style = {**styles[sampler], "linestyle": _LINES[fallback]}
                    panel.plot(line.index, factor * line, **style)
                if column == "validity" and shown[column].isna().all():
                    panel.text(0.5, 0.5, "no domains\nor ranges", transform=panel.transAxes, ha="center")
                    panel.set_yticks([])
                panel.set_xscale("log")
                panel.set_xticks(numbers, labels=[str(number) for number in numbers])
                panel.minorticks_off()
                panel.set_title(f"{dataset}, {title}", fontsize=8)
                panel.set_ylabel(vertical)
        for panel in places[-1]:
            panel.set_xlabel("negatives per positive")
        keys = [Line2D([], [], **{**styles[name], "linestyle": "-"}) for name in samplers]
        keys += [Line2D([], [], color="#777777", linestyle=_LINES[name]) for name in fallbacks]
        words = [*map(sampler_label, samplers), *(f"fallback: {name}" for name in fallbacks)]
        figure.legend(keys, words, loc="outside lower center", ncols=5, columnspacing=1.2, handlelength=2.6)
    return figure


def _verdict(found: pd.DataFrame, trained: pd.DataFrame) -> str:
    random = found[found["fallback"] == _INTEGRATE]
    shares = random.groupby("negatives")["share_random"].mean().dropna()
    filled = [f"{share:.0%} with {number}" for number, share in shares.items()]
    said = [
        f"On {listed(dict.fromkeys(trained['dataset']))}, {len(trained):,} trainings: of the slots of "
        f"{listed(map(sampler_label, dict.fromkeys(found['sampler'])))}, random entities fill "
        f"{listed(dict.fromkeys([filled[0], filled[-1]]))} negatives a positive."
    ]
    for fallback, words in (("semantic", "Semantic stages instead are"), ("none", "No fallback at all is")):
        of_fallback = found[found["fallback"] == fallback]
        rows = of_fallback.dropna(subset="difference")
        if rows.empty:
            continue
        better, worse = (int((rows["verdict"] == verdict).sum()) for verdict in (BETTER, WORSE))
        differences = rows["difference"]
        said.append(
            f"{words} better in {better} of {len(rows)} comparisons, worse in {worse} and no different in "
            f"{len(rows) - better - worse} (and the same trainings in {int(of_fallback['is_same'].sum())} more), by "
            f"{differences.mean():+.3f} MRR on average (from {differences.min():+.3f} to {differences.max():+.3f})"
            f"{_validity(found, fallback)}."
        )
    compared = found["detectable"].dropna()
    if len(compared):
        said.append(
            f"Half of the comparisons would have found a difference of {compared.median():.3f} MRR four times in five, "
            f"all of them one of {compared.max():.3f}, without the correction."
        )
    return " ".join(said)


def _validity(found: pd.DataFrame, fallback: str) -> str:
    means = found.groupby("fallback")["validity"].mean().dropna()
    if not {fallback, _INTEGRATE} <= set(means.index):
        return ""
    return f"; {means[fallback]:.0%} of the negatives are valid, {means[_INTEGRATE]:.0%} with random entities"
