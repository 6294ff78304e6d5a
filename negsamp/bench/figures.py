"""What was measured, as figures in the look of the published ones."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from negsamp.bench.contenders import BASIC
from negsamp.bench.throughput import Record
from negsamp.results.figures import PAGE, SAMPLER_STYLES, house_style

__all__ = ["build_figure", "epoch_figure", "scaling_figure", "throughput_figure"]

#: a colour a group, by Okabe and Ito: none is that of a sampler of ours, and PyKEEN has that of its basic
_COLOURS = {"PyKEEN": "#777777", "PyKEEN, filtered": "#D55E00", "negsamp": "#0072B2", "other": "#E69F00"}

#: numbers as one writes them, not as powers
_plain = FuncFormatter(lambda value, _: f"{value:,.6g}")


def throughput_figure(content: Record) -> Figure:
    """Draw throughputs in multiples of ``basic``, one panel a number of negatives; lines end at the quartiles."""
    summary: list[Record] = content["summary"]
    numbers = list(dict.fromkeys(row["negatives"] for row in summary))
    names = list(dict.fromkeys(row["contender"] for row in summary))
    with house_style():
        figure = Figure(figsize=(PAGE, 0.15 * len(names) + 1.1), layout="constrained")
        panels = figure.subplots(1, len(numbers), sharey=True, squeeze=False)[0]
        for number, panel in zip(numbers, panels, strict=True):
            rows = [row for row in summary if row["negatives"] == number]
            _spreads(panel, rows, names)
            panel.axvline(1, color=_COLOURS["PyKEEN"], linewidth=0.8)
            panel.set_xscale("log")
            panel.xaxis.set_major_formatter(_plain)
            panel.set_title(f"{number:,} negative{'s' if number > 1 else ''} a positive")
        _name_rows(panels[0], names)
        panels[len(panels) // 2].set_xlabel(f"throughput, in multiples of {BASIC}'s")
        _legend(figure, [row["group"] for row in summary])
    return figure


def _spreads(panel: Axes, rows: Sequence[Record], names: Sequence[str]) -> None:
    """Mark medians, and join quartiles by a line."""
    for row in rows:
        ratio = row["times"][BASIC]
        place, colour = names.index(row["contender"]), _COLOURS[row["group"]]
        panel.plot([ratio["q25"], ratio["q75"]], [place, place], color=colour, linewidth=2.2, alpha=0.5)
        panel.plot(ratio["median"], place, "o", color=colour)


def _name_rows(panel: Axes, names: Sequence[str]) -> None:
    panel.set_yticks(range(len(names)), labels=names)
    panel.set_ylim(len(names) - 0.5, -0.5)


def _legend(figure: Figure, groups: Sequence[str]) -> None:
    """Name the colours that occur, below the panels."""
    marks = [figure.axes[0].plot([], [], "o", color=_COLOURS[group])[0] for group in dict.fromkeys(groups)]
    figure.legend(marks, list(dict.fromkeys(groups)), loc="outside lower center", ncols=len(marks))


def epoch_figure(content: Record) -> Figure:
    """Draw what an epoch takes, and the part of it that is sampling, in multiples of an epoch with ``basic``."""
    summary: list[Record] = content["summary"]
    names = [row["contender"] for row in summary]
    with house_style():
        figure = Figure(figsize=(PAGE, 0.2 * len(names) + 1.0), layout="constrained")
        panel = figure.subplots()
        for place, row in enumerate(summary):
            ratio, colour = row["times"][BASIC], _COLOURS[row["group"]]
            sampling = ratio["median"] * row["sampling"]["median"]
            panel.barh(place, ratio["median"], color=colour, alpha=0.35, height=0.7)
            panel.barh(place, sampling, color=colour, height=0.7)
            panel.plot([ratio["q25"], ratio["q75"]], [place, place], color="black", linewidth=1)
            share = f"{row['sampling']['median']:.0%} sampling"
            panel.annotate(
                share,
                (max(ratio["q75"], 1), place),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=6.5,
            )
        panel.axvline(1, color=_COLOURS["PyKEEN"], linewidth=0.8)
        panel.grid(visible=False, axis="y")
        panel.margins(x=0.15)
        panel.set_xlim(left=0)
        _name_rows(panel, names)
        panel.set_xlabel(f"time of an epoch, in multiples of {BASIC}'s; dark: sampling")
        _legend(figure, [row["group"] for row in summary])
    return figure


def build_figure(content: Record) -> Figure:
    """Draw seconds and memory of the builds."""
    summary: list[Record] = content["summary"]
    names = [row["contender"] for row in summary]
    with house_style():
        figure = Figure(figsize=(PAGE, 0.2 * len(names) + 1.0), layout="constrained")
        seconds, megabytes = figure.subplots(1, 2, sharey=True)
        for place, row in enumerate(summary):
            colour = _COLOURS[row["group"]]
            seconds.plot(row["build_seconds"]["median"], place, "o", color=colour)
            if row["statistics_seconds"] is not None:
                seconds.plot(row["statistics_seconds"]["median"], place, "o", color=colour, fillstyle="none")
            if row["peak_mb"] is not None:
                ends = [row["resident_mb"]["median"], row["peak_mb"]["median"]]
                megabytes.plot(ends, [place, place], color=colour, linewidth=2.2, alpha=0.5)
                megabytes.plot(row["resident_mb"]["median"], place, "o", color=colour)
            megabytes.plot(row["tensors_mb"]["median"], place, "|", color=colour)
        _name_rows(seconds, names)
        for panel in (seconds, megabytes):
            panel.set_xscale("log")
            panel.xaxis.set_major_formatter(_plain)
        seconds.set_xlabel("seconds (hollow: pool statistics)")
        megabytes.set_xlabel("MB (|: tensors; line: to the peak)")
        _legend(figure, [row["group"] for row in summary])
    return figure


def scaling_figure(content: Record) -> Figure:
    """Draw how build, peak memory and throughput grow with the triples; lines are the fitted formulas.

    :param content: what is reported, with its ``fits``
    """
    summary, fits = content["summary"], content["fits"]
    with house_style():
        figure = Figure(figsize=(PAGE, 2.6), layout="constrained")
        panels = figure.subplots(1, 3)
        titles = {"build_seconds": "build (s)", "peak_mb": "peak memory (MB)"}
        for name in dict.fromkeys(row["sampler"] for row in summary):
            rows = [row for row in summary if row["sampler"] == name]
            # the proportions in which all sizes were made
            whole = [row for row in rows if row["relations"] == max(r["relations"] for r in rows)]
            whole = [row for row in whole if row["entities"] == max(_entities(whole, row["triples"]))]
            style = {key: value for key, value in SAMPLER_STYLES[name].items() if key != "linestyle"}
            for panel, measured in zip(panels, titles, strict=False):
                if any(row[measured] is None for row in rows):
                    continue
                panel.plot(
                    [row["triples"] for row in rows], [row[measured] for row in rows], linestyle="", label=name, **style
                )
                if name in fits.get(measured, {}):
                    numbers = fits[measured][name]
                    panel.plot(
                        [row["triples"] for row in whole],
                        [_evaluate(numbers, row) for row in whole],
                        color=style["color"],
                    )
            ratios = [row["times"]["basic"] for row in whole]
            panels[2].errorbar(
                [row["triples"] for row in whole],
                [ratio["median"] for ratio in ratios],
                yerr=[
                    [ratio["median"] - ratio["q25"] for ratio in ratios],
                    [ratio["q75"] - ratio["median"] for ratio in ratios],
                ],
                capsize=2,
                **style,
            )
        for panel, title in zip(panels, [*titles.values(), f"throughput (× {BASIC})"], strict=True):
            panel.set_title(title)
            panel.set_xscale("log")
            panel.set_xlabel("training triples")
        for panel in panels[:2]:
            panel.set_yscale("log")
            panel.yaxis.set_major_formatter(_plain)
            panel.yaxis.set_minor_formatter(NullFormatter())
        panels[2].axhline(1, color=_COLOURS["PyKEEN"], linewidth=0.8)
        panels[2].set_ylim(bottom=0)
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def _entities(rows: Sequence[Record], triples: int) -> list[int]:
    return [row["entities"] for row in rows if row["triples"] == triples]


def _evaluate(numbers: Record, row: Record) -> float:
    return float(
        numbers["triple"] * row["triples"]
        + numbers["entity"] * row["entities"]
        + numbers["relation"] * row["relations"]
        + numbers["anyway"]
    )
