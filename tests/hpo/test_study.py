"""A study: trials that are kept, the choice among them, and retraining."""

import dataclasses
import json
import os
import re
from collections.abc import Callable
from copy import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from negsamp.datasets import SchemaDataset, generate
from negsamp.errors import InputError, Killed
from negsamp.hpo import (
    Options,
    SearchOptions,
    Study,
    Tracking,
    Training,
    choose,
    retrain,
    run_trials,
    suggest,
    trial_seed,
)
from negsamp.hpo import study as module
from negsamp.hpo.training import Outcome
from negsamp.io import write_jsonl
from negsamp.pipeline import METRICS
from negsamp.records import read_all_trials

SPACE = {
    "margin": [1.0, 2.0],
    "learning_rate": {"low": 1e-3, "high": 1e-1, "log": True},
    "l2_weight": {"low": 1e-6, "high": 1e-2, "log": True},
}
OPTIONS = Options(epochs=1, embedding_dim=8)
STUDY = Study("nations", "TransE", "random", 2)
MRR = "inverse_harmonic_mean_rank"
COST = {"training_s": 1.5, "sampling_s": 0.1, "evaluation_s": 0.5, "peak_memory_mb": 100.0, "elapsed_s": 2.0}
RANKS = {"head": [1.0, 2.5], "tail": [3.0, 1.0]}


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Training]:
    """Train nothing, and remember what would have been trained; the second trial diverges."""
    trained: list[Training] = []

    def pretend(training: Training, threads: int) -> Outcome:
        trained.append(training)
        rate = training.parameters["learning_rate"]
        if training.random_seed == trial_seed(0, "nations", "TransE", 1):
            return Outcome(training.record(reason="diverged: of course"), COST, None)
        return Outcome(training.record("complete", metrics={MRR: rate}), COST, RANKS)

    monkeypatch.setattr(module, "run_isolated", pretend)
    return trained


