from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from negsamp.io import write_json
from negsamp.results import Grid, checks_table, first_experiments_table
from negsamp.significance import UNDECIDED

if TYPE_CHECKING:
    from conftest import Records

GRID = Grid(
    datasets=["wn18", "db50k"],
    models=["TransE"],
    samplers=["basic", "random", "corrupt", "typed", "adversarial"],
    negatives=[10, 1],
    seeds=[0],
    not_applicable=[["wn18", "typed"]],
)


def test_first_experiments_are_answered(records: Records) -> None:
    ranks = {"basic": 2.0, "random": 2.0, "corrupt": 1.0, "typed": 4.0, "adversarial": 4.0}
    files = [
        records.ranks(dataset, sampler=sampler, ranks=[rank] * 40)
        for dataset in GRID.datasets
        for sampler, rank in ranks.items()
        if (dataset, sampler) not in [("db50k", "adversarial"), ("wn18", "typed")]
    ]
    files.append(records.ranks("db50k", sampler="adversarial", ranks=[]))
    statistics = [records.statistics("db50k", sampler, {size: 1}) for sampler, size in [("typed", 40), ("random", 900)]]
    table = first_experiments_table(statistics, files, [records.auxiliary("wn18", 0.125)], grid=GRID)
    rows = table.raw.set_index(["dataset", "question"])
    verdicts = rows["verdict"]
    assert verdicts["wn18", "are typed pools smaller than random's?"] == UNDECIDED
    assert verdicts["db50k", "are typed pools smaller than random's?"] == "yes"
    assert rows.loc[("db50k", "are typed pools smaller than random's?"), "evidence"] == "mean pool 40.0, random's 900.0"
    assert verdicts["db50k", "TransE: is typed better than random, 1 negative?"] == "worse"
    assert verdicts["wn18", "TransE: is corrupt better than basic, 1 negative?"] == "better"
    asked = "TransE: is adversarial better than random, 1 negative?"
    assert verdicts["wn18", asked] == "worse"
    assert "test MRR -0.250 [-0.250, -0.250]" in rows.loc[("wn18", asked), "evidence"]
    assert rows.loc[("wn18", asked), "evidence"].endswith("the auxiliary model's validation MRR is 0.125")
    # a retraining that failed decides nothing
    assert verdicts["db50k", "is adversarial better than random?"] == UNDECIDED


def test_what_was_not_run_is_not_decided() -> None:
    table = first_experiments_table([], [], [], grid=replace(GRID, samplers=["random"], not_applicable=[]))
    assert set(table.raw["verdict"]) == {UNDECIDED}
    assert len(table.raw) == 8


def test_checks_are_listed_by_data_set(tmp_path: Path) -> None:
    for dataset in ("b", "a"):
        row = {"dataset": dataset, "check": "something", "verdict": "passes", "evidence": "seen"}
        write_json(tmp_path / f"{dataset}.json", [row, {**row, "check": "else"}])
    table = checks_table([tmp_path / "b.json", tmp_path / "a.json"])
    assert table.raw["dataset"].tolist() == ["a", "a", "b", "b"]
    assert table.raw["question"].tolist() == ["something", "else"] * 2
    assert "| a " in table.to_markdown()
