"""One page to look around in: all tables, sortable, and the main figures, zoomable.

Bokeh brings both, and goes into the page itself: it opens without a server and without the network.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from bokeh import plotting
from bokeh.embed import json_item
from bokeh.layouts import layout
from bokeh.models.annotations import TeeHead, Whisker
from bokeh.models.layouts import LayoutDOM
from bokeh.models.sources import ColumnDataSource
from bokeh.models.widgets.tables import (
    DataTable,
    HTMLTemplateFormatter,
    NumberFormatter,
    ScientificFormatter,
    TableColumn,
)
from bokeh.resources import Resources
from jinja2 import Environment, PackageLoader, StrictUndefined

from negsamp.choice import OBJECTIVE
from negsamp.errors import InputError
from negsamp.results.collect import FALLBACK, PARAMETERS, Paths, read_histograms
from negsamp.results.figures import sampler_styles
from negsamp.results.tables import RANKING, sampler_label

__all__ = ["index_page"]

#: the table that each data set has one of
_LINK_PREDICTION = "link_prediction"
_STUDY = {name: name for name in ("model", "sampler", "negatives")}
#: of the tables that are wider than a page, the columns that are shown, and what they are called
_SHOWN = {
    _LINK_PREDICTION: {
        **_STUDY,
        f"{OBJECTIVE}_mean": RANKING[OBJECTIVE],
        f"{OBJECTIVE}_std": f"{RANKING[OBJECTIVE]} ±",
        **{f"{metric}_mean": label for metric, label in RANKING.items() if metric != OBJECTIVE},
        "difference": "above random",
        "p_holm": "p (Holm)",
        "verdict": "verdict",
        FALLBACK: "by fallback",
        "state": "state",
    },
    "parameters": {
        "dataset": "dataset",
        **_STUDY,
        **{name: name for name in ("trial", *PARAMETERS)},
        OBJECTIVE: f"validation {RANKING[OBJECTIVE]}",
        **{name: name for name in ("trials", "failed", "state")},
    },
}
#: pixels
_ROW, _TALLEST, _WIDTH = 26, 420, 1100
#: of a line
_STEPS = 500
#: a table of no more rows, and at least as many columns, stands upright
_UPRIGHT = 12
#: what three places do not show
_SMALL = 1e-3
#: what Bokeh calls the markers and lines of the printed figures
_MARKERS = {
    **{"x": "x", "+": "cross", "o": "circle", "s": "square", "^": "triangle", "v": "inverted_triangle", "D": "diamond"},
    **{"P": "plus", "X": "square_x", "*": "star", "8": "hex", "<": "triangle_pin", ">": "square_pin", "h": "hex"},
    **{"p": "circle_dot", "d": "diamond_dot"},
}
_DASHES = {"-": "solid", "--": "dashed", "-.": "dashdot", ":": "dotted"}


@dataclass(frozen=True)
class _Part:
    """A table or a figure of the page."""

    title: str
    caption: str
    anchor: str
    #: JSON that Bokeh embeds
    item: str


def index_page(
    tables: Paths, statistics: Paths, *, title: str, chapters: Mapping[str, Sequence[str]], samplers: Sequence[str]
) -> str:
    """Lay out the page.

    :param tables: CSV files of tables, each beside its twin in Markdown, whose first line is the caption
    :param statistics: a ``{sampler}.statistics.json`` of each data set and sampler that has pools
    :param title: what the page is of
    :param chapters: the tables of each, by name; ``link_prediction`` stands for those of all data
        sets, and ``pool_sizes`` for the figures
    :param samplers: all samplers, in the order of their colours

    :returns: HTML that needs nothing else

    :raises InputError: if a file is missing or damaged
    """
    numbers = itertools.count()
    paths = [Path(path) for path in tables]

    def part(title: str, caption: str, model: LayoutDOM) -> _Part:
        item = json.dumps(json_item(model))
        # a name may hold what ends a script
        return _Part(title, caption, f"part-{next(numbers)}", item.replace("<", "\\u003c"))

    def parts_of(name: str) -> Iterator[_Part]:
        for path in paths:
            if name != (_LINK_PREDICTION if path.parent.name == _LINK_PREDICTION else path.stem):
                continue
            caption, frame = _read(path)
            title = path.stem.replace("_", " ")
            if name == _LINK_PREDICTION:
                # what is not applicable, or failed, has no number, and what samples nothing is no line
                drawn = frame[(frame["state"] == "complete") & frame["sampler"].isin(samplers)]
                if len(drawn):
                    yield part(title, "Test MRR against the number of negatives.", _negatives(drawn, samplers))
                    title = ""
            yield part(title, caption, _table(_as_shown(name, frame)))
        if name == "pool_sizes":
            for dataset, figure in _pool_sizes(statistics, samplers).items():
                yield part(dataset, "Which share of the queries has a pool of at most a size.", figure)

    sections = [
        {"title": chapter, "parts": [part for name in names for part in parts_of(name)]}
        for chapter, names in chapters.items()
    ]
    environment = Environment(
        loader=PackageLoader("negsamp", "results"),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    return environment.get_template("page.html.jinja").render(
        title=title,
        sections=[section for section in sections if section["parts"]],
        scripts=Resources(mode="inline", components=["bokeh", "bokeh-widgets", "bokeh-tables"]).js_raw,
        version=version("negsamp"),
    )


def _read(path: Path) -> tuple[str, pd.DataFrame]:
    """Read the caption and the exact values of a table."""
    try:
        caption = path.with_suffix(".md").read_text(encoding="utf-8").partition("\n")[0]
        return caption.replace("\\", ""), pd.read_csv(path, keep_default_na=False, na_values=[""])
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be read ({error.strerror}); make the tables again") from error
    except ValueError as error:
        raise InputError(f"{path}: not a table ({error}); delete it, and make it again") from error


def _as_shown(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Choose what fits on a page, and call samplers as everywhere; a row of many numbers stands upright."""
    if "sampler" in frame:
        inferred = frame["inferred"] if "inferred" in frame else [False] * len(frame)
        rows = zip(frame["sampler"].fillna("–"), inferred, strict=True)
        frame = frame.assign(sampler=[sampler_label(str(sampler), inferred=bool(marked)) for sampler, marked in rows])
    if name in _SHOWN:
        return frame[[*_SHOWN[name]]].rename(columns=_SHOWN[name])
    frame = frame.rename(columns=RANKING)
    if len(frame) > _UPRIGHT or len(frame.columns) < _UPRIGHT:
        return frame
    upright = frame.set_index(frame.columns[0]).astype(object).T
    return upright.map(_written).reset_index(names="")


