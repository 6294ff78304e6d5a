from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from negsamp.errors import InputError
from negsamp.io import write_json
from negsamp.results import Grid, tables
from negsamp.results.tables import Table

if TYPE_CHECKING:
    from conftest import Records

GRID = Grid(
    datasets=["wn18"],
    models=["TransE", "DistMult"],
    samplers=["random", "basic", "typed"],
    negatives=[10, 1],
    seeds=[0, 1],
    not_applicable=[["wn18", "typed"]],
)
STUDIES = [(model, sampler, number) for _, model, sampler, number in GRID.studies()]


def cell(table: Table, column: Any, **where: str) -> str:
    """Return the one displayed cell of a column in the row described."""
    frame = table.display
    for name, value in where.items():
        key = ("", name) if frame.columns.nlevels > 1 else name.replace("_", " ")
        frame = frame[frame[key] == value]
    (found,) = frame[column]
    return str(found)


@pytest.fixture
def finals(records: Records) -> list[Path]:
    """Two seeds of each study; DistMult on basic with 1 negative failed, and one seed of TransE on it."""
    failed = {("DistMult", "basic", 1, 0), ("DistMult", "basic", 1, 1), ("TransE", "basic", 1, 1)}
    return [
        records.final(
            model=model,
            sampler=sampler,
            negatives=negatives,
            seed=seed,
            mrr=0.1 + negatives / 100 + seed / 10 + (sampler == "basic") / 1000,
            state="failed" if (model, sampler, negatives, seed) in failed else "complete",
        )
        for model, sampler, negatives in STUDIES
        for seed in [0, 1]
    ]


@pytest.fixture
def trials(records: Records) -> list[Path]:
    return [
        records.trials(
            model=model,
            sampler=sampler,
            negatives=negatives,
            state="failed" if (model, sampler, negatives) == ("DistMult", "basic", 1) else "complete",
            parameters={"margin": 2.0, "learning_rate": 0.000321, "l2_weight": 1e-5 if model == "DistMult" else None},
        )
        for model, sampler, negatives in STUDIES
    ]


@pytest.fixture
def ranks(records: Records) -> list[Path]:
    """Basic with 10 negatives is better with TransE, and no different with DistMult; with 1 it is worse or failed."""
    ranked = {("TransE", "basic", 10): [1.0] * 40, ("TransE", "basic", 1): [8.0] * 40, ("DistMult", "basic", 1): []}
    return [
        records.ranks(
            model=model,
            sampler=sampler,
            negatives=negatives,
            seed=seed,
            ranks=[]
            if (model, sampler, negatives, seed) == ("TransE", "basic", 1, 1)
            else ranked.get(study, [2.0] * 40),
        )
        for study in STUDIES
        for model, sampler, negatives in [study]
        for seed in [0, 1]
    ]


@pytest.fixture
def timings(records: Records) -> list[Path]:
    studies = [f"wn18/{model}/{sampler}/{negatives}" for model, sampler, negatives in STUDIES]
    return [
        *[
            records.timing(study, seed, seconds=10.0 + seed, memory=500.0 + seed)
            for study in studies
            for seed in [0, 1]
        ],
        *[records.trial_timings(study, chunk, (2 * chunk, 2 * chunk + 1)) for study in studies for chunk in [0, 1]],
    ]


@pytest.fixture
def build(
    records: Records, finals: list[Path], trials: list[Path], ranks: list[Path], timings: list[Path]
) -> dict[str, Callable[[int], Table]]:
    """Each table, from its paths in order (1) or backwards (-1)."""
    reports = [records.report(), records.report("db_50k", notes=["185 duplicate lines"])]
    statistics = [records.statistics(dataset, "corrupt") for dataset in ["wn18", "db_50k"]]
    return {
        "datasets": lambda step: tables.datasets_table(reports[::step], grid=Grid(["wn18", "db_50k"])),
        "pools": lambda step: tables.pools_table(
            statistics[::step],
            grid=Grid(
                ["wn18", "db_50k"],
                samplers=["typed", "corrupt"],
                not_applicable=[["wn18", "typed"], ["db_50k", "typed"]],
            ),
        ),
        "link_prediction": lambda step: tables.link_prediction_table(
            finals[::step], trials[::step], ranks[::step], grid=GRID
        ),
        "parameters": lambda step: tables.parameters_table(trials[::step], grid=GRID),
        "slots": lambda step: tables.slots_table(finals[::step], grid=GRID),
        "cost": lambda step: tables.cost_table(timings[::step], grid=GRID),
    }


