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
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from negsamp.choice import OBJECTIVE
from negsamp.io import atomic_path
from negsamp.results.collect import (
    FALLBACK,
    INTERVAL,
    METRICS,
    PARAMETERS,
    SIZES,
    STUDY,
    TRIALS,
    Paths,
    average_seeds,
    read_auxiliaries,
    read_chosen,
    read_finals_of,
    read_reciprocal_ranks,
    read_reports,
    read_statistics,
    read_structures,
    read_timings,
    require,
)
from negsamp.results.comparison import COMPARED, compare_samplers
from negsamp.results.grid import Grid, Row
from negsamp.significance import BETTER, EQUAL, WORSE

__all__ = [
    "MARKS",
    "SAMPLER_LABELS",
    "Table",
    "auxiliary_table",
    "cost_table",
    "datasets_table",
    "link_prediction_table",
    "parameters_table",
    "pools_table",
    "sampler_label",
    "slots_table",
    "structure_table",
    "write_table",
]

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
    "given": "given",
    "lcwa": "no sampling (LCWA)",
    "symmetriclcwa": "no sampling (1-vs-all)",
}

#: the metrics of the link prediction table
RANKING = {OBJECTIVE: "MRR", "hits_at_1": "Hits@1", "hits_at_3": "Hits@3", "hits_at_10": "Hits@10"}

_NOTHING = "—"
_COMPLETE = "complete"
_FAILED = "failed"
_NOT_APPLICABLE = "not applicable"
_NOT_RUN = "not run"

#: how a cell tells how it compares with random negatives
MARKS = {BETTER: " ↑", WORSE: " ↓", EQUAL: " ="}

#: what may fill a slot, in the order of a fallback; ancestors carry their distance (``ancestors_1``)
_STAGES = ["pool", "ancestors", "typed", "typedbyclass", "relational", "corrupt", "everything", "masked", "rescued"]

