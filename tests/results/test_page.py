"""The page of all tables and figures."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from browser import open_page
from PIL import Image

from negsamp.errors import InputError
from negsamp.results.page import index_page

if TYPE_CHECKING:
    from conftest import Records

CHAPTERS = {
    "Which?": ("link_prediction", "parameters"),
    "What?": ("pools", "pool_sizes", "datasets"),
    "Never?": ("cost",),
}
SAMPLERS = ["basic", "random", "typed"]
Page = Callable[[], str]


def link_prediction(**changes: object) -> pd.DataFrame:
    rows = [
        {"model": model, "sampler": sampler, "negatives": number, "inferred": sampler == "typed", "state": "complete"}
        for model in ("TransE", "RESCAL")
        for sampler in SAMPLERS
        for number in (1, 10)
    ]
    metrics = [
        f"{name}_{of}"
        for name in ("inverse_harmonic_mean_rank", "hits_at_1", "hits_at_3", "hits_at_10")
        for of in ("mean", "std")
    ]
    numbers = dict.fromkeys([*metrics, "difference", "p_holm", "fallback_share"], 0.1234)
    rows = [{**row, **numbers, "verdict": "better", **changes} for row in rows]
    # one that a data set does not serve
    rows.append({"model": "TransE", "sampler": "given", "inferred": False, "state": "not applicable"})
    return pd.DataFrame(rows)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(name: str, frame: pd.DataFrame, caption: str) -> Path:
        path = tmp_path / f"tables/{name}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        frame.to_csv(path, index=False)
        path.with_suffix(".md").write_text(f"{caption}\n\n| a | b |\n")
        return path

    return write


@pytest.fixture
def page(write: Callable[..., Path], records: Records) -> Page:
    """Lay out a page of four tables and two figures."""
    counts = {f"count_{i}": 1234.5 for i in range(20)}
    tables = [
        write("link_prediction/wn18", link_prediction(), "Link prediction on wn18\\_x."),
        write("pools", pd.DataFrame({"dataset": ["wn18"] * 20, "mean": [0.5] * 20}), "Sizes of pools."),
        write("datasets", pd.DataFrame([{"dataset": "wn18", **counts}]), "Data sets."),
    ]
    statistics = [records.statistics("wn18", sampler, {0: 3, 7: 5, 90: 1}) for sampler in reversed(SAMPLERS[1:])]
    return lambda: index_page(tables, statistics, title="an experiment", chapters=CHAPTERS, samplers=SAMPLERS)


def beside_bokeh(html: str) -> str:
    return html.rpartition("</head>")[2]


def test_what_is_on_it(page: Page) -> None:
    html = page()
    assert "<title>an experiment</title>" in html
    assert "Link prediction on wn18_x." in html
    for title in ("Which?", "What?"):
        assert html.count(f">{title}<") == 2
    assert "Never?" not in html
    # in the table, in the legends of two models, and in that of the pools it is as given
    assert html.count("typed (inferred)") >= 4
    # each panel, and so each legend: of two models, and of the sizes of pools
    assert html.count('"click_policy": "hide"') == 3
    # it needs no network
    assert "http" not in beside_bokeh(html)
    assert "1,234" in html


def test_samplers_have_one_order_in_all_legends(page: Page) -> None:
    labels = re.findall(r'"name": "LegendItem".*?"value": "(.*?)"', page())
    assert labels == ["basic", "random", "typed (inferred)"] * 2 + ["random", "typed"]


@pytest.mark.parametrize("state", ["failed", "not applicable"])
def test_what_all_failed_has_a_table_and_no_figure(write: Callable[..., Path], state: str) -> None:
    table = write("link_prediction/nations", link_prediction(state=state), "Test metrics on nations")
    page = index_page([table], [], title="default", chapters=CHAPTERS, samplers=SAMPLERS)
    assert "<h3>nations</h3>" in page
    assert state in page
    assert "negatives per positive" not in page


def test_names_cannot_leave_their_place(write: Callable[..., Path]) -> None:
    evil = "</script><script>alert(1)</script><b>"
    table = write("pools", pd.DataFrame({"dataset": [evil], evil: [1.5]}), evil)
    html = index_page([table], [], title=evil, chapters={evil: ["pools"]}, samplers=[])
    assert "<script>alert" not in html
    assert "<b>" not in beside_bokeh(html)


@pytest.mark.parametrize("suffix", [".csv", ".md"])
def test_a_missing_file_is_told(page: Page, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"tables/pools{suffix}"
    path.unlink()
    with pytest.raises(InputError, match=f"{path.name}: cannot be read .*; make the tables again"):
        page()


def test_a_file_that_is_no_table_is_told(page: Page, tmp_path: Path) -> None:
    (tmp_path / "tables/pools.csv").write_text("")
    with pytest.raises(InputError, match=r"pools\.csv: not a table"):
        page()


def test_a_browser_shows_it(page: Page, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(page())
    opened = open_page(tmp_path / "index.html", tmp_path / "browser")
    assert [line for line in opened.console if "rror" in line or "warn" in line] == []
    # of the two tables and of the one that stands upright, and the canvases of three panels
    assert opened.html.count("slick-viewport") >= 3
    with Image.open(opened.screenshot) as image:
        colours = {colour for count, colour in image.convert("RGB").getcolors(1 << 24) if count > 20}
    # the line of typed, as in every figure
    assert (0x11, 0x77, 0x33) in colours