TABLES = ["datasets", "pools", "link_prediction", "parameters", "slots", "cost"]


@pytest.mark.parametrize("name", TABLES)
class TestEveryTable:
    def test_is_the_same_bytes_from_shuffled_paths(
        self, name: str, build: dict[str, Callable[[int], Table]], tmp_path: Path
    ) -> None:
        for step in [1, -1]:
            targets = {kind: tmp_path / f"{step}" / f"table.{kind}" for kind in ["csv", "tex", "md"]}
            tables.write_table(build[name](step), **targets)
        for kind in ["csv", "tex", "md"]:
            content = (tmp_path / "1" / f"table.{kind}").read_bytes()
            assert content
            assert content == (tmp_path / "-1" / f"table.{kind}").read_bytes()

    def test_latex_is_plain_and_balanced(self, name: str, build: dict[str, Callable[[int], Table]]) -> None:
        latex = build[name](1).to_latex()
        assert latex.isascii()
        assert rf"\label{{tab:{name.replace('_', '-')}" in latex
        assert r"\caption" in latex
        assert all(rule in latex for rule in [r"\toprule", r"\midrule", r"\bottomrule"])
        assert latex.count(r"\begin{") == latex.count(r"\end{")
        assert latex.count("{") - latex.count(r"\{") == latex.count("}") - latex.count(r"\}")
        assert not re.search(r"(?<!\\)[%#]", latex)

    def test_markdown_rows_are_as_wide_as_the_header(self, name: str, build: dict[str, Callable[[int], Table]]) -> None:
        table = build[name](1)
        caption, blank, *lines = table.to_markdown().splitlines()
        assert caption.startswith(table.title)
        assert not blank
        assert len(lines) == len(table.display) + 2
        assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {table.display.shape[1] + 1}


class TestDatasets:
    def test_columns_follow_the_order_wanted(self, build: dict[str, Callable[[int], Table]]) -> None:
        table = build["datasets"](-1)
        assert list(table.display.columns) == ["", "wn18", "db_50k"]
        assert table.raw["dataset"].tolist() == ["wn18", "db_50k"]

    def test_shows_counts_notes_and_hash(self, build: dict[str, Callable[[int], Table]]) -> None:
        table = build["datasets"](1)
        shown = table.display.set_index("")["db_50k"]
        assert shown["test triples (lines / distinct)"] == "1,300 / 1,100"
        assert shown["relations with domain / range / both"] == "17 / 16 / 15"
        assert shown["test triples also in training"] == "38"
        assert shown["archive"] == "sha256:0123456789ab…"
        assert table.caption.endswith("Noted on reading: db_50k: 185 duplicate lines.")
        assert table.raw["archive"].iloc[0] == "sha256:" + "0123456789abcdef" * 4

    def test_a_folder_has_no_archive(self, records: Records) -> None:
        table = tables.datasets_table([records.report(archive=None)], grid=Grid(["wn18"]))
        assert table.display.set_index("").loc["archive", "wn18"] == "—"
        assert "Noted" not in table.caption

    def test_names_a_report_that_is_absent(self, records: Records) -> None:
        with pytest.raises(InputError, match=r"the report of a data set \(dataset nations\)"):
            tables.datasets_table([records.report()], grid=Grid(["nations"]))


class TestPools:
    def test_has_a_row_a_side(self, build: dict[str, Callable[[int], Table]]) -> None:
        table = build["pools"](1)
        both = table.display.iloc[1].tolist()
        expected = ["wn18", "corrupt", "both", "4", "1.8", "2.0", "25.0", "50.0", "100.0", "100.0", "100.0"]
        assert both == expected
        assert table.display["side"].tolist() == ["—", "both", "head", "tail"] * 2
        assert list(table.display.columns[6:8]) == ["% no pool", "% size ≤ 2"]

    def test_tells_what_is_not_applicable(self, build: dict[str, Callable[[int], Table]]) -> None:
        table = build["pools"](1)
        assert table.display.iloc[0].tolist() == ["wn18", "typed", "—", "not applicable", *["—"] * 7]
        assert table.raw["state"].iloc[0] == "not applicable"

    def test_needs_no_file_where_nothing_applies(self) -> None:
        table = tables.pools_table([], grid=Grid(["wn18"], samplers=["typed"], not_applicable=[["wn18", "typed"]]))
        assert len(table.display) == 1


