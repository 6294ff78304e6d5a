"""The benchmark programs run, and find what is true by construction."""

import json
import runpy
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
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


def report_of(folder: Path, name: str) -> dict[str, Any]:
    """Read a report all of whose files are there."""
    assert {path.name for path in folder.iterdir()} == {f"{name}.{suffix}" for suffix in ("json", "csv", "md", "png")}
    content = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    records = pd.read_csv(folder / f"{name}.csv")
    assert len(records) == len(content["records"])
    assert list(records) == list(pd.DataFrame(content["records"], columns=list(records)))
    about = content["about"]
    assert (about["command"], about["threads"], about["clock"]) == ("main", 1, "processor")
    assert about["versions"].keys() == {"python", "negsamp", "pykeen", "torch", "torchkge"}
    assert about["processor"]
    assert about["cores"] >= 1
    assert not {"output", "mirror"} & about["options"].keys()
    assert (folder / f"{name}.md").read_text(encoding="utf-8").count("\n|") >= 3
    return content


def samplers(*names: str) -> list[str]:
    return [argument for name in names for argument in ("--sampler", name)]


def test_throughputs_are_ratios_of_one_run(tmp_path: Path) -> None:
    names = ["basic+bloom", "corrupt", "given", "loop", "torchkge", "limit"]
    run(
        "throughput.py",
        *("--dataset", "nations", *samplers(*names), "--negatives", "1", "--negatives", "3"),
        *("--batch-size", "100", "--batches", "2", "--repeats", "2", "--output", str(tmp_path)),
    )
    content = report_of(tmp_path, "throughput")
    rows = pd.DataFrame(content["records"])
    assert set(rows["contender"]) == {"basic", *names}
    assert len(rows) == 7 * 2 * 2
    assert (rows["slots"] == 200 * rows["negatives"]).all()
    assert (rows["seconds"] > 0).all()
    assert (rows["valid"] <= rows["slots"]).all()
    for row in content["summary"]:
        assert row["times"].keys() == {"basic", "basic+bloom", "loop", "limit"}
        own = row["times"].get(row["contender"])
        assert own is None or own == {"median": 1, "q25": 1, "q75": 1}
        assert 0 < row["valid"] <= 1
    assert {row["valid"] for row in content["summary"] if row["contender"] in ("basic", "limit")} == {1}


def test_epochs_tell_the_share_of_sampling(tmp_path: Path) -> None:
    run(
        "epoch.py",
        *("--dataset", "nations", *samplers("random", "loop"), "--embedding-dim", "4", "--negatives", "3"),
        *("--repeats", "2", "--output", str(tmp_path)),
    )
    content = report_of(tmp_path, "epoch")
    rows = pd.DataFrame(content["records"])
    assert set(rows["contender"]) == {"basic", "random", "loop"}
    assert sorted(rows["epoch"]) == [1, 1, 1, 2, 2, 2]
    assert (rows["sampling_seconds"] > 0).all()
    assert (rows["sampling_seconds"] < rows["seconds"]).all()
    assert content["summary"][0]["times"]["basic"]["median"] == 1


def test_builds_tell_seconds_and_memory(tmp_path: Path) -> None:
    run("build.py", "--dataset", "nations", *samplers("corrupt"), "--repeats", "1", "--output", str(tmp_path))
    (row,) = report_of(tmp_path, "build")["records"]
    assert row["contender"] == "corrupt"
    assert min(row["build_seconds"], row["statistics_seconds"], row["tensors_mb"], row["loaded_mb"]) > 0
    assert row["loaded_mb"] <= row["resident_mb"] <= row["peak_mb"]


def test_scaling_builds_stores_and_opens(tmp_path: Path) -> None:
    run(
        "scaling.py",
        *("--triples", "400", "--crossed", "0", *samplers("corrupt"), "--workers", "1", "--repeats", "2"),
        *("--output", str(tmp_path)),
    )
    content = report_of(tmp_path, "scaling")
    (row,) = content["records"]
    assert (row["sampler"], row["triples"], row["relations"]) == ("corrupt", 400, 822)
    assert len(row["per_second"]) == len(row["basic_per_second"]) == 2
    assert len(row["open_seconds"]) == len(row["private_mb"]) == row["workers"] == 1
    measured = ("build_seconds", "loaded_mb", "resident_mb", "peak_mb", "tensors_mb", "file_mb")
    assert min(row[key] for key in measured) > 0
    assert {name: set(numbers) for name, numbers in content["fits"]["build_seconds"].items()} == {
        "corrupt": {"triple", "entity", "relation", "anyway", "error"}
    }