def _written(value: Any) -> Any:
    if isinstance(value, float):
        return "–" if math.isnan(value) else f"{value:,.4g}"
    return f"{value:,}" if isinstance(value, int) else value


def _table(frame: pd.DataFrame) -> DataTable:
    """Lay out a table that is sorted by a click on a header."""
    columns = []
    for name in frame.columns:
        values = frame[name]
        if pd.api.types.is_bool_dtype(values) or not pd.api.types.is_numeric_dtype(values):
            frame = frame.assign(**{name: values.astype(str).where(values.notna(), "–")})
            # a text that is cut off is whole under the pointer
            formatter: Any = HTMLTemplateFormatter(template='<span title="<%- value %>"><%- value %></span>')
        else:
            whole = bool((values.dropna() % 1 == 0).all())
            if 0 < values[values != 0].abs().min() < _SMALL:
                formatter = ScientificFormatter(precision=2, power_limit_low=-2, nan_format="–", text_align="right")
            else:
                formatter = NumberFormatter(format="0,0" if whole else "0,0.000", nan_format="–", text_align="right")
        title = name.replace("_", " ")
        # shares of the width
        longest = max([len(title), *(len(str(value)) for value in frame[name] if isinstance(value, str))])
        # headers are HTML to Bokeh, and a data set may be called anything
        columns.append(
            TableColumn(field=name, title=escape(title), formatter=formatter, width=8 * min(max(longest, 8), 60))
        )
    return DataTable(
        source=ColumnDataSource({str(name): frame[name].to_numpy() for name in frame}),
        columns=columns,
        index_position=None,
        reorderable=False,
        # Bokeh's other modes measure cells, and stumble
        autosize_mode="force_fit",
        row_height=_ROW,
        width=_WIDTH,
        height=min(_ROW * (len(frame) + 1) + 10, _TALLEST),
    )