class TestAuxiliary:
    def test_has_the_data_sets_that_have_a_model(self, records: Records) -> None:
        paths = [records.auxiliary("wn18", 0.5), records.auxiliary("db50k", 0.125)]
        table = tables.auxiliary_table(paths, grid=Grid(["db50k", "nations", "wn18"]))
        assert table.display["data set"].tolist() == ["db50k", "wn18"]
        assert table.display.iloc[0].tolist()[1:5] == ["RESCAL", "als", "10", "0.125"]
        assert table.raw["inverse_harmonic_mean_rank"].tolist() == [0.125, 0.5]
        assert "RESCAL" in table.to_latex()

    def test_may_be_empty(self) -> None:
        assert "Auxiliary models" in tables.auxiliary_table([], grid=Grid(["nations"])).to_markdown()


class TestLinkPrediction:
    def test_rows_and_columns_follow_the_grid(self, build: dict[str, Callable[[int], Table]]) -> None:
        display = build["link_prediction"](-1).display
        shown = display[[("", "sampler"), ("", "negatives")]].to_numpy().tolist()
        assert shown == [["random", "10"], ["random", "1"], ["basic", "10"], ["basic", "1"], ["typed", "—"]]
        metrics = ["MRR", "Hits@1", "Hits@3", "Hits@10"]
        assert list(display.columns[3:]) == [(model, metric) for model in GRID.models for metric in metrics]

    def test_shows_mean_and_deviation(self, build: dict[str, Callable[[int], Table]]) -> None:
        table = build["link_prediction"](1)
        assert cell(table, ("TransE", "MRR"), sampler="random", negatives="10") == "0.250 ± 0.071"
        assert cell(table, ("TransE", "Hits@10"), sampler="random", negatives="10") == "0.500 ± 0.000"

    def test_shows_the_share_of_the_fallback(self, records: Records) -> None:
        slots = {"pool": 60, "corrupt": 10, "everything": 20, "masked": 10}
        finals = [records.final(slots=slots), records.final(negatives=2), records.final(sampler="basic")]
        grid = replace(GRID, models=["TransE"], samplers=["random"], negatives=[1, 2], seeds=[0])
        studies = [("wn18", "TransE", "random", 1), ("wn18", "TransE", "random", 2), ("wn18", "TransE", "basic", 1)]
        trials, ranks = ([of(*study) for study in studies] for of in (records.trials, records.ranks))
        table = tables.link_prediction_table(finals, trials, ranks, grid=grid)
        assert table.display[("", "by fallback")].tolist() == ["30.0%", "0.0%"]
        assert table.raw["fallback_share"].tolist() == pytest.approx([0.3, 0.0])
        # PyKEEN's samplers do not count
        of_basic = tables.link_prediction_table(
            finals, trials, ranks, grid=replace(grid, samplers=["basic"], negatives=[1])
        )
        assert of_basic.display[("", "by fallback")].tolist() == ["—"]

    def test_shows_a_mean_alone_where_one_seed_finished(self, build: dict[str, Callable[[int], Table]]) -> None:
        table = build["link_prediction"](1)
        assert cell(table, ("TransE", "MRR"), sampler="basic", negatives="1") == "0.111 ↓"

    def test_tells_failed_and_not_applicable(self, build: dict[str, Callable[[int], Table]]) -> None:
        table = build["link_prediction"](1)
        assert cell(table, ("DistMult", "MRR"), sampler="basic", negatives="1") == "failed"
        assert cell(table, ("DistMult", "Hits@1"), sampler="basic", negatives="1") == "—"
        assert cell(table, ("TransE", "MRR"), sampler="typed") == "not applicable"
        states = table.raw.set_index(["model", "sampler", "negatives"])["state"]
        assert states["DistMult", "basic", 1] == "failed"
        assert states["TransE", "basic", 1] == "complete"

    def test_sets_the_best_of_each_column_in_bold(self, build: dict[str, Callable[[int], Table]]) -> None:
        table = build["link_prediction"](1)
        assert [row for row, column in table.bold if column == 3] == [2]
        assert r"\textbf{0.251 $\pm$ 0.071 $\uparrow$}" in table.to_latex()
        assert "**0.251 ± 0.071 ↑**" in table.to_markdown()
        assert r"\textbf{0.250" not in table.to_latex()

    def test_sets_what_reads_the_same_in_bold(self, build: dict[str, Callable[[int], Table]]) -> None:
        bold = build["link_prediction"](1).bold
        assert sorted(row for row, column in bold if column == 4) == [0, 1, 2, 3]
        # DistMult on basic with 1 negative failed
        assert sorted(row for row, column in bold if column == 8) == [0, 1, 2]

    def test_caption_counts_what_stands_behind(self, build: dict[str, Callable[[int], Table]]) -> None:
        caption = build["link_prediction"](1).caption
        assert "over 2 seeds" in caption
        assert "Trials: 240, failed: 44." in caption
        assert "Retrainings: 16, failed and left out: 3." in caption
        assert "Studies without a result: 1." in caption

    def test_tells_how_each_compares_with_random(self, build: dict[str, Callable[[int], Table]]) -> None:
        table = build["link_prediction"](1)
        assert cell(table, ("TransE", "MRR"), sampler="basic", negatives="10").endswith(" ↑")
        assert cell(table, ("DistMult", "MRR"), sampler="basic", negatives="10").endswith(" =")
        raw = table.raw.set_index(["model", "sampler", "negatives"])
        assert raw.loc[("TransE", "basic", 10), "difference"] == pytest.approx(0.5)
        assert raw.loc[("TransE", "basic", 10), "verdict"] == "better"
        assert raw.loc[("TransE", "basic", 1), "difference"] == pytest.approx(1 / 8 - 1 / 2)
        # three comparisons: the others are random itself, and one that failed
        assert raw["verdict"].notna().sum() == 3
        assert "Holm's correction over 3 comparisons" in table.caption
        assert raw.loc[("TransE", "basic", 10), "p_holm"] == pytest.approx(3 * 2 / 10_001)

    def test_the_reference_has_no_number_of_negatives(
        self, records: Records, finals: list[Path], trials: list[Path], ranks: list[Path]
    ) -> None:
        study = {"model": "DistMult", "sampler": "lcwa", "negatives": 0}
        finals += [records.final(**study, seed=seed, mrr=0.4, slots=None) for seed in [0, 1]]
        trials += [records.trials(**study)]
        ranks += [records.ranks(**study, seed=seed, ranks=[2.0] * 40) for seed in [0, 1]]
        reference = {"sampler": "lcwa", "models": ["DistMult"], "loss": "bce", "batch_size": 5}
        table = tables.link_prediction_table(finals, trials, ranks, grid=replace(GRID, reference=reference))
        assert "No sampling: DistMult alone, with the loss bce and 5 a batch." in table.caption
        name = {"sampler": "no sampling (LCWA)", "negatives": "—"}
        assert cell(table, ("DistMult", "MRR"), **name) == "0.400 ± 0.000"
        assert cell(table, ("TransE", "MRR"), **name) == "not run"
        assert cell(table, ("DistMult", "MRR"), sampler="typed") == "not applicable"

    def test_a_limit_of_time_is_told(self, finals: list[Path], trials: list[Path], ranks: list[Path]) -> None:
        table = tables.link_prediction_table(finals, trials, ranks, grid=replace(GRID, seeds=[0]), planned=40)
        # 8 studies of 40 trials, of which 30 each were run
        assert "Trials that were not started, since time was up: 80." in table.caption
        assert table.under_budget(60).caption.endswith(
            "no trial after 60 s, so that another machine may run other trials: not reproducible to the byte."
        )
        whole = tables.link_prediction_table(finals, trials, ranks, grid=replace(GRID, seeds=[0]), planned=30)
        assert "time was up" not in whole.caption

    def test_names_ranks_that_are_absent(self, finals: list[Path], trials: list[Path], ranks: list[Path]) -> None:
        with pytest.raises(InputError, match=r"the ranks of a retraining \(.*sampler basic, negatives 1, seed 1\)"):
            tables.link_prediction_table(finals, trials, ranks[:-1], grid=GRID)

    def test_refuses_ranks_of_other_triples(
        self, records: Records, finals: list[Path], trials: list[Path], ranks: list[Path]
    ) -> None:
        records.ranks(sampler="basic", negatives=1, ranks=[1.0] * 39)
        with pytest.raises(InputError, match="of other test triples than those of its baseline"):
            tables.link_prediction_table(finals, trials, ranks, grid=replace(GRID, seeds=[0]))

    def test_one_seed_shows_no_deviation(self, finals: list[Path], trials: list[Path], ranks: list[Path]) -> None:
        table = tables.link_prediction_table(finals, trials, ranks, grid=replace(GRID, seeds=[0]))
        assert cell(table, ("TransE", "MRR"), sampler="random", negatives="10") == "0.200"
        assert "±" not in table.to_markdown()
        assert "one seed" in table.caption

    def test_names_a_retraining_that_is_absent(self, finals: list[Path], trials: list[Path], ranks: list[Path]) -> None:
        with pytest.raises(InputError, match=r"the retraining of a study \(.*model TransE.*seed 2\)"):
            tables.link_prediction_table(finals, trials, ranks, grid=replace(GRID, seeds=[0, 1, 2]))

    def test_names_a_search_that_is_absent(self, finals: list[Path], trials: list[Path], ranks: list[Path]) -> None:
        with pytest.raises(InputError, match=r"trials of a study \(.*model DistMult, sampler basic, negatives 1"):
            tables.link_prediction_table(finals, trials[:-1], ranks, grid=GRID)

    def test_everything_may_have_failed(self, records: Records) -> None:
        finals, trials = [records.final(state="failed")], [records.trials(state="failed")]
        grid = replace(GRID, models=["TransE"], samplers=["random"], negatives=[1], seeds=[0])
        ranks = [records.ranks(ranks=[])]
        table = tables.link_prediction_table(finals, trials, ranks, grid=grid)
        assert not table.bold
        assert "failed" in table.to_markdown()

    def test_nothing_may_be_applicable(self) -> None:
        grid = replace(GRID, samplers=["typed"])
        table = tables.link_prediction_table([], [], [], grid=grid)
        assert table.display.shape == (1, 11)
        for function in [tables.slots_table, tables.cost_table]:
            assert len(function([], grid=grid).display) == 2