def test_the_parts_of_a_trial_are_measured(tmp_path: Path) -> None:
    run(
        "trial.py",
        *("--dataset", "nations", "--embedding-dim", "8", "--model", "TransE", "--model", "RESCAL", "--epochs", "1"),
        *("--output", str(tmp_path)),
    )
    rows = pd.read_csv(tmp_path / "trial.csv")
    assert rows["model"].tolist() == ["TransE", "RESCAL"]
    assert (rows.drop(columns="model") > 0).all(axis=None)
    assert "RESCAL" in (tmp_path / "trial.md").read_text(encoding="utf-8")


def test_both_evaluators_rank_alike(tmp_path: Path) -> None:
    run("ranking.py", "--dataset", "nations", "--embedding-dim", "8", "--output", str(tmp_path))
    rows = pd.read_csv(tmp_path / "ranking.csv")
    assert rows["model"].tolist() == ["TransE, L1", "TransE, L2", "DistMult"]
    assert (rows["largest difference"] < 1e-4).all()
    assert "DistMult" in (tmp_path / "ranking.md").read_text(encoding="utf-8")


def test_pretraining_is_measured_epoch_by_epoch(tmp_path: Path) -> None:
    run(
        "pretraining.py",
        *("--dataset", "nations", "--embedding-dim", "8", "--als", "2", "--lcwa", "2", "--slcwa", "1"),
        *("--output", str(tmp_path)),
    )
    rows = pd.read_csv(tmp_path / "pretraining.csv")
    assert rows["training loop"].tolist() == ["als", "als", "lcwa", "lcwa", "slcwa"]
    assert rows["epoch"].tolist() == [1, 2, 1, 2, 1]
    assert rows["validation MRR"].between(0, 1).all()
    assert "slcwa" in (tmp_path / "pretraining.md").read_text(encoding="utf-8")


def test_advice_is_compared_with_the_tables_of_experiments(tmp_path: Path) -> None:
    mrr = "inverse_harmonic_mean_rank_mean"
    for number, name in enumerate(("nations", "umls", "kinships", "synthetic")):
        folder = tmp_path / f"experiment-{name}" / "tables" / "link_prediction"
        folder.mkdir(parents=True)
        table = [
            {
                "dataset": name,
                "model": model,
                "sampler": sampler,
                "negatives": negatives,
                "state": state,
                "inferred": False,
                mrr: value,
            }
            for model in ("TransE", "DistMult")
            for negatives, scale in ((1, 1.0), (4, 2.0))
            for sampler, state, value in (
                ("random", "complete", 0.2 * scale),
                ("corrupt", "complete", 0.2 * scale * (1 - 0.1 * number * scale)),
                ("relational", "failed" if negatives == 4 else "complete", None if negatives == 4 else 0.1),
                ("basic", "complete", 0.3),
                ("typed", "not applicable", None),
            )
        ]
        pd.DataFrame(table).to_csv(folder / f"{name}.csv", index=False)
    folders = ("--experiments", str(tmp_path), "--output", str(tmp_path / "output"))
    run("advice.py", *folders, "--evidence", str(tmp_path / "real.csv"))
    evidence = pd.read_csv(tmp_path / "real.csv")
    assert len(evidence) == 4 * 2
    assert set(evidence["sampler"]) == {"corrupt"}
    # a tenth and two tenths lower, and so on
    gains = evidence.drop_duplicates("group").set_index("group")["gain"]
    assert gains.to_dict() == pytest.approx({"nations": 0, "umls": -0.15, "kinships": -0.3, "synthetic": -0.45})
    assert evidence["pool_share"].notna().all()
    compared = pd.read_csv(tmp_path / "output/advice.csv")
    assert len(compared) == 8
    assert (compared["low"] < compared["predicted"]).all()
    assert (tmp_path / "output/advice.md").read_text(encoding="utf-8").count("\n| ") == 6
    assert (tmp_path / "output/advice.png").stat().st_size > 0
