from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure

from negsamp.errors import InputError
from negsamp.hpo import LOOPS
from negsamp.results import Grid, figures
from negsamp.results.tables import SAMPLER_LABELS

if TYPE_CHECKING:
    from conftest import Records

GRID = Grid(
    datasets=["wn18"],
    models=["TransE", "DistMult"],
    samplers=["typed", "random", "mine"],
    negatives=[100, 1, 10],
    seeds=[0, 1],
    not_applicable=[["wn18", "typed"]],
)


@pytest.fixture
def finals(records: Records) -> list[Path]:
    studies = itertools.product(GRID.models, ["random", "mine"], GRID.negatives, GRID.seeds)
    return [
        records.final(
            model=model,
            sampler=sampler,
            negatives=negatives,
            seed=seed,
            mrr=negatives / 200 + seed / 10,
            state="failed" if (model, sampler, negatives) == ("DistMult", "mine", 10) else "complete",
        )
        for model, sampler, negatives, seed in studies
    ]


@pytest.fixture
def statistics(records: Records) -> list[Path]:
    return [
        records.statistics(sampler="random", sizes={5: 1, 1000: 3}),
        records.statistics(sampler="corrupt", sizes={0: 1, 2: 1, 8: 2}),
        records.statistics("db50k", sampler="corrupt", sizes={90000: 1}),
    ]


def legend(figure: Figure) -> list[str]:
    (found,) = figure.legends
    return [text.get_text() for text in found.get_texts()]


def test_negatives_has_a_panel_a_model_and_a_line_a_sampler(finals: list[Path]) -> None:
    figure = figures.negatives_figure(finals, grid=GRID)
    assert [panel.get_title() for panel in figure.axes] == ["TransE", "DistMult"]
    assert legend(figure) == ["random", "mine"]
    for panel in figure.axes:
        assert panel.get_xscale() == "log"
        assert [label.get_text() for label in panel.get_xticklabels()] == ["1", "10", "100"]
        assert len(panel.containers) == 2


def test_negatives_draws_means_with_deviations_and_gaps(finals: list[Path]) -> None:
    figure = figures.negatives_figure(finals, grid=GRID)
    whole, broken = figure.axes[0].containers[0], figure.axes[1].containers[1]
    assert isinstance(whole, ErrorbarContainer)
    assert isinstance(broken, ErrorbarContainer)
    assert whole.has_yerr
    np.testing.assert_allclose(whole[0].get_ydata().astype(float), [0.055, 0.1, 0.55])
    assert np.isnan(broken[0].get_ydata().astype(float)).tolist() == [False, True, False]


def test_one_seed_has_no_error_bars_and_exact_places(finals: list[Path]) -> None:
    figure = figures.negatives_figure(finals, grid=replace(GRID, seeds=[1], models=["TransE"]))
    (panel,) = figure.axes
    line = panel.containers[0]
    assert isinstance(line, ErrorbarContainer)
    assert not line.has_yerr
    np.testing.assert_allclose(line[0].get_xdata().astype(float), [1, 10, 100])


def test_one_number_of_negatives_has_samplers_side_by_side(finals: list[Path]) -> None:
    figure = figures.negatives_figure(finals, grid=replace(GRID, negatives=[100], seeds=[1]))
    for panel in figure.axes:
        assert panel.get_xlabel() == "negatives per positive: 100"
        assert panel.get_xticks().tolist() == []
        places = [line[0].get_xdata().item() for line in panel.containers]
        assert len(set(places)) == 2


def test_negatives_names_a_retraining_that_is_absent(finals: list[Path]) -> None:
    with pytest.raises(InputError, match=r"the retraining of a study \(.*seed 5\)"):
        figures.negatives_figure(finals, grid=replace(GRID, seeds=[5]))


def test_four_models_take_two_rows(records: Records) -> None:
    models = ["a", "b", "c", "d"]
    finals = [records.final(model=model) for model in models]
    figure = figures.negatives_figure(finals, grid=Grid(["wn18"], models, ["random"], [1], [0]))
    assert [panel.get_title() for panel in figure.axes] == models


def test_pool_sizes_are_cumulative_shares(statistics: list[Path]) -> None:
    figure = figures.pool_sizes_figure(statistics, grid=Grid(["wn18"], samplers=["random", "corrupt"]))
    (panel,) = figure.axes
    assert legend(figure) == ["random", "corrupt"]
    random, corrupt = panel.get_lines()
    assert np.column_stack([random.get_xdata(), random.get_ydata()]).tolist() == [
        *[[0, 0], [5, 0.25], [1000, 1], [1000, 1]]
    ]
    assert np.column_stack([corrupt.get_xdata(), corrupt.get_ydata()]).tolist() == [
        *[[0, 0.25], [0, 0.25], [2, 0.5], [8, 1], [1000, 1]]
    ]
    assert random.get_drawstyle() == "steps-post"
    assert panel.get_xscale() == "symlog"
    assert [label.get_text() for label in panel.get_xticklabels()] == ["0", "1", "10", "100", "1,000"]