class TestParameters:
    def test_shows_the_chosen_trial(self, build: dict[str, Callable[[int], Table]]) -> None:
        display = build["parameters"](1).display
        assert display.iloc[0].tolist() == [
            *[
                "wn18",
                "TransE",
                "random",
                "10",
                "7",
                "2",
                "3.21e-04",
                "no regularizer",
                "0.250 [0.200, 0.300]",
                "30",
                "2",
                "0",
            ]
        ]
        assert display.iloc[5]["L2 weight"] == "1.00e-05"

    def test_tells_failed_and_not_applicable(self, build: dict[str, Callable[[int], Table]]) -> None:
        table = build["parameters"](1)
        failed = table.display.iloc[8].tolist()
        assert failed == ["wn18", "DistMult", "basic", "1", "failed", *["—"] * 4, "30", "30", "0"]
        assert table.raw["reason"].iloc[8] == "no trial finished: diverged"
        assert cell(table, "trial", model="TransE", sampler="typed") == "not applicable"

    def test_counts_stay_whole_in_csv(self, build: dict[str, Callable[[int], Table]]) -> None:
        csv = build["parameters"](1).raw.to_csv(index=False)
        assert "wn18,TransE,random,10,False,complete,,7,2.0,0.000321,," in csv
        assert "wn18,TransE,typed,,,not applicable,," in csv


