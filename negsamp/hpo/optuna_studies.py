"""Optuna's study files: the memory of a search that learns, and what its dashboard opens."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.pruners import BasePruner, MedianPruner, NopPruner
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from negsamp.choice import OBJECTIVE
from negsamp.errors import InputError
from negsamp.hpo.space import SearchOptions, Space, distributions_of, quiet_optuna, sampler_of
from negsamp.hpo.training import Study
from negsamp.io import atomic_path, read_jsonl, told_as_unwritable

__all__ = ["SequentialStudy", "write_studies"]

_STATES = {"complete": TrialState.COMPLETE, "failed": TrialState.FAIL, "pruned": TrialState.PRUNED}


#: two operations, as Optuna numbers them in a journal
_CREATE_TRIAL, _SET_PARAMETER = 4, 5
#: trials that are finished are kept beside it, and not trained again
_REMEDY = "delete it and run its job again"


class SequentialStudy:
    """A search whose next setting depends on the results before, kept in a journal file so that it can be taken up.

    A trial that was asked for and not told of, since the process was killed, is asked for again.
    """

    def __init__(self, journal: Path, study: Study, search: SearchOptions) -> None:
        """Open a study, or begin it.

        :param journal: its file
        :param study: what is searched for
        :param search: the space, the seed, and the pruner
        """
        self._of, self._seed, self._journal = study, search.seed, journal
        self._distributions = distributions_of(search.space)
        pruner = MedianPruner() if search.pruner == "median" else NopPruner()
        try:
            with told_as_unwritable(journal), quiet_optuna():
                journal.parent.mkdir(parents=True, exist_ok=True)
                _drop_what_is_torn(journal, len(self._distributions))
                self._study = _open(journal, study, pruner)
                asked = [trial.params.keys() for trial in self._study.get_trials(deepcopy=False)]
        except InputError:
            raise
        except Exception as error:  # Optuna replays what it finds, and fails in as many ways as there are operations
            raise InputError(
                f"{journal}: no journal of a search ({type(error).__name__}: {error}); {_REMEDY}"
            ) from error
        if any(names != self._distributions.keys() for names in asked):
            raise InputError(f"{journal}: its trials have other parameters than the search space; {_REMEDY}")

    def ask(self, trial: int) -> Mapping[str, Any]:
        """Return the parameters of a trial.

        :param trial: its number; all before it have been told of
        """
        trials = self._study.get_trials(deepcopy=False)
        if trial < len(trials):
            return dict(trials[trial].params)
        with told_as_unwritable(self._journal), quiet_optuna():
            self._study.sampler = sampler_of("tpe", self._seed, self._of.dataset, self._of.model, trial)
            return dict(self._study.ask(self._distributions).params)

    def should_prune(self, evaluations: Iterable[tuple[int, float]]) -> bool:
        """Tell whether to give up a trial, as far behind as it is; nothing is written, and any process may ask.

        :param evaluations: epochs and their validation MRR up to now
        """
        trial = optuna.trial.create_trial(state=TrialState.RUNNING, intermediate_values=dict(evaluations))
        return self._study.pruner.prune(self._study, trial)

    def tell(self, trial: int, record: Mapping[str, Any]) -> None:
        """Say what came of a trial; one that is known already stays as it was.

        One that failed counts as the worst there is: Optuna would forget it, and suggest what diverges again and again.
        """
        known = self._study.get_trials(deepcopy=False)[trial]
        if known.state.is_finished():
            return
        # an earlier process may have asked for it
        asked = optuna.Trial(self._study, known._trial_id)
        with told_as_unwritable(self._journal):
            for epoch, mrr in record["evaluations"]:
                if epoch not in known.intermediate_values:
                    asked.report(mrr, epoch)
            if record["state"] == "pruned":
                self._study.tell(trial, state=TrialState.PRUNED)
            else:
                self._study.tell(trial, record["metrics"][OBJECTIVE] if record["state"] == "complete" else 0.0)


def _drop_what_is_torn(journal: Path, num_parameters: int) -> None:
    """Take away what a killed process had begun to write: half a line, or a trial without all of its parameters.

    Optuna would go on in the middle of that line; and the trial is asked for again, with the same parameters.

    :raises InputError: if another line is no JSON, which Optuna would meet only later
    """
    if not journal.exists():
        return
    content = journal.read_bytes()
    end = content.rfind(b"\n") + 1
    # what does not begin as a line does is none of a journal's, and is left for the error below
    if content[end:].startswith(b"{"):
        os.truncate(journal, end)
    codes = [line.get("op_code") if isinstance(line, dict) else None for line in read_jsonl(journal)]
    if _CREATE_TRIAL in codes:
        later = codes[::-1].index(_CREATE_TRIAL)
        if codes[len(codes) - later :].count(_SET_PARAMETER) < num_parameters:
            lines = content[:end].splitlines(keepends=True)
            os.truncate(journal, sum(map(len, lines[: len(lines) - later - 1])))


def write_studies(path: str | os.PathLike[str], records: Iterable[Mapping[str, Any]], space: Space) -> None:
    """Write trials to one journal file, a study for each, as ``optuna-dashboard`` and Optuna's plots read it.

    :param path: the file
    :param records: trials of one study or several
    :param space: see :func:`negsamp.hpo.suggest`

    :raises InputError: if a trial's parameters are not of the space
    """
    studies: dict[Study, list[FrozenTrial]] = {}
    for record in records:
        study = Study(record["dataset"], record["model"], record["sampler"], record["negatives"])
        try:
            trial = _frozen(record, space)
        except (KeyError, ValueError) as error:
            raise InputError(
                f"trial {record['trial']} of {study}: not of this search space ({error}); delete its file and run its "
                "job again"
            ) from error
        studies.setdefault(study, []).append(trial)
    with quiet_optuna(), atomic_path(path) as temporary:
        for study, trials in studies.items():
            _open(temporary, study).add_trials(trials)


def _open(journal: Path, study: Study, pruner: BasePruner | None = None) -> optuna.Study:
    return optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(journal))),
        study_name=f"{study.dataset}/{study.model}/{study.sampler}/{study.negatives}",
        direction="maximize",
        pruner=pruner,
        load_if_exists=True,
    )


def _frozen(record: Mapping[str, Any], space: Space) -> FrozenTrial:
    # a model that takes no regularizer, or a loss without margin, has no such parameter
    parameters = {name: value for name, value in record["parameters"].items() if value is not None}
    distributions = distributions_of(space)
    # Optuna, too, takes a pruned trial for what it was worth when it was given up
    last = record["evaluations"][-1][1] if record["state"] == "pruned" else None
    return optuna.trial.create_trial(
        state=_STATES[record["state"]],
        value=record["metrics"][OBJECTIVE] if record["metrics"] else last,
        intermediate_values=dict(record["evaluations"]),
        params=parameters,
        distributions={name: distributions[name] for name in parameters},
        user_attrs={name: record[name] for name in ("trial", "random_seed", "reason", "metrics", "best_epoch")},
    )
