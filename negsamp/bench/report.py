"""What was measured, as tables, JSON, CSV and figures."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from tabulate import tabulate

from negsamp.bench.build import summarise_builds
from negsamp.bench.contenders import BASIC, BLOOM, LIMIT, LOOP
from negsamp.bench.epochs import summarise_epochs
from negsamp.bench.figures import build_figure, epoch_figure, scaling_figure, throughput_figure
from negsamp.bench.scaling import fit, summarise_scaling
from negsamp.bench.throughput import Record, summarise_throughput
from negsamp.io import atomic_path, write_json
from negsamp.results.figures import write_figure

__all__ = ["PARTS", "report", "table_of"]

_NOTHING = "–"
#: what is explained by the size of a graph
_FITTED = {"build_seconds": "µs", "peak_mb": "bytes", "tensors_mb": "bytes"}


@dataclass(frozen=True)
class _Part:
    """How one measurement is reported."""

    summarise: Callable[[Sequence[Record]], list[Record]]
    #: summary → rows of formatted cells under their headings; more than one table where there is a heading for each
    tables: Callable[[Sequence[Record]], dict[str, list[Record]]]
    #: content of the JSON file → figure
    figure: Callable[[Record], Figure]


def report(
    folder: str | os.PathLike[str], name: str, measured: Sequence[Record], described: Mapping[str, Any]
) -> Record:
    """Write all that was measured to ``{name}.json``, times to ``.csv``, the tables to ``.md``, a figure to ``.png``.

    :param folder: the folder
    :param name: one of :data:`PARTS`
    :param measured: the records
    :param described: what :func:`negsamp.bench.about` told

    :returns: the content of the JSON file
    """
    part, folder = PARTS[name], Path(folder)
    content = content_of(name, measured, described)
    write_json(folder / f"{name}.json", content)
    with atomic_path(folder / f"{name}.csv") as path:
        pd.DataFrame(measured).to_csv(path, index=False, float_format="%.6g")
    with atomic_path(folder / f"{name}.md") as path:
        path.write_text(table_of(name, content, "github") + "\n", encoding="utf-8")
    write_figure(part.figure(content), png=folder / f"{name}.png")
    return content


def content_of(name: str, measured: Sequence[Record], described: Mapping[str, Any]) -> Record:
    """Put together what is told of a measurement: where it was taken, the summary, and every single record."""
    content: Record = {"about": dict(described), "summary": PARTS[name].summarise(measured), "records": list(measured)}
    if name == "scaling":
        content["fits"] = {key: fit(content["summary"], key) for key in _FITTED if _all_known(measured, key)}
    return content


def table_of(name: str, content: Record, tablefmt: str = "simple") -> str:
    """Lay out the tables, below a line on where they were taken.

    :param name: one of :data:`PARTS`
    :param content: what :func:`report` returned
    :param tablefmt: ``simple`` for screens, ``github`` for Markdown
    """
    parts = [_told(content["about"])]
    for title, rows in PARTS[name].tables(content["summary"]).items():
        columns = [column for column in rows[0] if any(row[column] != _NOTHING for row in rows)]
        parts.append(f"**{title}**" if tablefmt == "github" else title)
        parts.append(
            tabulate(
                [[row[column] for column in columns] for row in rows],
                headers=columns,
                tablefmt=tablefmt,
                # formatted already; tabulate would parse numbers again
                disable_numparse=True,
                colalign=["left", *["right"] * (len(columns) - 1)],
            )
        )
    if "fits" in content:
        parts += _formulas(content["fits"], bullet="- " if tablefmt == "github" else "")
    return "\n\n".join(part for part in parts if part)


def _told(described: Mapping[str, Any]) -> str:
    """Say in a line where it was measured."""
    versions = ", ".join(f"{name} {version}" for name, version in described["versions"].items() if version)
    threads = described["threads"]
    parts = [
        described.get("dataset", {}).get("name"),
        described["processor"],
        f"{threads} thread{'' if threads == 1 else 's'} of {described['cores']} cores",
        versions,
        f"{described['clock']} time",
    ]
    left_out = "; ".join(f"{name}: {reason}" for name, reason in described.get("left_out", {}).items())
    return ", ".join(filter(None, parts)) + "." + (f" Not measured: {left_out}." if left_out else "")


def _throughput_tables(summary: Sequence[Record]) -> dict[str, list[Record]]:
    tables: dict[str, list[Record]] = {}
    for row in summary:
        number = row["negatives"]
        title = f"{number:,} negative{'s' if number > 1 else ''} a positive"
        cells = {"contender": row["contender"], "million slots a second": _spread(row["per_second"], 1e-6)}
        cells[f"× {BASIC}"] = _spread(row["times"].get(BASIC))
        cells |= {f"× {other}": _ratio(row["times"].get(other)) for other in (BLOOM, LOOP, LIMIT)}
        cells["valid"] = f"{row['valid']:.1%}"
        tables.setdefault(title, []).append(cells)
    return tables


def _epoch_tables(summary: Sequence[Record]) -> dict[str, list[Record]]:
    rows = [
        {
            "contender": row["contender"],
            "seconds": _spread(row["seconds"]),
            f"× {BASIC}": _spread(row["times"].get(BASIC)),
            "sampling": f"{row['sampling']['median']:.1%}",
        }
        for row in summary
    ]
    return {"An epoch": rows}


def _build_tables(summary: Sequence[Record]) -> dict[str, list[Record]]:
    names = {
        "build_seconds": "build, s",
        "statistics_seconds": "statistics, s",
        "tensors_mb": "tensors, MB",
        "resident_mb": "resident, MB",
        "peak_mb": "peak, MB",
        "loaded_mb": "of which data set, MB",
    }
    rows = [
        {
            "contender": row["contender"],
            **{label: _NOTHING if row[key] is None else f"{row[key]['median']:,.2f}" for key, label in names.items()},
        }
        for row in summary
    ]
    return {"Builds": rows}


def _scaling_tables(summary: Sequence[Record]) -> dict[str, list[Record]]:
    rows = [
        {
            "sampler": row["sampler"],
            **{key: f"{row[key]:,}" for key in ("triples", "entities", "relations")},
            "build, s": f"{row['build_seconds']:,.2f}",
            "tensors, MB": f"{row['tensors_mb']:,.0f}",
            "peak, MB": _number(row["peak_mb"]),
            "of which triples, MB": _number(row["loaded_mb"]),
            f"× {BASIC}": _ratio(row["times"][BASIC]),
            "file, MB": f"{row['file_mb']:,.0f}",
            "open, s": f"{row['open_seconds']['median']:,.2f}",
            "private, MB": _NOTHING if row["private_mb"] is None else _number(row["private_mb"]["median"]),
        }
        for row in summary
    ]
    return {"Generated graphs": rows}


def _formulas(fits: Mapping[str, Mapping[str, Record]], bullet: str) -> list[str]:
    """Write each fit as a formula."""
    lines = []
    for measured, samplers in fits.items():
        unit, label = _FITTED[measured], measured.rpartition("_")[0]
        for name, numbers in samplers.items():
            terms = [
                f"{_rounded(1e6 * numbers[key])} {unit} × {plural}"
                for key, plural in (("triple", "triples"), ("entity", "entities"), ("relation", "relations"))
                if numbers[key]
            ]
            if numbers["anyway"]:
                terms.append(f"{_rounded(numbers['anyway'])} {'MB' if unit == 'bytes' else 's'}")
            lines.append(f"{bullet}{name}, {label}: {' + '.join(terms)} (largest error {numbers['error']:.0%})")
    return ["\n".join(lines)]


def _spread(values: Mapping[str, float] | None, scale: float = 1) -> str:
    """Write a median, with the quartiles."""
    if values is None:
        return _NOTHING
    return "{} ({}–{})".format(*(f"{scale * values[key]:.3g}" for key in ("median", "q25", "q75")))


def _rounded(value: float) -> str:
    """Write three digits that count, and no power of ten."""
    return f"{float(f'{value:.3g}'):,.10g}"


def _ratio(values: Mapping[str, float] | None) -> str:
    return _NOTHING if values is None else f"{values['median']:.3g}"


def _number(value: float | None) -> str:
    return _NOTHING if value is None else f"{value:,.0f}"


def _all_known(rows: Sequence[Record], key: str) -> bool:
    return all(row[key] is not None for row in rows)


#: by the names of their files
PARTS = {
    "throughput": _Part(summarise_throughput, _throughput_tables, throughput_figure),
    "epoch": _Part(summarise_epochs, _epoch_tables, epoch_figure),
    "build": _Part(summarise_builds, _build_tables, build_figure),
    "scaling": _Part(
        summarise_scaling,
        _scaling_tables,
        scaling_figure,
    ),
}
