"""The benchmark programs run, and find what is true by construction."""

import runpy
from pathlib import Path

import pandas as pd
from click.testing import CliRunner

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def run(program: str, *arguments: str) -> None:
    main = runpy.run_path(str(BENCHMARKS / program))["main"]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output


def test_false_negatives_come_from_samplers_that_do_not_filter(tmp_path: Path) -> None:
    run(
        "false_negatives.py",
        *("--dataset", "nations", "--output", str(tmp_path), "--models", str(tmp_path / "models")),
        *("--threads", "1"),
    )
    rows = pd.read_csv(tmp_path / "false-negatives.csv")
    filtered = rows["filtered"].astype(bool)
    assert filtered.any()
    assert (rows.loc[filtered, "training"] == 0).all()
    assert (rows.loc[~filtered, "training"] > 0).all()
    assert "nations" in (tmp_path / "false-negatives.md").read_text(encoding="utf-8")
