r"""Lay out the published tables.

Each function reads the files it is given, takes the rows it is asked for in the order it is asked for them, and returns
a :class:`Table`: exact values for CSV, and the same as people read it for LaTeX and Markdown. A missing file is an
error; a study that failed and a sampler that the data set cannot serve are told in the table.

The LaTeX twins need ``\usepackage{booktabs}``, and the long ones ``\usepackage{longtable}``.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import pandas as pd

from negsamp.io import atomic_path
from negsamp.results.collect import (
    METRICS,
    PARAMETERS,
    SIZES,
    STUDY,
    Paths,
    average_seeds,
    read_best,
    read_finals,
    read_reports,
    read_statistics,
    read_timings,
    require,
)

__all__ = [
    "SAMPLER_LABELS",
    "Table",
    "cost_table",
    "datasets_table",
    "link_prediction_table",
    "parameters_table",
    "pools_table",
    "sampler_label",
    "slots_table",
    "write_table",
]

#: a data set and a sampler
Pair: TypeAlias = Sequence[str]
#: data set, model, sampler, number of negatives; no number (and no study) where the data set cannot serve the sampler
Study: TypeAlias = tuple[str, str, str, int | None]

#: how tables and figures call the samplers; others keep their registered name
SAMPLER_LABELS = {
    "basic": "basic",
    "bernoulli": "Bernoulli",
    "random": "random",
    "corrupt": "corrupt",
    "typed": "typed",
    "typedbyclass": "typed by class",
    "relational": "relational",
    "nearestneighbor": "nearest neighbour",
    "adversarial": "adversarial",
    "adaptiveadversarial": "adaptive adversarial",
}

#: the metrics of the link prediction table
_RANKING = {"inverse_harmonic_mean_rank": "MRR", "hits_at_1": "Hits@1", "hits_at_3": "Hits@3", "hits_at_10": "Hits@10"}

_NOTHING = "—"
_FAILED = "failed"
_NOT_APPLICABLE = "not applicable"

#: rows that fit on a page
_PAGE_ROWS = 50

_LATEX = str.maketrans(
    {
        **{sign: f"\\{sign}" for sign in "&%$#_{}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        "±": r"$\pm$",
        "≤": r"$\leq$",
        "×": r"$\times$",
        "−": "$-$",
        "–": "--",
        "—": "---",
        "→": r"$\to$",
        "…": r"\ldots{}",
    }
)


@dataclass(frozen=True)
class Table:
    """A table as values and as text."""

    #: exact values
    raw: pd.DataFrame
    #: what people read; the columns may have two levels
    display: pd.DataFrame
    title: str
    #: what LaTeX refers to it by, after ``tab:``
    label: str
    #: sentences that follow the title in the caption
    notes: str = ""
    #: row and column of the displayed cells set in bold
    bold: frozenset[tuple[int, int]] = frozenset()
    #: how many columns, from the left, hold text rather than numbers
    text_columns: int = 1

    @property
    def caption(self) -> str:
        """The title and the notes."""
        return f"{self.title}. {self.notes}".strip()

    def to_latex(self) -> str:
        r"""Return a ``table`` environment, or a ``longtable`` where the rows do not fit on a page."""
        alignment = "l" * self.text_columns + "r" * (self.display.shape[1] - self.text_columns)
        small = [
            {"selector": "footnotesize", "props": ":;"},
            {"selector": "setlength", "props": r":{\tabcolsep}{4pt};"},
        ]
        long = len(self.display) > _PAGE_ROWS
        latex: str = (
            self._cells(latex_escape, r"\textbf{{{}}}")
            .style.hide(axis="index")
            .set_table_styles([] if long else small)
            .to_latex(
                column_format=alignment,
                hrules=True,
                multicol_align="c",
                caption=(latex_escape(self.caption), latex_escape(self.title)),
                label="tab:" + re.sub(r"[^A-Za-z0-9]+", "-", self.label),
                environment="longtable" if long else None,
                position=None if long else "htbp",
                position_float=None if long else "centering",
            )
        )
        # a longtable takes no commands inside, so a group around it makes it small
        return f"\\begingroup\n\\footnotesize\n{latex}\\endgroup\n" if long else latex

    def to_markdown(self) -> str:
        """Return the caption and a pipe table."""
        cells = self._cells(_escape_markdown, "**{}**")
        cells.columns = pd.Index([" ".join(filter(None, _levels(name))) for name in cells.columns])
        alignment = ["left"] * self.text_columns + ["right"] * (cells.shape[1] - self.text_columns)
        table = cells.to_markdown(index=False, disable_numparse=True, colalign=alignment if len(cells) else None)
        return f"{_escape_markdown(self.caption)}\n\n{table}\n"

    def _cells(self, escape: Any, bold: str) -> pd.DataFrame:
        """Escape header and cells, and set the best in bold."""
        rows = [
            [
                bold.format(escape(cell)) if (row, column) in self.bold else escape(cell)
                for column, cell in enumerate(cells)
            ]
            for row, cells in enumerate(self.display.itertuples(index=False, name=None))
        ]
        names = [tuple(map(escape, _levels(name))) for name in self.display.columns]
        columns = pd.MultiIndex.from_tuples(names) if self.display.columns.nlevels > 1 else [name for (name,) in names]
        return pd.DataFrame(rows, columns=columns)


def write_table(
    table: Table, *, csv: str | os.PathLike[str], tex: str | os.PathLike[str], md: str | os.PathLike[str]
) -> None:
    """Write a table three times.

    :param csv: the file for exact values
    :param tex: the file for LaTeX
    :param md: the file for Markdown
    """
    texts = {csv: table.raw.to_csv(index=False, lineterminator="\n"), tex: table.to_latex(), md: table.to_markdown()}
    for target, text in texts.items():
        with atomic_path(target) as path:
            path.write_text(text, encoding="utf-8")


def sampler_label(sampler: str) -> str:
    """Return how tables and figures call a sampler."""
    return SAMPLER_LABELS.get(sampler, sampler)


def latex_escape(text: str) -> str:
    """Make LaTeX print a text as it stands; a letter far from Latin, which pdflatex refuses, becomes a question mark."""
    escaped = " ".join(text.split()).translate(_LATEX)
    return "".join(letter if ord(letter) < 0x180 else "?" for letter in escaped)


def datasets_table(reports: Paths, *, datasets: Sequence[str]) -> Table:
    """Describe the data sets, one a column.

    :param reports: a ``report.json`` of each data set
    :param datasets: the data sets, in order

    :raises InputError: if a report is missing or damaged
    """
    frame = require(read_reports(reports), ["dataset"], [(name,) for name in datasets], "the report of a data set")

    def counts(*columns: str) -> list[str]:
        return [" / ".join(f"{row[column]:,}" for column in columns) for row in frame.to_dict("records")]

    lines = {
        "training triples (lines / distinct)": counts("training_lines", "training_distinct"),
        "validation triples (lines / distinct)": counts("validation_lines", "validation_distinct"),
        "test triples (lines / distinct)": counts("testing_lines", "testing_distinct"),
        "entities": counts("entities"),
        "relations": counts("relations"),
        "validation lines also in training": counts("leaks_training_validation"),
        "test lines also in training": counts("leaks_training_testing"),
        "test lines also in validation": counts("leaks_validation_testing"),
        "validation lines with names unseen in training": counts("validation_unseen"),
        "test lines with names unseen in training": counts("testing_unseen"),
        "classes": counts("classes"),
        "typed entities": counts("typed_entities"),
        "relations with domain / range / both": counts("domains", "ranges", "domains_and_ranges"),
        "pairs of class and superclass": counts("superclass_pairs"),
        "archive": [_NOTHING if pd.isna(archive) else _short_hash(archive) for archive in frame["archive"]],
    }
    odd = [f"{name}: {'; '.join(notes)}." for name, notes in zip(datasets, frame["notes"], strict=True) if notes]
    return Table(
        raw=frame.assign(notes=["; ".join(notes) for notes in frame["notes"]]),
        display=pd.DataFrame([[name, *cells] for name, cells in lines.items()], columns=["", *datasets]),
        title="Data sets",
        label="datasets",
        notes=" ".join(["Training uses the distinct triples.", *(["Noted on reading:", *odd] if odd else [])]),
    )


def pools_table(
    statistics: Paths, *, datasets: Sequence[str], samplers: Sequence[str], not_applicable: Collection[Pair] = ()
) -> Table:
    """Describe the sizes of negative pools, over both sides and each.

    :param statistics: a ``{sampler}.statistics.json`` of each data set and sampler that has pools
    :param datasets: the data sets, in order
    :param samplers: the samplers that have pools, in order
    :param not_applicable: the data sets and samplers that do not go together

    :raises InputError: if statistics are missing or damaged
    """
    excluded = set(map(tuple, not_applicable))
    sides = ["both", "head", "tail"]
    keys = [
        (dataset, sampler, side)
        for dataset in datasets
        for sampler in samplers
        for side in ([None] if (dataset, sampler) in excluded else sides)
    ]
    columns = ["dataset", "sampler", "side"]
    frame = _fill(read_statistics(statistics), columns, keys, "the statistics of pools").astype({"queries": "Int64"})
    shares = {f"share_at_most_{size}": "% no pool" if size == "0" else f"% size ≤ {size}" for size in SIZES}
    rows = []
    for row in frame.to_dict("records"):
        names = [row["dataset"], sampler_label(row["sampler"])]
        if row["state"] == _NOT_APPLICABLE:
            rows.append([*names, _NOTHING, _NOT_APPLICABLE, *[_NOTHING] * (2 + len(shares))])
            continue
        sizes = [_number(row["mean"], ",.1f"), _number(row["median"], ",.1f")]
        percents = [_number(100 * row[share], ".1f") for share in shares]
        rows.append([*names, row["side"], f"{row['queries']:,}", *sizes, *percents])
    return Table(
        raw=frame,
        display=pd.DataFrame(
            rows, columns=["data set", "sampler", "side", "queries", "mean size", "median size", *shares.values()]
        ),
        title="Sizes of negative pools",
        label="pools",
        notes="The size of a query's pool is counted without the query's known positives.",
        text_columns=3,
    )


def link_prediction_table(
    finals: Paths,
    best: Paths,
    *,
    dataset: str,
    models: Sequence[str],
    samplers: Sequence[str],
    negatives: Sequence[int],
    seeds: Sequence[int],
    not_applicable: Collection[Pair] = (),
) -> Table:
    """Compare samplers and numbers of negatives by link prediction on test, the best of each column in bold.

    :param finals: a ``seed-{seed}.json`` of each study and seed
    :param best: a ``best.json`` of each study
    :param dataset: the data set
    :param models: the models, in order
    :param samplers: the samplers, in order
    :param negatives: the numbers of negatives, in order
    :param seeds: the seeds averaged over
    :param not_applicable: the data sets and samplers that do not go together

    :raises InputError: if a record is missing or damaged
    """
    keys = _studies([dataset], models, samplers, negatives, not_applicable)
    retrained = average_seeds(_wanted_finals(finals, keys, seeds))
    searched = read_best(best)[[*STUDY, "trials", "failed"]].rename(columns={"failed": "trials_failed"})
    frame = _fill(retrained, STUDY, keys, "the retraining of a study")
    frame = frame.merge(_fill(searched, STUDY, keys, "the best trial of a study"), how="left", on=[*STUDY, "state"])
    counted = ["seeds", "seeds_failed", "trials", "trials_failed"]
    frame = frame.astype(dict.fromkeys(counted, "Int64"))
    frame.loc[frame["seeds_failed"].eq(frame["seeds"]).fillna(value=False), "state"] = _FAILED

    records = {tuple(row[name] for name in STUDY[1:]): row for row in _records(frame)}
    rows: list[list[str]] = []
    values: list[list[float]] = []
    for _, _, sampler, number in _studies([dataset], models[:1], samplers, negatives, not_applicable):
        rows.append([sampler_label(sampler), _count(number)])
        values.append([math.nan, math.nan])
        for model in models:
            row = records[model, sampler, number]
            told = [row["state"], *[_NOTHING] * (len(_RANKING) - 1)]
            means = [row[f"{metric}_mean"] for metric in _RANKING]
            scores = [_with_deviation(row[f"{metric}_mean"], row[f"{metric}_std"]) for metric in _RANKING]
            rows[-1] += scores if row["state"] == "complete" else told
            values[-1] += means

    header = [("", "sampler"), ("", "negatives"), *[(model, name) for model in models for name in _RANKING.values()]]
    totals = {name: int(frame[name].sum()) for name in counted}
    over = f"mean ± sample standard deviation over {len(seeds)} seeds" if len(seeds) > 1 else "one seed"
    failed_studies = int((frame["state"] == _FAILED).sum())
    return Table(
        raw=frame,
        display=pd.DataFrame(rows, columns=pd.MultiIndex.from_tuples(header)),
        title=f"Link prediction on {dataset}",
        label=f"link-prediction-{dataset}",
        notes=(
            f"Test split, {over}; the best of each column in bold. Behind it stand {totals['trials']:,} trials, "
            f"{totals['trials_failed']:,} of them failed, and {totals['seeds']:,} retrainings, "
            f"{totals['seeds_failed']:,} of them failed and left out; studies without a result: {failed_studies:,}."
        ),
        bold=_best_cells(values),
        text_columns=1,
    )


def parameters_table(
    best: Paths,
    *,
    datasets: Sequence[str],
    models: Sequence[str],
    samplers: Sequence[str],
    negatives: Sequence[int],
    not_applicable: Collection[Pair] = (),
) -> Table:
    """List the hyper-parameters that each study chose.

    :param best: a ``best.json`` of each study
    :param datasets: the data sets, in order
    :param models: the models, in order
    :param samplers: the samplers, in order
    :param negatives: the numbers of negatives, in order
    :param not_applicable: the data sets and samplers that do not go together

    :raises InputError: if a record is missing or damaged
    """
    keys = _studies(datasets, models, samplers, negatives, not_applicable)
    columns = [*STUDY, "state", "reason", "trial", *PARAMETERS, *METRICS, "trials", "failed"]
    frame = _fill(read_best(best), STUDY, keys, "the best trial of a study")[columns]
    frame = frame.astype({"trials": "Int64", "failed": "Int64"})
    rows = []
    for row in _records(frame):
        weight = "no regularizer" if math.isnan(row["l2_weight"]) else f"{row['l2_weight']:.2e}"
        chosen = [_count(row["trial"]), _number(row["margin"], "g"), _number(row["learning_rate"], ".2e"), weight]
        mrr = _number(row["inverse_harmonic_mean_rank"], ".3f")
        cells = [*chosen, mrr] if row["state"] == "complete" else [row["state"], *[_NOTHING] * 4]
        rows.append([*_names(row), *cells, _count(row["trials"]), _count(row["failed"])])
    searched = ["trial", "margin", "learning rate", "L2 weight", "validation MRR", "trials", "failed"]
    return Table(
        raw=frame,
        display=pd.DataFrame(rows, columns=["data set", "model", "sampler", "negatives", *searched]),
        title="Chosen hyper-parameters",
        label="parameters",
        notes="The trial with the best validation MRR of each study; trials count from 0.",
        text_columns=3,
    )


def slots_table(
    finals: Paths,
    *,
    datasets: Sequence[str],
    models: Sequence[str],
    samplers: Sequence[str],
    negatives: Sequence[int],
    seeds: Sequence[int],
    not_applicable: Collection[Pair] = (),
) -> Table:
    """Count what filled the slots: the pool, the stages of a fallback, nothing (masked), or a rescue.

    :param finals: a ``seed-{seed}.json`` of each study and seed
    :param datasets: the data sets, in order
    :param models: the models, in order
    :param samplers: the samplers, in order
    :param negatives: the numbers of negatives, in order
    :param seeds: the seeds summed over
    :param not_applicable: the data sets and samplers that do not go together

    :raises InputError: if a record is missing or damaged
    """
    keys = _studies(datasets, models, samplers, negatives, not_applicable)
    counts: dict[Study, dict[str, int]] = {}
    states: dict[Study, str] = {key: _NOT_APPLICABLE if key[3] is None else _FAILED for key in keys}
    for record in _wanted_finals(finals, keys, seeds).to_dict("records"):
        key = (record["dataset"], record["model"], record["sampler"], record["negatives"])
        if record["state"] != "complete":
            continue
        states[key] = "not counted" if record["slots"] is None else "counted"
        total = counts.setdefault(key, {})
        for stage, count in (record["slots"] or {}).items():
            total[stage] = total.get(stage, 0) + count

    # the pool first and what went wrong last; fallback stages lie between
    ends = {"pool": -1, "masked": 1, "rescued": 2}
    stages = sorted({stage for total in counts.values() for stage in total}, key=lambda name: (ends.get(name, 0), name))
    raw: list[dict[str, Any]] = []
    rows = []
    for key in keys:
        study = {**dict(zip(STUDY, key, strict=True)), "state": states[key]}
        total = counts.get(key, {})
        slots = sum(total.values())
        shares = {stage: total[stage] / slots if slots else 0.0 for stage in stages if stage in total}
        raw += [{**study, "stage": stage, "slots": total[stage], "share": share} for stage, share in shares.items()]
        if not shares:
            raw.append(study)
        cells = [f"{shares[stage]:.2%} ({total[stage]:,})" if total.get(stage) else "0" for stage in stages]
        cells = [cell if stage in total else _NOTHING for stage, cell in zip(stages, cells, strict=True)]
        rows.append([*_names(study), f"{slots:,}" if states[key] == "counted" else states[key], *cells])
    columns = [*STUDY, "state", "stage", "slots", "share"]
    return Table(
        raw=pd.DataFrame(raw, columns=columns).astype({"negatives": "Int64", "slots": "Int64", "share": "float"}),
        display=pd.DataFrame(rows, columns=["data set", "model", "sampler", "negatives", "slots", *stages]),
        title="Slots by the stage that filled them",
        label="slots",
        notes=f"Share and count, summed over the retrainings that finished; seeds: {len(seeds)}.",
        text_columns=3,
    )


def cost_table(
    timings: Paths,
    *,
    datasets: Sequence[str],
    models: Sequence[str],
    samplers: Sequence[str],
    negatives: Sequence[int],
    seeds: Sequence[int],
    not_applicable: Collection[Pair] = (),
) -> Table:
    """Tell what the studies cost in time and memory: the one table that differs from run to run.

    :param timings: the ``seed-{seed}.timing.json`` and ``trials-{chunk}.timing.json`` of each study
    :param datasets: the data sets, in order
    :param models: the models, in order
    :param samplers: the samplers, in order
    :param negatives: the numbers of negatives, in order
    :param seeds: the seeds averaged over
    :param not_applicable: the data sets and samplers that do not go together

    :raises InputError: if a timing is missing or damaged
    """
    keys = _studies(datasets, models, samplers, negatives, not_applicable)
    read = read_timings(timings)
    wanted = [(*key, "final", seed) for key in keys if key[3] is not None for seed in seeds]
    finals = require(read, [*STUDY, "stage", "number"], wanted, "the timing of a retraining").groupby(STUDY)
    trials = read[read["stage"] == "trial"].assign(trials_s=lambda rows: rows["training_s"] + rows["evaluation_s"])
    # min_count: seconds that nobody measured are unknown, not zero
    spent = trials.groupby(STUDY)["trials_s"].sum(min_count=1).reset_index()
    costs = finals.agg({"training_s": "mean", "evaluation_s": "mean", "peak_memory_mb": "max"}).reset_index()
    frame = _fill(costs, STUDY, keys, "the timing of a study").merge(
        _fill(spent, STUDY, keys, "the timing of a study's trials"), how="left", on=[*STUDY, "state"]
    )
    names = ["training_s", "evaluation_s", "peak_memory_mb", "trials_s"]
    rows = []
    for row in _records(frame):
        cells = [_number(row[name], ",.1f") for name in names]
        rows.append([*_names(row), *(cells if row["state"] == "complete" else [row["state"], *[_NOTHING] * 3])])
    header = ["training (s)", "evaluation (s)", "peak memory (MB)", "all trials (s)"]
    return Table(
        raw=frame,
        display=pd.DataFrame(rows, columns=["data set", "model", "sampler", "negatives", *header]),
        title="Cost",
        label="cost",
        notes=(
            "Seconds of training and evaluation are means over the seeds, peak memory their maximum; the trials' "
            "seconds are a sum. Measured, and so different from run to run."
        ),
        text_columns=3,
    )


def _studies(
    datasets: Sequence[str],
    models: Sequence[str],
    samplers: Sequence[str],
    negatives: Sequence[int],
    not_applicable: Collection[Pair],
) -> list[Study]:
    """List the rows of a table: the studies, and once for each model what is not applicable."""
    excluded = set(map(tuple, not_applicable))
    return [
        (dataset, model, sampler, number)
        for dataset in datasets
        for model in models
        for sampler in samplers
        for number in ([None] if (dataset, sampler) in excluded else negatives)
    ]


def _wanted_finals(finals: Paths, keys: Sequence[Study], seeds: Sequence[int]) -> pd.DataFrame:
    """Read the retrainings of studies, one for each seed."""
    wanted = [(*key, seed) for key in keys if key[3] is not None for seed in seeds]
    return require(read_finals(finals), [*STUDY, "seed"], wanted, "the retraining of a study")


def _fill(frame: pd.DataFrame, columns: list[str], keys: Sequence[tuple[Any, ...]], kind: str) -> pd.DataFrame:
    """Take the wanted rows in order, and put blank ones where the last part of the key is none: not applicable."""
    wanted = pd.DataFrame(keys, columns=columns)
    last = columns[-1]
    wanted[last] = wanted[last].astype(frame[last].dtype if frame[last].dtype == object else "Int64")
    wanted.insert(len(columns), "state", [_NOT_APPLICABLE if key[-1] is None else "complete" for key in keys])
    present = require(frame, columns, [key for key in keys if key[-1] is not None], kind)
    return wanted.merge(present, how="left", on=columns)


def _best_cells(values: Sequence[Sequence[float]]) -> frozenset[tuple[int, int]]:
    """Find the largest of each column, and whatever reads the same as it: nobody sees why one of two is better."""
    shown = pd.DataFrame(values).round(3)
    best = shown.eq(shown.max())
    return frozenset((row, column) for row, column in best.stack()[lambda cells: cells].index)
