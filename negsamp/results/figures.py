"""Draw the published figures: a sampler has one colour, marker and line in all of them.

Nothing here touches pyplot or the reader's own matplotlib settings, so a figure is the same bytes on each run.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure

from negsamp.choice import OBJECTIVE
from negsamp.io import atomic_path
from negsamp.results.collect import FALLBACK, Paths, average_seeds, read_finals_of, read_histograms, require
from negsamp.results.comparison import BASELINE
from negsamp.results.grid import Grid
from negsamp.results.tables import sampler_label

__all__ = [
    "COLUMN",
    "FIGURES",
    "PAGE",
    "SAMPLER_STYLES",
    "fallback_figure",
    "house_style",
    "legend",
    "negatives_figure",
    "panels_of",
    "pool_sizes_figure",
    "sampler_styles",
    "write_figure",
]

# The hues are Paul Tol's "muted" set, which most colour-blind readers tell apart. A broken line lets one that it covers
# shine through: the near misses have pools of the same size as the nearest neighbours.
_REFERENCE, _POOL, _NEAR_MISS, _OWN = "--", "-", "-.", ":"
SAMPLER_STYLES: dict[str, dict[str, Any]] = {
    "basic": {"color": "#777777", "marker": "x", "linestyle": _REFERENCE},
    "bernoulli": {"color": "#000000", "marker": "+", "linestyle": _REFERENCE},
    "random": {"color": "#332288", "marker": "o", "linestyle": _REFERENCE},
    "corrupt": {"color": "#88CCEE", "marker": "s", "linestyle": _POOL},
    "typed": {"color": "#117733", "marker": "^", "linestyle": _POOL},
    "typedbyclass": {"color": "#44AA99", "marker": "v", "linestyle": _POOL},
    "relational": {"color": "#DDCC77", "marker": "D", "linestyle": _POOL},
    "nearestneighbor": {"color": "#CC6677", "marker": "P", "linestyle": _POOL},
    "adversarial": {"color": "#882255", "marker": "X", "linestyle": _NEAR_MISS},
    "adaptiveadversarial": {"color": "#AA4499", "marker": "*", "linestyle": _NEAR_MISS},
    "given": {"color": "#661100", "marker": "8", "linestyle": _POOL},
}
#: for samplers of one's own, in the order of the config
_OWN_STYLES: list[dict[str, Any]] = [
    {"color": "#E69F00", "marker": "<", "linestyle": _OWN},
    {"color": "#0072B2", "marker": ">", "linestyle": _OWN},
    {"color": "#D55E00", "marker": "h", "linestyle": _OWN},
    {"color": "#999933", "marker": "p", "linestyle": _OWN},
    {"color": "#009E73", "marker": "d", "linestyle": _OWN},
]

#: inches: one column of a two-column page, and both
COLUMN, PAGE = 3.4, 7.0
_SETTINGS = {
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.5,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "lines.linewidth": 1.1,
    "lines.markersize": 4,
    "savefig.dpi": 300,
    # outlines as TrueType: what publishers accept
    "pdf.fonttype": 42,
}


def sampler_styles(samplers: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return how the line of each sampler looks; samplers that are not ours take turns in the order given."""
    own = [sampler for sampler in samplers if sampler not in SAMPLER_STYLES]
    turns = {sampler: _OWN_STYLES[turn % len(_OWN_STYLES)] for turn, sampler in enumerate(own)}
    return {sampler: SAMPLER_STYLES.get(sampler) or turns[sampler] for sampler in samplers}


def negatives_figure(finals: Paths, *, grid: Grid) -> Figure:
    """Draw test MRR against the number of negatives, one panel a model and one line a sampler.

    Error bars are the standard deviation over seeds; a failed study leaves a gap.

    :param finals: a ``seed-{seed}.json`` of each study and seed
    :param grid: what is compared, on one data set

    :raises InputError: if a record is missing or damaged
    """
    means = average_seeds(read_finals_of(finals, grid))
    mrr = {name: f"{OBJECTIVE}_{name}" for name in ("mean", "std")}
    means = means.rename(columns={column: name for name, column in mrr.items()})
    panels = {model: ("test MRR", _by_sampler(means[means["model"] == model])) for model in grid.models}
    return _lines_figure(panels, grid)


