"""Optuna's files: a search that learns goes on where it was cut off, and what was found can be opened."""

import errno
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from negsamp.errors import InputError
from negsamp.hpo import SearchOptions, SequentialStudy, Study, suggest, write_studies

SPACE = {
    "margin": [1.0, 2.0, 5.0],
    "learning_rate": {"low": 1e-4, "high": 1e-1, "log": True},
    "l2_weight": {"low": 1e-6, "high": 1e-2, "log": True},
}
STUDY = Study("nations", "TransE", "corrupt", 3)
MRR = "inverse_harmonic_mean_rank"
TRIALS = 40


def outcome(parameters: dict[str, Any]) -> dict[str, Any]:
    """Say that a training does best at a learning rate of 0.01, and diverges above 0.05."""
    if parameters["learning_rate"] > 0.05:
        return {"state": "failed", "metrics": None, "evaluations": []}
    mrr = 1 - abs(parameters["learning_rate"] - 0.01)
    return {"state": "complete", "metrics": {MRR: mrr}, "evaluations": []}


def search(journal: Path, trials: Iterable[int] = range(TRIALS), study: Study = STUDY) -> list[dict[str, Any]]:
    """Search, in a process that knows the journal alone."""
    sequential = SequentialStudy(journal, study, SearchOptions(SPACE))
    found = []
    for trial in trials:
        found.append(dict(sequential.ask(trial)))
        sequential.tell(trial, outcome(found[-1]))
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """A search without interruption."""
    return search(tmp_path_factory.mktemp("whole") / "a.journal")


def test_a_search_learns(whole: list[dict[str, Any]]) -> None:
    def near(trials: list[dict[str, Any]]) -> float:
        return sum(abs(trial["learning_rate"] - 0.01) < 0.005 for trial in trials) / len(trials)

    # the first ten are random
    assert near(whole[10:]) > 2 * near([suggest(SPACE, 0, "nations", "TransE", trial) for trial in range(100)])
    # what diverges is left alone: a tenth of the range
    assert sum(trial["learning_rate"] > 0.05 for trial in whole[10:]) <= 1


def test_the_first_trials_are_the_same_for_all_samplers(whole: list[dict[str, Any]], tmp_path: Path) -> None:
    other = search(tmp_path / "b.journal", range(10), Study("nations", "TransE", "random", 1))
    assert other == whole[:10]


@pytest.mark.parametrize("cut", [0, 3, 12, 24])
def test_a_search_that_was_cut_off_goes_on(cut: int, whole: list[dict[str, Any]], tmp_path: Path) -> None:
    journal = tmp_path / "a.journal"
    search(journal, range(cut))
    # one more was asked for, and its process was killed
    killed = SequentialStudy(journal, STUDY, SearchOptions(SPACE)).ask(cut)
    assert killed == whole[cut]
    assert search(journal) == whole
    # what is finished stays as it was
    SequentialStudy(journal, STUDY, SearchOptions(SPACE)).tell(
        0, {"state": "failed", "metrics": None, "evaluations": []}
    )
    assert search(journal) == whole


def test_the_median_pruner_gives_up_what_falls_behind(tmp_path: Path) -> None:
    def open_again(pruner: Literal["median"] | None = "median") -> SequentialStudy:
        return SequentialStudy(tmp_path / "a.journal", STUDY, SearchOptions(SPACE, sampler="tpe", pruner=pruner))

    for trial, last in enumerate([0.1, 0.3, 0.5, 0.7, 0.9]):
        # the first five are not judged
        assert not open_again().should_prune([(1, 0.0)])
        open_again().ask(trial)
        evaluations = [[1, 0.0], [2, last]]
        open_again().tell(trial, {"state": "complete", "metrics": {MRR: last}, "evaluations": evaluations})
    open_again().ask(5)
    assert not open_again().should_prune([(1, 0.0)])
    assert open_again().should_prune([(1, 0.0), (2, 0.49)])
    assert not open_again().should_prune([(1, 0.0), (2, 0.51)])
    assert not open_again(None).should_prune([(1, 0.0), (2, 0.49)])
    # nobody was told yet
    assert open_again().ask(5) == open_again().ask(5)
    open_again().tell(5, {"state": "pruned", "metrics": None, "evaluations": [[1, 0.0], [2, 0.49]]})
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "a.journal")))
    study = optuna.load_study(study_name="nations/TransE/corrupt/3", storage=storage)
    assert [trial.state.name for trial in study.trials] == [*["COMPLETE"] * 5, "PRUNED"]
    assert study.trials[5].value == 0.49