class TestSlots:
    def test_sums_over_seeds(self, build: dict[str, Callable[[int], Table]]) -> None:
        table = build["slots"](1)
        assert table.display.iloc[0].tolist() == [
            "wn18",
            "TransE",
            "random",
            "10",
            "200",
            "90.00% (180)",
            "10.00% (20)",
        ]
        pool = table.raw.iloc[0]
        assert (pool["stage"], pool["slots"], pool["share"]) == ("pool", 180, 0.9)

    def test_tells_why_there_are_none(self, build: dict[str, Callable[[int], Table]]) -> None:
        table = build["slots"](1)
        assert cell(table, "slots", model="TransE", sampler="basic", negatives="10") == "not counted"
        # one seed of this study failed: the other still tells that PyKEEN does not count
        assert cell(table, "slots", model="TransE", sampler="basic", negatives="1") == "not counted"
        assert cell(table, "slots", model="DistMult", sampler="basic", negatives="1") == "failed"
        assert cell(table, "slots", model="DistMult", sampler="typed") == "not applicable"

    def test_stages_stand_in_the_order_of_a_fallback(self, records: Records) -> None:
        stages = ["rescued", "masked", "everything", "mine", "corrupt", "typed", "ancestors_10", "ancestors_2", "pool"]
        finals = [
            records.final(slots=dict.fromkeys(stages, 1)),
            records.final(negatives=2, slots={"pool": 7, "masked": 0}),
        ]
        grid = replace(GRID, models=["TransE"], samplers=["random"], negatives=[1, 2], seeds=[0])
        table = tables.slots_table(finals, grid=grid)
        expected = [
            "pool",
            "ancestors 2",
            "ancestors 10",
            "typed",
            "corrupt",
            "mine",
            "everything",
            "masked",
            "rescued",
        ]
        assert list(table.display.columns[5:]) == expected
        assert table.display.iloc[1].tolist()[4:] == ["7", "100.00% (7)", *["—"] * 6, "0.00% (0)", "—"]