#: the descriptors of a graph that are counts
_COUNTED = {"entities", "relations", "triples", "classes", "class_depth"}

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
        "[": "{[}",  # at the start of a row it would belong to the end of the row above
        "±": r"$\pm$",
        "≤": r"$\leq$",
        "×": r"$\times$",
        "−": "$-$",
        "–": "--",
        "—": "---",
        "→": r"$\to$",
        "↑": r"$\uparrow$",
        "↓": r"$\downarrow$",
        "…": r"\ldots{}",
    }
)
# all but ASCII and the accented letters that need no other font encoding than LaTeX's first
_REFUSED = re.compile("[^ -~À-ÏÑ-ÖØ-Ýß-ïñ-öø-ýÿ]")


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
        title = self.title if self.title.endswith("?") else f"{self.title}."
        return f"{title} {self.notes}".strip()

    def under_budget(self, timeout: float) -> Table:
        """Mark a table as one that another machine may not reproduce.

        :param timeout: the seconds after which a study started no further trial
        """
        mark = (
            f"A study starts no trial after {timeout:,g} s, so that another machine may run other trials: "
            "not reproducible to the byte."
        )
        return replace(self, notes=f"{self.notes} {mark}".strip())

    def to_latex(self) -> str:
        r"""Return a ``table`` environment, or a ``longtable`` where the rows do not fit on a page."""
        alignment = "l" * self.text_columns + "r" * (self.display.shape[1] - self.text_columns)
        long = len(self.display) > _PAGE_ROWS
        styler = self._cells(latex_escape, r"\textbf{{{}}}").style.hide(axis="index")
        if not long:
            styler.set_table_styles(
                [
                    {"selector": "footnotesize", "props": ":;"},
                    {"selector": "setlength", "props": r":{\tabcolsep}{4pt};"},
                ]
            )
        latex = styler.to_latex(
            column_format=alignment,
            hrules=True,
            multicol_align="c",
            caption=(latex_escape(self.caption), latex_escape(self.title)),
            label="tab:" + re.sub(r"[^A-Za-z0-9]+", "-", self.label),
            environment="longtable" if long else None,
            position=None if long else "htbp",
            position_float=None if long else "centering",
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


def sampler_label(sampler: str, *, inferred: bool = False) -> str:
    """Return how tables and figures call a sampler, and whether its domains and ranges are inferred."""
    return SAMPLER_LABELS.get(sampler, sampler) + (" (inferred)" if inferred else "")


def latex_escape(text: str) -> str:
    """Make LaTeX print a text as it stands; a letter that pdflatex may refuse becomes a question mark."""
    return _REFUSED.sub("?", " ".join(text.split()).translate(_LATEX))


def datasets_table(reports: Paths, *, grid: Grid) -> Table:
    """Describe the data sets, one a column.

    :param reports: a ``report.json`` of each data set
    :param grid: the data sets

    :raises InputError: if a report is missing or damaged
    """
    wanted = [(name,) for name in grid.datasets]
    frame = require(read_reports(reports), ["dataset"], wanted, "the report of a data set")

    def counts(*columns: str) -> list[str]:
        return [" / ".join(f"{row[column]:,}" for column in columns) for row in frame.to_dict("records")]

    lines = {
        "training triples (lines / distinct)": counts("training_lines", "training_distinct"),
        "validation triples (lines / distinct)": counts("validation_lines", "validation_distinct"),
        "test triples (lines / distinct)": counts("testing_lines", "testing_distinct"),
        "entities": counts("entities"),
        "relations": counts("relations"),
        "validation triples also in training": counts("leaks_training_validation"),
        "test triples also in training": counts("leaks_training_testing"),
        "test triples also in validation": counts("leaks_validation_testing"),
        "validation triples with names unseen in training": counts("validation_unseen"),
        "test triples with names unseen in training": counts("testing_unseen"),
        "classes": counts("classes"),
        "typed entities": counts("typed_entities"),
        "relations with domain / range / both": counts("domains", "ranges", "domains_and_ranges"),
        "pairs of class and superclass": counts("superclass_pairs"),
        "archive": [_NOTHING if pd.isna(archive) else _short_hash(archive) for archive in frame["archive"]],
    }
    odd = [f"{name}: {'; '.join(notes)}." for name, notes in zip(grid.datasets, frame["notes"], strict=True) if notes]
    return Table(
        raw=frame.assign(notes=["; ".join(notes) for notes in frame["notes"]]),
        display=pd.DataFrame([[name, *cells] for name, cells in lines.items()], columns=["", *grid.datasets]),
        title="Data sets",
        label="datasets",
        notes=" ".join(["Training uses the distinct triples.", *(["Noted on reading:", *odd] if odd else [])]),
    )


def structure_table(structures: Paths, *, grid: Grid) -> Table:
    """Describe the structure of the data sets in numbers, one a column.

    :param structures: a ``structure.json`` of each data set
    :param grid: the data sets

    :raises InputError: if a description is missing or damaged
    """
    wanted = [(name,) for name in grid.datasets]
    frame = require(read_structures(structures), ["dataset"], wanted, "the description of a data set")
    lines = [
        [
            name,
            *(_NOTHING if pd.isna(value) else _number(value, ",.0f" if name in _COUNTED else ".3f") for value in row),
        ]
        for name, row in frame.set_index("dataset").T.iterrows()
    ]
    return Table(
        raw=frame,
        display=pd.DataFrame(lines, columns=["", *grid.datasets]),
        title="Structure of the data sets",
        label="structure",
        notes="Of training triples alone; negsamp describe tells what each number means.",
    )


def pools_table(statistics: Paths, *, grid: Grid) -> Table:
    """Describe the sizes of negative pools, over both sides and each.

    :param statistics: a ``{sampler}.statistics.json`` of each data set and sampler that has pools
    :param grid: the data sets, the samplers that have pools, and what does not go together

    :raises InputError: if statistics are missing or damaged
    """
    keys = [
        (dataset, sampler, side)
        for dataset in grid.datasets
        for sampler in grid.samplers
        for side in (["both", "head", "tail"] if grid.applies(dataset, sampler) else [None])
    ]
    columns = ["dataset", "sampler", "side"]
    found = _rows(read_statistics(statistics), columns, keys, "the statistics of pools")
    shares = {f"share_at_most_{size}": "% no pool" if size == "0" else f"% size ≤ {size}" for size in SIZES}
    rows = []
    for row in found:
        names = [row["dataset"], _label(row)]
        if row["state"] == _COMPLETE:
            sizes = [_number(row["mean"], ",.1f"), _number(row["median"], ",.1f")]
            percents = [_number(100 * row[share], ".1f") for share in shares]
            rows.append([*names, row["side"], _count(row["queries"]), *sizes, *percents])
        else:
            rows.append([*names, _NOTHING, *_told(row, 3 + len(shares))])
    header = ["data set", "sampler", "side", "queries", "mean size", "median size", *shares.values()]
    return Table(
        raw=_raw(found, [*columns, "inferred", "state", "queries", "mean", "median", *shares], counts=["queries"]),
        display=pd.DataFrame(rows, columns=header),
        title="Sizes of negative pools",
        label="pools",
        notes="A query's known positives do not count into the size of its pool.",
        text_columns=3,
    )


def auxiliary_table(auxiliaries: Paths, *, grid: Grid) -> Table:
    """Tell how good the auxiliary models are that neighbours and near misses were taken from.

    :param auxiliaries: a ``record.json`` of each data set that has one
    :param grid: the data sets

    :raises InputError: if a record is missing or damaged
    """
    found = read_auxiliaries(auxiliaries)
    wanted = [(dataset,) for dataset in grid.datasets if dataset in set(found["dataset"])]
    raw = require(found, ["dataset"], wanted, "the record of an auxiliary model")
    rows = [
        [
            *[row[name] for name in ("dataset", "model", "training_loop")],
            _count(row["epochs"]),
            *[_number(row[metric], ".3f") for metric in RANKING],
        ]
        for row in raw.to_dict("records")
    ]
    return Table(
        raw=raw,
        display=pd.DataFrame(rows, columns=["data set", "model", "training loop", "epochs", *RANKING.values()]),
        title="Auxiliary models",
        label="auxiliary",
        notes="On validation triples; trained on the training triples alone.",
        text_columns=3,
    )


def link_prediction_table(
    finals: Paths, trials: Paths, ranks: Paths, *, grid: Grid, planned: int | None = None
) -> Table:
    """Compare samplers and numbers of negatives by link prediction on test, the best of each column in bold.

    The MRR of each study is marked as better or worse than that of random negatives, or as no different from it, see
    :func:`negsamp.results.compare_samplers`.

    :param finals: a ``seed-{seed}.json`` of each study and seed
    :param trials: ``trials-{chunk}.jsonl``, all chunks of each study
    :param ranks: a ``seed-{seed}.ranks.csv.gz`` of each study and seed
    :param grid: what is compared, on one data set
    :param planned: the trials that a study has if time is not up

    :raises InputError: if a record is missing or damaged
    """
    keys, seeds = grid.rows(), grid.seeds
    wanted = read_finals_of(finals, grid)
    compared = compare_samplers(read_reciprocal_ranks(ranks), grid.studies(), seeds)
    comparisons = {tuple(row[name] for name in STUDY): row for row in compared.to_dict("records")}
    ranked = wanted.loc[wanted["state"] == _COMPLETE, "ranked_triples"].unique()
    retrained = _rows(average_seeds(wanted), STUDY, keys, "the retraining of a study")
    names = dict(zip(TRIALS, ["trials", "trials_failed", "trials_pruned"], strict=True))
    searches = read_chosen(trials)[[*STUDY, *TRIALS]].rename(columns=names)
    searched = _rows(searches, STUDY, keys, "trials of a study")
    # the state is the retraining's: a study is told by what it yields on test
    found = [
        {**search, **final, **comparisons.get(key, {})}
        for key, search, final in zip(keys, searched, retrained, strict=True)
    ]
    studies = dict(zip(keys, found, strict=True))

    rows: list[list[str]] = []
    means: list[list[float]] = []
    # each sampler and number once, whichever models have it
    for sampler, number in dict.fromkeys((sampler, number) for _, _, sampler, number in keys):
        of_models = [studies.get((grid.dataset, model, sampler, number), {"state": _NOT_RUN}) for model in grid.models]
        inferred = any(row.get("inferred") is True for row in of_models)
        shares = [row[FALLBACK] for row in of_models if not math.isnan(row.get(FALLBACK, math.nan))]
        by_fallback = f"{sum(shares) / len(shares):.1%}" if shares else _NOTHING
        rows.append([sampler_label(sampler, inferred=inferred), _count(number or None), by_fallback])
        means.append([math.nan] * 3)
        for row in of_models:
            complete = row["state"] == _COMPLETE
            scores = [(row[f"{metric}_mean"], row[f"{metric}_std"]) for metric in RANKING] if complete else []
            cells = [_with_deviation(*score) for score in scores] or _told(row, len(RANKING))
            cells[0] += MARKS.get(str(row.get("verdict")), "")
            rows[-1] += cells
            means[-1] += [mean for mean, _ in scores] or [math.nan] * len(RANKING)

    counts = ["seeds", "seeds_failed", *names.values()]
    moments = [f"{metric}_{moment}" for metric in METRICS for moment in ["mean", "std"]]
    raw = _raw(found, [*STUDY, "inferred", "state", *moments, FALLBACK, *COMPARED, *counts], counts)
    runs, runs_failed, tried, tried_failed, pruned = (int(raw[name].sum()) for name in counts)
    missing = 0 if planned is None else planned * len(grid.studies()) - tried
    over = f"mean ± sample standard deviation over {len(seeds)} seeds" if len(seeds) > 1 else "one seed"
    left = ["sampler", "negatives", "by fallback"]
    metrics = [(model, name) for model in grid.models for name in RANKING.values()]
    return Table(
        raw=raw,
        display=pd.DataFrame(rows, columns=pd.MultiIndex.from_tuples([*[("", name) for name in left], *metrics])),
        title=f"Link prediction on {grid.dataset}",
        label=f"link-prediction-{grid.dataset}",
        notes=(
            f"{', '.join(map(_count, ranked)) or 'No'} test triples, both sides, ranked among all entities but other "
            f"known positives of any split, ties by the mean rank; {over}, not over other choices of a trial. The best "
            "of each column in bold. By fallback: the share of slots that a fallback filled, a mean over the models. "
            f"{_of_comparisons(len(compared), len(seeds))}{_of_reference(grid)}{_of_cuts(missing)}"
            f"Trials: {tried:,}, failed: {tried_failed:,}{f', pruned: {pruned:,}' if pruned else ''}. "
            f"Retrainings: {runs:,}, failed and left out: {runs_failed:,}. "
            f"Studies without a result: {sum(row['state'] == _FAILED for row in found):,}."
        ),
        bold=_best_cells(means),
    )


def parameters_table(trials: Paths, *, grid: Grid) -> Table:
    """List the hyper-parameters that each study chose.

    :param trials: ``trials-{chunk}.jsonl``, all chunks of each study
    :param grid: what is compared

    :raises InputError: if a record is missing or damaged
    """
    keys = grid.rows()
    found = _rows(read_chosen(trials), STUDY, keys, "trials of a study")
    rows = []
    for row in found:
        cells = _told(row, 5)
        if row["state"] == _COMPLETE:
            weight = "no regularizer" if math.isnan(row["l2_weight"]) else f"{row['l2_weight']:.2e}"
            margin = "no margin" if math.isnan(row["margin"]) else f"{row['margin']:g}"
            setting = [margin, _number(row["learning_rate"], ".2e"), weight]
            mrr, low, high = (_number(row[name], ".3f") for name in [OBJECTIVE, *INTERVAL])
            cells = [_count(row["trial"]), *setting, f"{mrr} [{low}, {high}]"]
        rows.append([*_names(row), *cells, *[_count(row.get(name)) for name in TRIALS]])
    searched = ["trial", "margin", "learning rate", "L2 weight", "validation MRR", *TRIALS]
    columns = [
        *STUDY,
        "inferred",
        "state",
        "reason",
        "trial",
        *PARAMETERS,
        *METRICS,
        *INTERVAL,
        *TRIALS,
    ]
    return Table(
        raw=_raw(found, columns, counts=["trial", *TRIALS]),
        display=pd.DataFrame(rows, columns=["data set", "model", "sampler", "negatives", *searched]),
        title="Chosen hyper-parameters",
        label="parameters",
        notes=(
            "The trial with the best validation MRR of each study; trials count from 0. In brackets: a 95 % bootstrap "
            "interval over the validation triples; the best of several trials is somewhat better there than it is."
        ),
        text_columns=3,
    )


def slots_table(finals: Paths, *, grid: Grid) -> Table:
    """Count what filled the slots: the pool, the stages of a fallback, nothing (masked), or a rescue.

    :param finals: a ``seed-{seed}.json`` of each study and seed
    :param grid: what is compared; slots are summed over the seeds

    :raises InputError: if a record is missing or damaged
    """
    keys = grid.rows()
    states: dict[Row, str] = {key: _NOT_APPLICABLE if key[3] is None else _FAILED for key in keys}
    counts: dict[Row, dict[str, int]] = {key: {} for key in keys}
    inferred: dict[Row, bool] = {}
    for record in read_finals_of(finals, grid).to_dict("records"):
        if record["state"] != _COMPLETE:
            continue
        key = (record["dataset"], record["model"], record["sampler"], record["negatives"])
        states[key] = "not counted" if record["slots"] is None else "counted"
        inferred[key] = record["inferred"]
        for stage, count in (record["slots"] or {}).items():
            counts[key][stage] = counts[key].get(stage, 0) + count

    stages = sorted({stage for total in counts.values() for stage in total}, key=_stage_order)
    raw: list[dict[str, Any]] = []
    rows = []
    for key, total in counts.items():
        study = {**dict(zip(STUDY, key, strict=True)), "inferred": inferred.get(key), "state": states[key]}
        slots = sum(total.values())
        shares = {stage: total[stage] / slots if slots else 0.0 for stage in stages if stage in total}
        raw += [{**study, "stage": stage, "slots": total[stage], "share": shares[stage]} for stage in shares] or [study]
        cells = [f"{shares[stage]:.2%} ({total[stage]:,})" if stage in total else _NOTHING for stage in stages]
        rows.append([*_names(study), *([f"{slots:,}", *cells] if total else _told(study, 1 + len(stages)))])
    labels = [stage.replace("_", " ") for stage in stages]
    return Table(
        raw=_raw(raw, [*STUDY, "inferred", "state", "stage", "slots", "share"], counts=["slots"]),
        display=pd.DataFrame(rows, columns=["data set", "model", "sampler", "negatives", "slots", *labels]),
        title="Slots by the stage that filled them",
        label="slots",
        notes=f"Share and count, summed over the retrainings that finished, of {len(grid.seeds)} for each study.",
        text_columns=3,
    )


def cost_table(timings: Paths, *, grid: Grid) -> Table:
    """Tell what the studies cost in time and memory: the one table that differs from run to run.

    :param timings: the ``seed-{seed}.timing.json`` and ``trials-{chunk}.timing.json`` of each study
    :param grid: what is compared

    :raises InputError: if a timing is missing or damaged
    """
    keys = grid.rows()
    read = read_timings(timings)
    wanted = [(*study, "final", seed) for study in grid.studies() for seed in grid.seeds]
    finals = require(read, [*STUDY, "stage", "number"], wanted, "the timing of a retraining").groupby(STUDY)
    spent = {"training_s": "mean", "sampling_s": "mean", "evaluation_s": "mean", "peak_memory_mb": "max"}
    costs = finals.agg(spent).reset_index()
    versions = sorted(set(read["versions"]) - {""}) or ["nothing"]
    costs["state"] = np.where(costs["training_s"].notna(), _COMPLETE, _FAILED)
    costs["sampling_share"] = costs["sampling_s"] / costs["training_s"]
    trials = read[read["stage"] == "trial"]
    # min_count: seconds that nobody measured are unknown, not zero
    trials = trials.assign(trials_s=trials[["training_s", "evaluation_s"]].sum(axis=1, min_count=1))
    searches = trials.groupby(STUDY)["trials_s"].sum(min_count=1).reset_index()
    found = [
        {**final, **search}
        for final, search in zip(
            _rows(costs, STUDY, keys, "the timing of a study"),
            _rows(searches, STUDY, keys, "the timing of a study's trials"),
            strict=True,
        )
    ]
    forms = {
        "training_s": ",.1f",
        "sampling_share": ".1%",
        "evaluation_s": ",.1f",
        "peak_memory_mb": ",.1f",
        "trials_s": ",.1f",
    }
    rows = []
    for row in found:
        complete = row["state"] == _COMPLETE
        cells = [_number(row[name], form) for name, form in forms.items()] if complete else _told(row, len(forms))
        rows.append([*_names(row), *cells])
    header = ["training (s)", "of it sampling", "evaluation (s)", "peak memory (MB)", "all trials (s)"]
    return Table(
        raw=_raw(found, [*STUDY, "state", "sampling_s", *forms], counts=[]),
        display=pd.DataFrame(rows, columns=["data set", "model", "sampler", "negatives", *header]),
        title="Cost",
        label="cost",
        notes=(
            "Seconds by the wall clock, which other work on the machine lengthens: means over those of "
            f"{len(grid.seeds)} retrainings that finished, where peak memory is the maximum, and a sum over those of "
            "the trials that finished: "
            f"{int(trials['trials_s'].notna().sum()):,} of {len(trials):,}. "
            "Measured, and so different from run to run. "
            f"Run with {'; or '.join(versions)}."
        ),
        text_columns=3,
    )


def _of_comparisons(number: int, seeds: int) -> str:
    """Explain the marks."""
    if not number:
        return ""
    over = "seeds and triples" if seeds > 1 else "triples"
    return (
        "MRR against random negatives of the same number, on the same triples and seeds: ↑ better, ↓ worse, = no "
        f"difference at 5 % (paired bootstrap over {over}, Holm's correction over {number:,} comparisons). "
    )


def _of_reference(grid: Grid) -> str:
    """Tell what is different about the row without sampled negatives."""
    if grid.reference is None:
        return ""
    loss, batch = grid.reference["loss"], grid.reference["batch_size"]
    return f"No sampling: {', '.join(grid.reference['models'])} alone, with the loss {loss} and {batch:,} a batch. "


def _of_cuts(missing: int) -> str:
    return f"Trials that were not started, since time was up: {missing:,}. " if missing else ""


def _rows(
    frame: pd.DataFrame, columns: Sequence[str], keys: Sequence[tuple[Any, ...]], kind: str
) -> list[dict[str, Any]]:
    """Take the wanted rows in order; a key that ends in none stands for something that is not applicable."""
    present = iter(require(frame, columns, [key for key in keys if key[-1] is not None], kind).to_dict("records"))
    return [
        {**dict(zip(columns, key, strict=True)), "state": _NOT_APPLICABLE}
        if key[-1] is None
        else {"state": _COMPLETE, **{str(name): value for name, value in next(present).items()}}
        for key in keys
    ]


def _raw(rows: Sequence[dict[str, Any]], columns: Sequence[str], counts: Sequence[str]) -> pd.DataFrame:
    """Frame the exact values; whole numbers stay so beside blanks."""
    frame = pd.DataFrame(rows, columns=[*columns])
    return frame.astype({name: "Int64" for name in [*counts, "negatives"] if name in frame})


def _names(row: dict[str, Any]) -> list[str]:
    """Display what names a study."""
    return [row["dataset"], row["model"], _label(row), _count(row["negatives"] or None)]


def _label(row: dict[str, Any]) -> str:
    # a row of what is not applicable infers nothing
    return sampler_label(row["sampler"], inferred=row.get("inferred") is True)


def _stage_order(stage: str) -> tuple[int, int, str]:
    """Sort stages as they take turns; those of one's own stand before what is drawn from everything."""
    name, _, distance = stage.partition("_")
    place = _STAGES.index(name) if name in _STAGES else _STAGES.index("everything") - 1
    return place, int(distance) if distance.isdigit() else 0, stage


def _told(row: dict[str, Any], width: int) -> list[str]:
    """Tell in the first of some cells why they hold no values."""
    return [row["state"], *[_NOTHING] * (width - 1)]


def _count(value: Any) -> str:
    return _NOTHING if pd.isna(value) else f"{value:,}"


def _number(value: float, form: str) -> str:
    return _NOTHING if math.isnan(value) else f"{value:{form}}"


def _with_deviation(mean: float, deviation: float) -> str:
    """Display a mean, and its deviation where more than one seed gave it."""
    return f"{mean:.3f}" if math.isnan(deviation) else f"{mean:.3f} ± {deviation:.3f}"


def _best_cells(means: Sequence[Sequence[float]]) -> frozenset[tuple[int, int]]:
    """Find the largest of each column, and whatever reads the same: nobody sees why one of two is better."""
    shown = np.array([[float(f"{mean:.3f}") for mean in row] for row in means])
    # fmax passes over what is not a number
    return frozenset((int(row), int(column)) for row, column in np.argwhere(shown == np.fmax.reduce(shown, axis=0)))


def _short_hash(archive: str) -> str:
    """Cut a hash to what tells two apart at a glance; the CSV has all of it."""
    kind, _, value = archive.rpartition(":")
    return f"{kind}:{value[:12]}…" if kind else f"{value[:12]}…"


def _levels(name: Any) -> tuple[str, ...]:
    """Return the levels of a column's name."""
    return name if isinstance(name, tuple) else (name,)


def _escape_markdown(text: str) -> str:
    """Keep a text on one line and in one cell."""
    return re.sub(r"([\\|*<])", r"\\\1", " ".join(text.split()))