def fallback_figure(finals: Paths, *, grid: Grid) -> Figure:
    """Draw the share of slots that the fallback filled, and how far each sampler is from random negatives.

    The first panel is over all models and seeds; the others, one a model, have the mean difference of test MRR from
    that of ``random`` with the same number of negatives and seed, and its standard deviation over seeds. They are left
    out where there is no ``random``.

    :param finals: a ``seed-{seed}.json`` of each study and seed
    :param grid: what is compared, on one data set

    :raises InputError: if a record is missing or damaged
    """
    runs = read_finals_of(finals, grid)
    counted = runs[runs[FALLBACK].notna()].assign(mean=runs[FALLBACK])
    shares = counted.groupby(["sampler", "negatives"]).agg({"mean": "mean", "inferred": "any"}).reset_index()
    panels = {"all models": ("slots filled by the fallback", _by_sampler(shares.assign(std=np.nan)))}
    if BASELINE in grid.samplers:
        keys = ["model", "negatives", "seed"]
        baseline = runs[runs["sampler"] == BASELINE].set_index(keys)[OBJECTIVE].rename("baseline")
        gaps = runs.join(baseline, on=keys)
        gaps = gaps.assign(gap=gaps[OBJECTIVE] - gaps["baseline"])
        found = gaps.groupby(["model", "sampler", "negatives"]).agg(
            mean=("gap", "mean"), std=("gap", "std"), inferred=("inferred", "any")
        )
        for model in grid.models:
            of_model = found.loc[model].reset_index() if model in found.index else found.iloc[:0].reset_index()
            panels[model] = ("test MRR above random", _by_sampler(of_model))
    return _lines_figure(panels, grid)