def record(trial: int, study: Study, mrr: float | None, **parameters: Any) -> dict[str, Any]:
    suggested = suggest(SPACE, 0, study.dataset, study.model, trial)
    return {
        **vars(study),
        "trial": trial,
        "parameters": {**suggested, **parameters},
        "random_seed": trial,
        "state": "failed" if mrr is None else "complete",
        "reason": "diverged" if mrr is None else None,
        "metrics": None if mrr is None else {MRR: mrr, "hits_at_1": 0.1},
        "best_epoch": None,
        "evaluations": [] if mrr is None else [[5, mrr / 2], [10, mrr]],
    }


def test_what_was_found_can_be_opened(tmp_path: Path) -> None:
    other = Study("nations", "TransR", "basic", 1)
    records = [
        *[record(trial, STUDY, mrr) for trial, mrr in enumerate([0.2, None, 0.4, 0.3])],
        {**record(4, STUDY, 0.1), "state": "pruned", "metrics": None, "reason": "pruned after epoch 10"},
        # a model without regularizer has no such parameter
        record(0, other, 0.5, l2_weight=None),
    ]
    path = tmp_path / "nations.journal"
    write_studies(path, records, SPACE)
    assert [file.name for file in tmp_path.iterdir()] == ["nations.journal"]
    storage = JournalStorage(JournalFileBackend(str(path)))
    assert set(optuna.get_all_study_names(storage)) == {"nations/TransE/corrupt/3", "nations/TransR/basic/1"}
    study = optuna.load_study(study_name="nations/TransE/corrupt/3", storage=storage)
    assert (study.best_value, study.best_trial.user_attrs["trial"]) == (0.4, 2)
    assert study.best_params == records[2]["parameters"]
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE", "PRUNED"]
    assert study.trials[1].user_attrs["reason"] == "diverged"
    assert study.trials[2].intermediate_values == {5: 0.2, 10: 0.4}
    assert study.trials[4].value == 0.1
    importances = optuna.importance.get_param_importances(study)
    assert importances.keys() == SPACE.keys()
    (trial,) = optuna.load_study(study_name="nations/TransR/basic/1", storage=storage).trials
    assert trial.params.keys() == {"margin", "learning_rate"}


def test_optuna_logs_as_before(tmp_path: Path) -> None:
    before = optuna.logging.get_verbosity()
    write_studies(tmp_path / "a.journal", [record(0, STUDY, 0.2)], SPACE)
    suggest(SPACE, 0, "nations", "TransE", 0, "qmc")
    assert optuna.logging.get_verbosity() == before


@pytest.mark.parametrize("kept", [-1, -10, -250, -500, 30])
def test_a_line_that_was_cut_off_does_not_end_a_search(kept: int, tmp_path: Path) -> None:
    journal = tmp_path / "search.journal"
    first = SequentialStudy(journal, STUDY, SearchOptions(SPACE)).ask(0)
    journal.write_bytes(journal.read_bytes()[:kept])
    # what is written after it can be read again
    assert SequentialStudy(journal, STUDY, SearchOptions(SPACE)).ask(0) == first
    assert SequentialStudy(journal, STUDY, SearchOptions(SPACE)).ask(0) == first


@pytest.mark.parametrize("content", ["no JSON", "no JSON\n", "[]\n", '{"op_code": 99}\n', '{"op_code": 6}\n'])
def test_what_is_no_journal_is_named(content: str, tmp_path: Path) -> None:
    journal = tmp_path / "search.journal"
    journal.write_text(content)
    with pytest.raises(InputError, match=r"search\.journal.*; .*delete"):
        SequentialStudy(journal, STUDY, SearchOptions(SPACE))
    assert journal.read_text() == content


def test_no_room_for_a_journal_is_told_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.journal"
    sequential = SequentialStudy(path, STUDY, SearchOptions(SPACE))

    def fail(*args: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    for act in (
        lambda: sequential.ask(0),
        lambda: SequentialStudy(tmp_path / "b.journal", STUDY, SearchOptions(SPACE)),
    ):
        with pytest.raises(InputError, match=r"journal: cannot be written \(No space left on device\); make room"):
            act()