def _negatives(frame: pd.DataFrame, samplers: Sequence[str]) -> LayoutDOM:
    """Draw test MRR against the number of negatives, a panel a model and a line a sampler."""
    styles = sampler_styles(samplers)
    numbers = sorted({int(number) for number in frame["negatives"]})
    panels = []
    for model, of_model in frame.groupby("model", sort=False):
        panel = _panel(str(model), "negatives per positive", "test MRR", x_axis_type="log")
        panel.xaxis.ticker = numbers
        panel.xaxis.major_label_overrides = {number: f"{number:,}" for number in numbers}
        for sampler, line in _in_order(of_model, samplers):
            mean, std = (line[f"{OBJECTIVE}_{of}"].to_numpy(dtype=float) for of in ("mean", "std"))
            source = ColumnDataSource(
                {
                    "sampler": [sampler] * len(line),
                    "x": line["negatives"].to_numpy(dtype=int),
                    "y": mean,
                    "low": mean - np.nan_to_num(std),
                    "high": mean + np.nan_to_num(std),
                    "fallback": line[FALLBACK].to_numpy(dtype=float),
                }
            )
            style, label = styles[sampler], sampler_label(sampler, inferred=bool(line["inferred"].any()))
            _line(panel, source, style, label)
            head = TeeHead(size=8, line_color=style["color"])
            ends: dict[str, Any] = {"lower": "low", "lower_head": head, "upper": "high", "upper_head": head}
            panel.add_layout(Whisker(source=source, base="x", **ends, line_color=style["color"], level="underlay"))
        _legend(panel)
        panel.hover.tooltips = [
            ("", "@sampler"),
            ("negatives", "@x"),
            ("MRR", "@y{0.0000}"),
            ("by fallback", "@fallback"),
        ]
        panels.append(panel)
    across = min(len(panels), 2)
    for panel in panels:
        panel.width = _WIDTH // across
    return layout([panels[first : first + across] for first in range(0, len(panels), across)])


def _pool_sizes(statistics: Paths, samplers: Sequence[str]) -> dict[str, LayoutDOM]:
    """Draw which share of the queries of a data set has a pool of at most a size."""
    styles, shown = sampler_styles(samplers), {}
    for dataset, of_dataset in read_histograms(statistics).groupby("dataset", sort=False):
        panel = _panel(str(dataset), "pool size, at most (and one)", "share of queries", x_axis_type="log")
        for sampler, histogram in _in_order(of_dataset, samplers):
            sizes, counts = (histogram[column].to_numpy(dtype=np.int64) for column in ("size", "count"))
            shares = counts.cumsum() / counts.sum()
            # no finer than a screen
            chosen = np.unique(np.linspace(0, len(sizes) - 1, _STEPS).round().astype(int))
            source = ColumnDataSource(
                {
                    "sampler": [sampler] * len(chosen),
                    # a logarithm has no place for pools of nothing
                    "x": sizes[chosen] + 1,
                    "size": sizes[chosen],
                    "y": shares[chosen],
                }
            )
            style, label = styles[sampler], sampler_label(sampler, inferred=bool(histogram["inferred"].any()))
            dash = _DASHES[style["linestyle"]]
            panel.step(
                "x", "y", source=source, mode="after", color=style["color"], line_dash=dash, width=2, legend_label=label
            )
        _legend(panel)
        panel.hover.tooltips = [("", "@sampler"), ("size", "@size{0,0}"), ("share at most", "@y{0.0%}")]
        shown[str(dataset)] = panel
    return shown


def _in_order(frame: pd.DataFrame, samplers: Sequence[str]) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the rows of each sampler, in the order of all figures."""
    for sampler in samplers:
        rows = frame[frame["sampler"] == sampler]
        if len(rows):
            yield sampler, rows


def _panel(title: str, horizontal: str, vertical: str, **options: Any) -> Any:
    panel = plotting.figure(
        title=title,
        width=_WIDTH,
        height=_TALLEST,
        tools="pan,box_zoom,wheel_zoom,hover,reset,save",
        active_scroll=None,
        x_axis_label=horizontal,
        y_axis_label=vertical,
        **options,
    )
    panel.toolbar.logo = None
    return panel


def _line(panel: Any, source: ColumnDataSource, style: Mapping[str, Any], label: str) -> None:
    """Draw a line with its markers."""
    common = {"source": source, "color": style["color"], "legend_label": label}
    panel.line("x", "y", line_dash=_DASHES[style["linestyle"]], width=1.6, **common)
    panel.scatter("x", "y", marker=_MARKERS[style["marker"]], size=7, **common)


def _legend(panel: Any) -> None:
    """Put the names of the lines beside a panel; a click on one hides its line."""
    if panel.legend:
        panel.legend.click_policy = "hide"
        panel.legend.label_text_font_size = "9pt"
        panel.add_layout(panel.legend[0], "right")