def _by_sampler(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {str(sampler): line for sampler, line in frame.groupby("sampler")}


def _lines_figure(panels: Mapping[str, tuple[str, Mapping[str, pd.DataFrame]]], grid: Grid) -> Figure:
    """Draw values against the number of negatives, one line a sampler.

    :param panels: title → what the vertical axis shows, and the line of each sampler: columns ``negatives``, ``mean``,
        ``std`` (blank: no error bar) and ``inferred``
    :param grid: what is compared, on one data set
    """
    shown = [sampler for sampler in grid.samplers if grid.applies(grid.dataset, sampler)]
    styles = sampler_styles(grid.samplers)
    numbers = sorted(grid.negatives)
    # a little beside one another, as error bars would else hide error bars
    alone = len(numbers) == 1
    side_by_side = len(grid.seeds) > 1 or alone
    across = min(len(panels), 3)
    down = -(-len(panels) // across)
    with house_style():
        width, height = (COLUMN, 3.2) if across == 1 else (PAGE, 2.3)
        figure = Figure(figsize=(width, height * down + 0.4), layout="constrained")
        places = figure.subplots(down, across, squeeze=False).flat
        for (title, (vertical, lines)), panel in zip(panels.items(), places, strict=False):
            for turn, sampler in enumerate(shown):
                if sampler not in lines:
                    continue
                line = lines[sampler]
                aside = 10 ** (0.015 * (turn - (len(shown) - 1) / 2)) if side_by_side else 1
                panel.errorbar(
                    line["negatives"] * aside,
                    line["mean"],
                    yerr=line["std"] if line["std"].notna().any() else None,
                    label=sampler_label(sampler, inferred=bool(line["inferred"].any())),
                    capsize=2,
                    elinewidth=0.8,
                    **styles[sampler],
                )
            panel.set_title(title)
            panel.set_xscale("log")
            # places say nothing where there is one number alone
            _mark(panel, [] if alone else numbers)
            panel.set_xlabel("negatives per positive" + (f": {numbers[0]}" if alone else ""))
            panel.set_ylabel(vertical)
        for panel in places:
            panel.remove()
        legend(figure)
    return figure


def pool_sizes_figure(statistics: Paths, *, grid: Grid) -> Figure:
    """Draw which share of the queries has a pool of at most a size, one line a sampler.

    :param statistics: a ``{sampler}.statistics.json`` of each sampler that has pools
    :param grid: one data set, the samplers that have pools, and what does not go together

    :raises InputError: if statistics are missing or damaged
    """
    shown = [sampler for sampler in grid.samplers if grid.applies(grid.dataset, sampler)]
    histograms = read_histograms(statistics)
    first = histograms.drop_duplicates(["dataset", "sampler"])
    require(first, ["dataset", "sampler"], [(grid.dataset, sampler) for sampler in shown], "the statistics of pools")
    histograms = histograms[histograms["dataset"] == grid.dataset].set_index("sampler")
    largest = int(histograms.loc[shown, "size"].max()) if shown else 1
    styles = sampler_styles(grid.samplers)
    with house_style():
        figure = Figure(figsize=(COLUMN, 3.4), layout="constrained")
        panel = figure.subplots()
        for turn, sampler in enumerate(shown):
            histogram = histograms.loc[[sampler]]
            counts = histogram["count"].to_numpy(dtype=np.int64)
            shares = counts.cumsum() / counts.sum()
            panel.step(
                # from the left edge to the right one, also where no pool is so small or so large
                [0, *histogram["size"], largest],
                [shares[0] if histogram["size"].iloc[0] == 0 else 0, *shares, 1],
                where="post",
                label=sampler_label(sampler, inferred=bool(histogram["inferred"].any())),
                # staggered, as equal lines would else hide each other's markers
                markevery=(0.2 * turn / len(shown), 0.2),
                clip_on=False,
                **styles[sampler],
            )
        panel.set_xscale("symlog", linthresh=1)
        _mark(panel, [0, *[10**power for power in range(len(str(largest)))]])
        panel.set_xlim(0, largest)
        panel.set_ylim(0, 1)
        panel.set_xlabel("pool size, at most")
        panel.set_ylabel("share of queries")
        legend(figure)
    return figure


def write_figure(figure: Figure, *, png: str | os.PathLike[str], pdf: str | os.PathLike[str] | None = None) -> None:
    """Write a figure, without dates and versions inside.

    :param png: the file for screens
    :param pdf: the file for print; None: none
    """
    with house_style():
        with atomic_path(png) as path:
            figure.savefig(path, format="png", metadata={"Software": None})
        if pdf is not None:
            with atomic_path(pdf) as path:
                figure.savefig(path, format="pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None})


def house_style() -> AbstractContextManager[Any]:
    """Return a context in which figures are drawn and written, whatever the reader's own settings."""
    return matplotlib.style.context(["default", _SETTINGS])


def _mark(panel: Axes, ticks: Sequence[int]) -> None:
    """Put ticks at the values alone, written out."""
    panel.set_xticks(ticks, labels=[f"{tick:,}" for tick in ticks])
    panel.minorticks_off()


def panels_of(count: int, *, height: float, vertical: str, across: int = 4) -> tuple[Figure, list[Axes]]:
    """Return a figure as wide as a page, and so many panels in rows; see :func:`house_style`.

    :param count: how many panels
    :param height: of a row, in inches
    :param vertical: what the vertical axes show, told at the left
    :param across: how many panels are side by side, at most
    """
    across = min(across, max(count, 2))
    down = -(-count // across)
    figure = Figure(figsize=(PAGE, height * down + 0.6), layout="constrained")
    places = figure.subplots(down, across, squeeze=False)
    for panel in places[:, 0]:
        panel.set_ylabel(vertical)
    for panel in places.flat[count:]:
        panel.remove()
    return figure, list(places.flat[:count])


def legend(figure: Figure) -> None:
    """Name the lines of all panels once, below them, without their error bars."""
    # a panel may lack some of them
    handles, labels = max((panel.get_legend_handles_labels() for panel in figure.axes), key=lambda found: len(found[1]))
    lines = [handle[0] if isinstance(handle, ErrorbarContainer) else handle for handle in handles]
    columns = 2 if figure.get_figwidth() < PAGE else 5
    figure.legend(lines, labels, loc="outside lower center", ncols=columns, columnspacing=1.2, handlelength=2.6)


#: by their names in the workflow
FIGURES = {"negatives": negatives_figure, "fallback": fallback_figure, "pool_sizes": pool_sizes_figure}