def test_pool_sizes_leave_out_what_is_not_applicable(statistics: list[Path]) -> None:
    figure = figures.pool_sizes_figure(
        statistics, grid=Grid(["wn18"], samplers=["typed", "corrupt"], not_applicable=[["wn18", "typed"]])
    )
    assert legend(figure) == ["corrupt"]


def points(figure: Figure, panel: int, label: str) -> list[tuple[float, float]]:
    """Return the points of a line, by its name in the legend."""
    handles, labels = figure.axes[panel].get_legend_handles_labels()
    line = handles[labels.index(label)][0]
    return [(round(float(x)), round(float(y), 6)) for x, y in line.get_xydata() if not np.isnan(y)]


def test_fallback_shows_its_share_and_the_gap_to_random(records: Records) -> None:
    grid = replace(GRID, models=["TransE"], negatives=[1, 10], samplers=["basic", "random", "mine"])
    slots = {"random": {"pool": 10, "masked": 0}, "mine": {"pool": 5, "corrupt": 1, "everything": 2, "masked": 2}}
    finals = [
        records.final(
            sampler=sampler,
            negatives=negatives,
            seed=seed,
            mrr=0.2 + seed / 10 + (0.01 * negatives if sampler == "mine" else 0),
            slots=slots.get(sampler),
        )
        for sampler in ["basic", "random", "mine"]
        for negatives in [1, 10]
        for seed in [0, 1]
    ]
    figure = figures.fallback_figure(finals, grid=grid)
    assert [panel.get_title() for panel in figure.axes] == ["all models", "TransE"]
    # what PyKEEN draws is not counted; of ours, three of ten slots came from other pools
    assert list(figure.axes[0].get_legend_handles_labels()[1]) == ["random", "mine"]
    assert points(figure, 0, "mine") == [(1, 0.3), (10, 0.3)]
    assert points(figure, 0, "random") == [(1, 0.0), (10, 0.0)]
    # seeds are paired: what they have in common is no gap
    assert points(figure, 1, "mine") == [(1, 0.01), (10, 0.1)]
    assert points(figure, 1, "basic") == points(figure, 1, "random") == [(1, 0.0), (10, 0.0)]
    assert legend(figure) == ["basic", "random", "mine"]


def test_fallback_has_no_gap_without_random(finals: list[Path]) -> None:
    figure = figures.fallback_figure(finals, grid=replace(GRID, samplers=["mine"], not_applicable=[]))
    assert [panel.get_title() for panel in figure.axes] == ["all models"]
    figure = figures.fallback_figure(finals, grid=GRID)
    # one study failed: its gap is missing, and the rest is there
    assert len(points(figure, 1, "mine")) == 3
    assert len(points(figure, 2, "mine")) == 2


def test_pool_sizes_name_statistics_that_are_absent(statistics: list[Path]) -> None:
    with pytest.raises(InputError, match=r"the statistics of pools \(dataset wn18, sampler typed\)"):
        figures.pool_sizes_figure(statistics, grid=Grid(["wn18"], samplers=["typed"]))


def test_every_sampler_has_a_look_of_its_own() -> None:
    assert list(figures.SAMPLER_STYLES) == [name for name in SAMPLER_LABELS if name not in LOOPS]
    own = [f"own {number}" for number in range(5)]
    styles = figures.sampler_styles([*figures.SAMPLER_STYLES, *own])
    for part in ["color", "marker"]:
        assert len({style[part] for style in styles.values()} - {"#999933"}) >= len(styles) - 1
    assert figures.sampler_styles(["random"])["random"] == styles["random"]
    assert figures.sampler_styles([*own, "six"])["six"] == styles["own 0"]


def test_bytes_are_the_same_from_shuffled_paths_and_other_settings(
    finals: list[Path], statistics: list[Path], tmp_path: Path
) -> None:
    def draw(step: int) -> list[bytes]:
        drawn = {
            "negatives": figures.negatives_figure(finals[::step], grid=GRID),
            "fallback": figures.fallback_figure(finals[::step], grid=GRID),
            "pools": figures.pool_sizes_figure(statistics[::step], grid=Grid(["wn18"], samplers=["random", "corrupt"])),
        }
        written = []
        for name, figure in drawn.items():
            png, pdf = tmp_path / f"{step}" / f"{name}.png", tmp_path / f"{step}" / f"{name}.pdf"
            figures.write_figure(figure, png=png, pdf=pdf)
            written += [png.read_bytes(), pdf.read_bytes()]
        return written

    first = draw(1)
    with mpl.rc_context({"font.size": 20, "savefig.dpi": 50, "lines.linewidth": 5}):
        assert draw(-1) == first
    assert all(b"CreationDate" not in content and b"Software" not in content for content in first)


def test_lines_and_legend_lie_inside_the_figure(finals: list[Path], tmp_path: Path) -> None:
    for models in [["TransE"], GRID.models]:
        figure = figures.negatives_figure(finals, grid=replace(GRID, models=models))
        figures.write_figure(figure, png=tmp_path / "a.png", pdf=tmp_path / "a.pdf")
        (found,) = figure.legends
        box = found.get_window_extent()
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.width
        assert box.y1 <= min(panel.get_tightbbox().y0 for panel in figure.axes)
