"""What every answer is made of: records of trainings, and the words they are told in."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from negsamp.choice import OBJECTIVE
from negsamp.errors import InputError
from negsamp.io import atomic_path, read_jsonl
from negsamp.records import TRAINING, require_numbers, require_valid
from negsamp.results.collect import STUDY, Paths
from negsamp.results.figures import write_figure
from negsamp.results.tables import Table, write_table
from negsamp.significance import Correlation, holm

__all__ = [
    "CORRELATED",
    "MRR",
    "Answer",
    "correlation_columns",
    "correlation_text",
    "failures",
    "listed",
    "read_trainings",
    "require_some",
    "unpacked",
    "with_holm",
    "write_answer",
]

MRR = OBJECTIVE

#: what :func:`correlation_columns` gives
CORRELATED = ["rho", "rho_low", "rho_high", "p_value", "points"]


@dataclass(frozen=True)
class Answer:
    """An answer to an open question."""

    table: Table
    figure: Figure
    #: one paragraph, made of what was found
    verdict: str


def write_answer(
    answer: Answer,
    *,
    csv: str | os.PathLike[str],
    tex: str | os.PathLike[str],
    md: str | os.PathLike[str],
    png: str | os.PathLike[str],
    pdf: str | os.PathLike[str],
    verdict: str | os.PathLike[str],
) -> None:
    """Write an answer: its table three times, its figure twice, and its verdict under the table's title."""
    write_table(answer.table, csv=csv, tex=tex, md=md)
    write_figure(answer.figure, png=png, pdf=pdf)
    with atomic_path(verdict) as path:
        path.write_text(f"**{answer.table.title}** {answer.verdict}\n", encoding="utf-8")


def require_some(found: Sized, question: str, missing: str) -> None:
    """Refuse to answer from nothing.

    :raises InputError: if nothing was found
    """
    if not len(found):
        raise InputError(f"the question of {question} cannot be answered: {missing}; the records tell why")


def read_trainings(paths: Paths, columns: Sequence[str]) -> pd.DataFrame:
    """Read the records of trainings, one a row; the MRR of one that failed is blank.

    :param paths: files of one JSON object a line
    :param columns: what is read of each record, beside study, seed and MRR

    :raises InputError: if a file is missing or damaged, or a record lacks a column
    """
    wanted = [*STUDY, "seed", MRR, *columns]
    rows = []
    for path in paths:
        for number, record in enumerate(read_jsonl(path), start=1):
            if not isinstance(record, Mapping) or (missing := [name for name in wanted if name not in record]):
                lacks = f"lacks {missing[0]!r}" if isinstance(record, Mapping) else "is no object"
                raise InputError(f"{path} line {number}: the record {lacks}; delete the file and run its job again")
            row = {name: record[name] for name in wanted}
            require_valid(row, TRAINING, f"{path} line {number}", "a training")
            require_numbers(row.get("reciprocal_ranks") or [], f"{path} line {number}", "reciprocal_ranks")
            rows.append(row)
    return pd.DataFrame(rows, columns=wanted).astype({MRR: float})


def unpacked(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return the frame with a column of mappings replaced by a column a key; what is None is blank."""
    found = pd.DataFrame([value or {} for value in frame[column]], index=frame.index)
    return pd.concat([frame.drop(columns=column), found.astype(float)], axis=1)


def correlation_columns(found: Correlation) -> dict[str, Any]:
    """Return a correlation as columns of a table."""
    return dict(zip(CORRELATED, (found.rho, found.low, found.high, found.p_value, found.count), strict=True))


def with_holm(frame: pd.DataFrame) -> pd.DataFrame:
    """Add p-values that are corrected as one family of tests, in ``p_holm``."""
    return frame.assign(p_holm=holm(frame["p_value"].to_list()))


def correlation_text(row: Mapping[Any, Any]) -> str:
    """Write a correlation with its interval."""
    return f"{row['rho']:+.2f} [{row['rho_low']:+.2f}, {row['rho_high']:+.2f}]"


def failures(frame: pd.DataFrame) -> str:
    """Tell how many trainings there are, and how many failed."""
    return f"Trainings: {len(frame):,}, failed: {int(frame[MRR].isna().sum()):,}."


def listed(words: Iterable[str]) -> str:
    """Write a list as people do."""
    *rest, last = list(words) or ["nothing"]
    return f"{', '.join(rest)} and {last}" if rest else last
