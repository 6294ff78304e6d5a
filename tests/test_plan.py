"""What an experiment will take: what a dry run prints is counted, and a few batches are timed."""

import copy
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from negsamp import plan as plan_module
from negsamp.cli import main
from negsamp.errors import InputError
from negsamp.plan import Plan, measure_hours, plan_jobs, read_config, read_dry_run

ROOT = Path(__file__).parents[1]

DRY_RUN = """
Job stats:
job           count
----------  -------
run_trials        2

[Mon Nov 23 05:29:36 2026]
rule run_trials:
    output: results/a/trials-0.jsonl
    wildcards: dataset=nations, model=TransE, sampler=corrupt, negatives=10, chunk=0
    resources: tmpdir=/tmp, mem_mb=8000, trainings=20
[Mon Nov 23 05:29:36 2026]
rule run_trials:
    wildcards: dataset=nations, model=TransE, sampler=random, negatives=10, chunk=0
    resources: tmpdir=/tmp, trainings=5, mem_mb=8000

rule retrain:
    wildcards: dataset=nations, model=TransE, sampler=lcwa, negatives=0, seed=3
    resources: tmpdir=/tmp, trainings=1

rule pools:
    resources: tmpdir=/tmp
localrule all:
    jobid: 0
"""


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_jobs_and_trainings_are_counted() -> None:
    plan = read_dry_run(DRY_RUN)
    assert plan.jobs == {"run_trials": 2, "retrain": 1, "pools": 1, "all": 1}
    assert plan.trainings == {
        ("nations", "TransE", 10, "slcwa"): 25,
        ("nations", "TransE", 0, "lcwa"): 1,
    }


def overlay(folder: Path, **changes: Any) -> Path:
    path = folder / "overlay.yaml"
    path.write_text(yaml.safe_dump({"name": "plan-of-a-test", "datasets": ["nations"], **changes}), encoding="utf-8")
    return path


def test_a_plan_is_what_snakemake_would_run(tmp_path: Path) -> None:
    grid = {"models": ["TransE", "DistMult"], "samplers": ["basic", "corrupt"], "negatives": [1, 4], "seeds": [0, 1, 2]}
    path = overlay(tmp_path, **grid, hpo={"trials": 5, "trials_per_job": 2}, reference={"models": ["DistMult"]})
    plan = plan_jobs(path)
    assert plan.jobs["run_trials"] == 3 * (2 * 2 * 2 + 1)
    assert plan.jobs["retrain"] == 3 * (2 * 2 * 2 + 1)
    assert plan.trainings == {
        **{("nations", model, n, "slcwa"): 2 * (5 + 3) for model in grid["models"] for n in (1, 4)},
        ("nations", "DistMult", 0, "symmetriclcwa"): 5 + 3,
    }


def test_hours_grow_with_what_is_asked() -> None:
    config = read_config(ROOT / "config.yaml")
    more = copy.deepcopy(config)
    more["training"]["epochs"] *= 1000
    plan = Plan(
        {}, {("nations", "TransE", 1, "slcwa"): 10, ("nations", "TransE", 9, "slcwa"): 1, ("mine", "", 1, ""): 1}
    )
    found, longer = measure_hours(plan, config), measure_hours(plan, more)
    # a graph that is not registered has no sizes before it is read
    reading = "snakemake --cores 1 --configfile … --until prepare_dataset"
    assert found.missing[-1] == f"mine: sizes are known once it is read: {reading}"
    assert all(longer.hours[name] > 10 * found.hours[name] > 0 for name in found.hours)
    of_wn18 = measure_hours(Plan({}, {("wn18", "TransE", 1, "slcwa"): 1, ("wn18", "TransE", 0, "lcwa"): 1}), config)
    assert of_wn18.hours["wn18"] > 0
    assert of_wn18.missing == []


def test_a_measurement_that_is_killed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    real = plan_module._seconds

    def seconds(config: Any, counts: Any, model: str, *arguments: Any) -> float:
        if model == "DistMult":
            os.kill(os.getpid(), signal.SIGKILL)
        return real(config, counts, model, *arguments)

    monkeypatch.setattr(plan_module, "_seconds", seconds)
    plan = Plan({}, {("wn18", model, 1, "slcwa"): 1 for model in ("DistMult", "TransE")})
    found = measure_hours(plan, read_config(ROOT / "config.yaml"))
    assert found.missing == ["wn18, slcwa: measuring DistMult was killed by SIGKILL (out of memory?)"]
    assert found.hours["wn18"] > 0


def test_the_command_prints_a_plan(tmp_path: Path) -> None:
    path = overlay(tmp_path, samplers=["basic"], negatives=[1], seeds=[0], reference={"training_loop": None})
    result = CliRunner().invoke(main, ["plan", str(path), "--cores", "2"])
    assert result.exit_code == 0, result.output
    assert "trainings: 3" in result.output
    result = CliRunner().invoke(main, ["plan", str(path), "--json"])
    assert '"trainings": 3' in result.output


def test_what_snakemake_refuses_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"overlay\.yaml: Snakemake refuses it: .*TransX"):
        plan_jobs(overlay(tmp_path, models=["TransX"]))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="no Snakefile here"):
        plan_jobs(overlay(tmp_path))