class TestCost:
    def test_aggregates(self, build: dict[str, Callable[[int], Table]]) -> None:
        table = build["cost"](1)
        assert table.display.iloc[0].tolist() == [
            "wn18",
            "TransE",
            "random",
            "10",
            "10.5",
            "12.5%",
            "1.5",
            "501.0",
            "402.0",
        ]
        assert cell(table, "training (s)", model="TransE", sampler="typed") == "not applicable"
        assert table.caption.endswith("Run with python 3.11.7, torch 2.13.0.")

    def test_what_was_not_measured_is_blank(self, records: Records) -> None:
        timings = [records.timing(seconds=None), records.trial_timings()]
        grid = replace(GRID, models=["TransE"], samplers=["random"], negatives=[1], seeds=[0])
        table = tables.cost_table(timings, grid=grid)
        assert table.display["training (s)"].tolist() == ["—"]

    def test_names_trials_that_are_absent(self, records: Records) -> None:
        grid = replace(GRID, models=["TransE"], samplers=["random"], negatives=[1], seeds=[0])
        with pytest.raises(InputError, match=r"the timing of a study's trials \(dataset wn18"):
            tables.cost_table([records.timing()], grid=grid)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("50% of a_b & {c} #1 $x", r"50\% of a\_b \& \{c\} \#1 \$x"),
        (
            "\\ ~ ^ < > |",
            r"\textbackslash{} \textasciitilde{} \textasciicircum{} \textless{} \textgreater{} \textbar{}",
        ),
        ("0.1 ± 0.2 ≤ 3 — a → b…", r"0.1 $\pm$ 0.2 $\leq$ 3 --- a $\to$ b\ldots{}"),
        ("São Tomé, 東京", "São Tomé, ??"),
        ("[note]", "{[}note]"),
        ("two\nlines", "two lines"),
    ],
)
def test_latex_is_escaped(text: str, expected: str) -> None:
    assert tables.latex_escape(text) == expected


def test_markdown_is_escaped() -> None:
    table = Table(pd.DataFrame(), pd.DataFrame([["a|b *c*\nd", "1"]], columns=["x|y", "n"]), "A *title*", "label")
    assert table.to_markdown().splitlines()[0] == r"A \*title\*."
    assert r"| a\|b \*c\* d |" in table.to_markdown()
    assert r"x\|y" in table.to_markdown()


def test_a_long_table_breaks_across_pages() -> None:
    rows = [[str(number)] for number in range(60)]
    latex = Table(pd.DataFrame(), pd.DataFrame(rows, columns=["n"]), "Long", "my_table").to_latex()
    assert r"\begin{longtable}{l}" in latex
    assert latex.startswith("\\begingroup\n\\footnotesize\n")
    assert latex.endswith("\\endgroup\n")
    assert r"\label{tab:my-table}" in latex


def test_samplers_of_ones_own_keep_their_name() -> None:
    assert tables.sampler_label("typedbyclass") == "typed by class"
    assert tables.sampler_label("mine") == "mine"


def test_the_structure_of_data_sets_is_one_column_each(records: Records, tmp_path: Path) -> None:
    paths = []
    for name, entities, untyped in (("one", 1, 0.25), ("many", 12345, None)):
        path = tmp_path / f"{name}.json"
        write_json(path, {"dataset": name, "entities": entities, "triples_per_entity": 2.0, "untyped": untyped})
        paths.append(path)
    table = tables.structure_table(paths, grid=Grid(["many", "one"]))
    assert table.display.columns.tolist() == ["", "many", "one"]
    assert table.display.to_numpy().tolist() == [
        ["entities", "12,345", "1"],
        ["triples_per_entity", "2.000", "2.000"],
        ["untyped", "—", "0.250"],
    ]
    with pytest.raises(InputError, match=r"the description of a data set \(dataset third\)"):
        tables.structure_table(paths, grid=Grid(["third"]))