@pytest.fixture
def run(nations: SchemaDataset, tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    """Run trials of one study, with changes by name."""

    def run(**changed: Any) -> list[dict[str, Any]]:
        arguments = {
            "dataset": nations,
            "study": STUDY,
            "trials": [0, 1, 2],
            "search": SearchOptions(SPACE),
            "options": OPTIONS,
            "pools": None,
            "threads": 1,
            "parts": tmp_path / "parts",
            "code": "abc",
        }
        records, costs = run_trials(**{**arguments, **changed})
        assert [cost["trial"] for cost in costs] == [record["trial"] for record in records]
        assert all(cost.keys() >= {*COST, "trial"} for cost in costs)
        return records

    return run


Run = Callable[..., list[dict[str, Any]]]


# Trials


def test_a_trial_has_its_parameters_and_its_seed(trained: list[Training], run: Run, nations: SchemaDataset) -> None:
    records = run()
    for trial, (record, training) in enumerate(zip(records, trained, strict=True)):
        assert record["trial"] == trial
        assert record["parameters"] == suggest(SPACE, 0, "nations", "TransE", trial)
        assert record["random_seed"] == trial_seed(0, "nations", "TransE", trial)
        assert (training.split, training.pools, training.options) == ("validation", None, OPTIONS)
        assert training.dataset is nations
    # the fields of a record, and no other
    assert [record.keys() for record in records] == 3 * [
        {
            *("dataset", "model", "sampler", "negatives", "trial", "state", "reason", "parameters", "random_seed"),
            *("metrics", "mrr_interval", "best_epoch", "evaluations", "slots", "inferred"),
            *("archive", "options", "ranked_triples", "triples_digest"),
        }
    ]


def test_records_are_in_the_order_of_the_trials(trained: list[Training], run: Run) -> None:
    forward = run()
    assert [record["trial"] for record in forward] == [0, 1, 2]
    assert run(trials=(2, 0, 1)) == [forward[2], forward[0], forward[1]]
    assert run(trials=iter([1])) == [forward[1]]
    assert run(trials=[]) == []
    assert len(trained) == 3


def test_trials_are_read_again_and_none_may_be_missing(trained: list[Training], run: Run, tmp_path: Path) -> None:
    first, second = tmp_path / "trials-0.jsonl", tmp_path / "trials-1.jsonl"
    # the pretended trainings know one metric
    records = [{**record, "metrics": record["metrics"] and dict.fromkeys(METRICS, 0.5)} for record in run()]
    write_jsonl(first, records[:2])
    write_jsonl(second, records[2:])
    assert read_all_trials([first, second]) == read_all_trials([first, second], planned=3) == records
    # a file that was cut off after a line
    write_jsonl(first, records[:1])
    assert len(read_all_trials([first, second])) == 2
    with pytest.raises(InputError, match=rf"^{re.escape(f'{first}, {second}')}: 2 trials, expected 3; delete"):
        read_all_trials([first, second], planned=3)


def test_a_finished_trial_is_not_trained_again(trained: list[Training], run: Run, tmp_path: Path) -> None:
    first = run(trials=[0, 1])
    kept = sorted((tmp_path / "parts").iterdir())
    assert len(kept) == len(trained) == 2
    # a trial that diverged is finished, too
    assert first[1]["state"] == "failed"
    assert run(trials=[0, 1]) == first
    assert len(trained) == 2
    # more trials add to those that are there
    more = run(trials=[0, 1, 2, 3])
    assert more[:2] == first
    assert len(trained) == 4
    assert set(kept) < set((tmp_path / "parts").iterdir())


def pools_file(folder: Path, content: str) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "pools.safetensors"
    path.write_text(content)
    return str(path)


def test_whatever_decides_the_result_makes_another_trial(
    trained: list[Training], run: Run, nations: SchemaDataset, typed_graph: SchemaDataset, tmp_path: Path
) -> None:
    other_report, other_triples, other_validation = copy(nations), copy(nations), copy(nations)
    other_report.report = {**nations.report, "archive": "sha256:0"}
    other_triples.training = nations.training.clone_and_exchange_triples(nations.training.mapped_triples[:-1])
    other_validation.validation = nations.testing
    one_schema, other_schema = copy(nations), copy(nations)
    one_schema.schema = typed_graph.schema
    other_schema.schema = generate(num_entities=60, num_relations=6, num_triples=400, depth=2, seed=1).schema
    pools = {"pools": pools_file(tmp_path, "one")}
    changes: list[dict[str, Any]] = [
        {},
        {"code": "abd"},
        {"threads": 2},
        {"search": SearchOptions(SPACE, seed=1)},
        {"search": SearchOptions({**SPACE, "margin": [3.0]})},
        {"search": SearchOptions(SPACE, sampler="qmc")},
        {"study": dataclasses.replace(STUDY, sampler="corrupt")},
        {"study": dataclasses.replace(STUDY, negatives=3)},
        *({"options": dataclasses.replace(OPTIONS, **change)} for change in ({"epochs": 2}, {"embedding_dim": 9})),
        {"options": dataclasses.replace(OPTIONS, sampling={"fallback": "random"})},
        {"options": dataclasses.replace(OPTIONS, sampling={"fallback": "semantic"})},
        {"options": dataclasses.replace(OPTIONS, max_evaluation_triples=10)},
        {"options": dataclasses.replace(OPTIONS, device="cuda")},
        {"options": dataclasses.replace(OPTIONS, loss="nssa")},
        {"options": dataclasses.replace(OPTIONS, early_stopping={"frequency": 1})},
        {"dataset": other_report},
        {"dataset": other_triples},
        {"dataset": other_validation},
        # with the same report
        {"dataset": one_schema},
        {"dataset": other_schema},
        pools,
    ]
    for number, change in enumerate(changes, start=1):
        run(trials=[0], **change)
        assert len(trained) == number, change
    for change in changes:
        run(trials=[0], **change)
    assert len(trained) == len(changes)
    # the file's content counts, its place does not
    run(trials=[0], pools=pools_file(tmp_path / "elsewhere", "one"))
    assert len(trained) == len(changes)
    pools_file(tmp_path, "two")
    run(trials=[0], **pools)
    assert len(trained) == len(changes) + 1
    assert trained[-1].pools == pools["pools"]


@pytest.mark.parametrize("name", ["versions", "resolve_device"])
def test_another_machine_makes_another_trial(
    name: str, trained: list[Training], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(trials=[0])
    monkeypatch.setattr(module, name, lambda *arguments: "another")
    run(trials=[0])
    assert len(trained) == 2


def test_a_gpu_is_left_to_the_trainings(trained: list[Training], run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    this = os.getpid()

    def look() -> bool:
        # CUDA cannot be used in a fork of a process that has asked for it
        assert os.getpid() != this
        return False

    monkeypatch.setattr(torch.cuda, "is_available", look)
    run(trials=[0])
    assert len(trained) == 1


def test_the_search_decides_on_the_settings(trained: list[Training], run: Run) -> None:
    records = run(search=SearchOptions(SPACE, sampler="qmc"))
    assert [record["parameters"] for record in records] == [
        suggest(SPACE, 0, "nations", "TransE", trial, "qmc") for trial in range(3)
    ]


def test_a_search_that_learns_takes_up_what_is_kept(trained: list[Training], run: Run, tmp_path: Path) -> None:
    search = SearchOptions(SPACE, sampler="tpe")
    first = run(trials=range(2), search=search)
    assert [record["state"] for record in first] == ["complete", "failed"]
    more = run(trials=range(14), search=search)
    assert more[:2] == first
    assert len(trained) == 14
    assert run(trials=range(14), search=search) == more
    assert run(trials=range(14), search=search, parts=tmp_path / "other") == more
    # the best setting is known to later trials: another result, another search
    assert len({record["parameters"]["learning_rate"] for record in more}) == 14


def test_a_search_that_learns_makes_nothing_of_a_killed_trial(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kills, settings = iter([True]), []

    def pretend(training: Training, threads: int) -> Outcome:
        settings.append(training.parameters)
        if next(kills, False):
            raise Killed("the training was killed by SIGKILL (out of memory?)")
        # the one that was killed would be the best
        is_first = training.random_seed == trial_seed(0, "nations", "TransE", 0)
        mrr = 0.9 if is_first else training.parameters["learning_rate"]
        return Outcome(training.record("complete", metrics={MRR: mrr}), COST, RANKS)

    monkeypatch.setattr(module, "run_isolated", pretend)
    search = SearchOptions(SPACE, sampler="tpe")
    with pytest.raises(Killed):
        run(trials=range(14), search=search)
    # it is run again, with its setting, and the search is the one that nothing has cut off
    again = run(trials=range(14), search=search)
    assert settings[0] == settings[1]
    assert again == run(trials=range(14), search=search, parts=tmp_path / "other")


def test_a_pruner_gives_up_trials(run: Run, tmp_path: Path) -> None:
    """Trainings of three epochs, looked at after each."""
    options = dataclasses.replace(
        OPTIONS, epochs=3, early_stopping={"frequency": 1, "patience": 3, "relative_delta": 0.0}
    )
    search = SearchOptions(SPACE, sampler="tpe", pruner="median")
    pruned = run(trials=range(9), search=search, options=options)
    states = [record["state"] for record in pruned]
    assert states[:5] == ["complete"] * 5
    assert "pruned" in states
    for record in pruned:
        epochs = [epoch for epoch, _ in record["evaluations"]]
        if record["state"] == "pruned":
            assert record["reason"] == f"pruned after epoch {epochs[-1]}"
            assert record["metrics"] is None
        else:
            assert epochs == [1, 2, 3]
    counts = {name: choose(pruned)[name] for name in ("trials", "failed", "pruned")}
    assert counts == {"trials": 9, "failed": 0, "pruned": states.count("pruned")}
    # from what was kept, and from nothing
    assert run(trials=range(9), search=search, options=options) == pruned
    assert run(trials=range(9), search=search, options=options, parts=tmp_path / "other") == pruned
    whole = run(trials=range(9), search=SearchOptions(SPACE, sampler="tpe"), options=options)
    assert {record["state"] for record in whole} == {"complete"}


def test_no_trial_starts_once_time_is_up(trained: list[Training], run: Run) -> None:
    # each takes 1.5 s of training and 0.5 s of evaluation
    assert len(run(trials=range(5), search=SearchOptions(SPACE, timeout=3.5))) == 2
    assert len(run(trials=range(5), search=SearchOptions(SPACE, timeout=4.0))) == 2
    # what is kept counts as it did when it ran, and one trial is always run
    assert len(run(trials=range(5), search=SearchOptions(SPACE, timeout=0.1))) == 1
    assert len(trained) == 2
    assert len(run(trials=range(5), search=SearchOptions(SPACE, timeout=100))) == 5


# Tracking


def test_each_training_has_its_own_trackers(trained: list[Training], run: Run, nations: SchemaDataset) -> None:
    tracking = Tracking(["csv", "wandb"], [{"path": "logs/{model}/{sampler}-{negatives}/{run}.csv"}, {"offline": True}])
    run(tracking=tracking)
    assert [training.tracking["result_tracker"] for training in trained] == 3 * [["csv", "wandb"]]
    assert [training.tracking["result_tracker_kwargs"] for training in trained] == [
        [{"path": f"logs/TransE/random-2/trial-{trial}.csv"}, {"offline": True}] for trial in range(3)
    ]
    assert [training.tracking["metadata"] for training in trained] == [
        {"title": f"nations/TransE/random/2/trial-{trial}"} for trial in range(3)
    ]
    # who is told decides no result
    assert len(run()) == 3
    assert len(trained) == 3
    retrain(nations, STUDY, run(), seed=4, options=OPTIONS, pools=None, threads=1, tracking=tracking)
    assert trained[-1].tracking["result_tracker_kwargs"][0] == {"path": "logs/TransE/random-2/seed-4.csv"}


def test_trackers_that_make_no_sense_are_refused() -> None:
    assert Tracking().of(STUDY, "trial-0") == {}
    with pytest.raises(InputError, match=r"path is 'a/\{trial\}'; a text may have \{dataset\}, \{model\}"):
        Tracking(["csv"], [{"path": "a/{trial}"}]).of(STUDY, "trial-0")
    with pytest.raises(InputError, match="no result tracker 'cvs'; it has console, csv, json"):
        Tracking(["cvs"], [{}]).of(STUDY, "trial-0")
    with pytest.raises(InputError, match="not as many entries as result_tracker"):
        Tracking(["csv"], []).of(STUDY, "trial-0")


def test_a_killed_trial_ends_the_job_and_is_run_again(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def kill_the_second(training: Training, threads: int) -> Outcome:
        calls.append(threads)
        if len(calls) == 2:
            raise Killed("the training was killed by SIGKILL (out of memory?)")
        return Outcome(training.record("complete", metrics={MRR: 0.5}), COST, RANKS)

    monkeypatch.setattr(module, "run_isolated", kill_the_second)
    with pytest.raises(Killed):
        run(threads=3)
    assert len(list((tmp_path / "parts").iterdir())) == 1
    assert [record["state"] for record in run(threads=3)] == 3 * ["complete"]
    assert calls == 4 * [3]


def test_an_error_keeps_the_trials_before_it(
    trained: list[Training], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend = module.run_isolated

    def fail(training: Training, threads: int) -> Outcome:
        if len(trained) == 2:
            raise RuntimeError("the training ended in an error")
        return pretend(training, threads)

    with monkeypatch.context() as patch:
        patch.setattr(module, "run_isolated", fail)
        with pytest.raises(RuntimeError, match="ended in an error"):
            run()
    assert len(run()) == 3
    assert len(trained) == 3


def test_trials_are_the_same_from_scratch(run: Run, tmp_path: Path) -> None:
    one = run(trials=[0, 1])
    two = run(trials=[0, 1], parts=tmp_path / "other")
    assert json.dumps(one) == json.dumps(two)
    assert [record["state"] for record in one] == ["complete", "complete"]
    assert one[0]["metrics"] != one[1]["metrics"]
    # and what is kept is what was found
    assert json.dumps(run(trials=[0, 1])) == json.dumps(one)


# The choice


def record(trial: int, mrr: float | None, reason: str | None = None) -> dict[str, Any]:
    return {
        **dataclasses.asdict(STUDY),
        "trial": trial,
        "state": "failed" if mrr is None else "complete",
        "reason": reason,
        "parameters": {"margin": 1.0, "learning_rate": 0.01 * (trial + 1), "l2_weight": None},
        "random_seed": 100 + trial,
        # the MRR decides, not another metric
        "metrics": None if mrr is None else {MRR: mrr, "hits_at_1": 1 - mrr},
        "slots": {"pool": trial},
        "archive": "sha256:1",
    }


def test_the_largest_mrr_is_chosen() -> None:
    records = [record(0, 0.2), record(1, 0.4), record(2, 0.3)]
    assert choose(records) == {**records[1], "trials": 3, "failed": 0, "pruned": 0}


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 2, 0]])
def test_a_tie_goes_to_the_earlier_trial(order: list[int]) -> None:
    records = [record(0, 0.2), record(1, 0.4), record(2, 0.4)]
    assert choose([records[i] for i in order])["trial"] == 1


def test_failures_are_counted_and_not_chosen() -> None:
    records = [record(0, None, "diverged: x"), record(1, 0.1), record(2, None, "out of memory: y"), record(3, 0.05)]
    assert choose(records) == {**records[1], "trials": 4, "failed": 2, "pruned": 0}


def test_nothing_is_chosen_where_no_trial_finished() -> None:
    reasons = ["diverged: x", "out of memory: y", "diverged: x"]
    best = choose([record(trial, None, reason) for trial, reason in enumerate(reasons)])
    assert best == {
        **dataclasses.asdict(STUDY),
        "state": "failed",
        "reason": "no trial finished: diverged: x; out of memory: y",
        "trial": None,
        "parameters": None,
        "random_seed": None,
        "metrics": None,
        "slots": None,
        "archive": "sha256:1",
        "trials": 3,
        "failed": 3,
        "pruned": 0,
    }


# Retraining


def retrained(nations: SchemaDataset, trials: list[dict[str, Any]], study: Study = STUDY, seed: int = 0) -> Outcome:
    return retrain(nations, study, trials, seed=seed, options=OPTIONS, pools=None, threads=1)


def test_a_failed_study_is_not_trained(nations: SchemaDataset, trained: list[Training]) -> None:
    trials = [record(0, None, "diverged: x")]
    found, cost, ranks = retrained(nations, trials, seed=5)
    assert trained == []
    assert (found["state"], found["trial"], found["parameters"], found["seed"]) == ("failed", None, {}, 5)
    assert found["random_seed"] == trial_seed(5, "nations", "TransE", "retrained")
    assert found["ranked_triples"] == nations.testing.num_triples
    assert found["reason"] == "no trial finished: diverged: x"
    assert cost == dict.fromkeys(COST)
    assert ranks is None


def test_the_chosen_setting_is_trained(nations: SchemaDataset, trained: list[Training]) -> None:
    trials = [record(0, 0.1), record(1, 0.4)]
    best = choose(trials)
    found, cost, ranks = retrained(nations, trials, seed=5)
    (training,) = trained
    assert training.split == "testing"
    assert training.parameters == best["parameters"]
    assert training.random_seed == trial_seed(5, "nations", "TransE", "retrained")
    assert (found["seed"], found["trial"], found["state"]) == (5, 1, "complete")
    # what the trial found is not what the retraining found
    assert found["metrics"] == {MRR: 0.02}
    assert found["random_seed"] == training.random_seed != best["random_seed"]
    assert cost == COST
    assert ranks == RANKS


def test_all_samplers_are_retrained_with_one_seed(nations: SchemaDataset) -> None:
    found = {"metrics": {MRR: 0.5}, "parameters": suggest(SPACE, 0, "nations", "TransE", 0)}
    best = [{"trial": 0, "state": "complete", **found}]
    studies = [dataclasses.replace(STUDY, sampler=sampler) for sampler in ("random", "corrupt")]
    one, two = (retrained(nations, best, study)[0] for study in studies)
    assert one["random_seed"] == two["random_seed"] == 1496256096
    assert one["metrics"] != two["metrics"]
    assert json.dumps(retrained(nations, best, studies[1])[0]) == json.dumps(two)
    again = retrained(nations, best, studies[0], seed=1)[0]
    assert again["random_seed"] != one["random_seed"]
    assert again["metrics"] != one["metrics"]


@pytest.mark.parametrize("damage", [lambda text: text[: len(text) // 2], lambda text: "[1, 2]", lambda text: "[]"])
def test_a_kept_trial_that_is_damaged_is_trained_again(
    trained: list[Training], run: Run, tmp_path: Path, damage: Callable[[str], str], caplog: pytest.LogCaptureFixture
) -> None:
    first = run(trials=[0])
    (part,) = (tmp_path / "parts").iterdir()
    whole = part.read_text()
    part.write_text(damage(whole))
    assert run(trials=[0]) == first
    assert len(trained) == 2
    assert f"{part}: " in caplog.text
    assert part.read_text() == whole
