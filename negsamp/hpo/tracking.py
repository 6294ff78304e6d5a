"""Who is told of the trainings: PyKEEN's result trackers."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pykeen.trackers import JSONResultTracker, tracker_resolver

from negsamp.errors import InputError
from negsamp.hpo.training import Study

__all__ = ["Tracking"]


class TolerantJSONResultTracker(JSONResultTracker):
    """PyKEEN's own fails on the pipeline's parameters that are objects, such as the loss; here their class is named."""

    def _write(self, obj: object) -> None:
        self.file.write(json.dumps(obj, default=lambda value: type(value).__name__) + "\n")
        self.file.flush()


@dataclass(frozen=True)
class Tracking:
    """PyKEEN's result trackers, of which each training has its own."""

    #: their names: ``csv``, ``json``, ``tensorboard``, ``mlflow``, ``wandb``, …
    result_tracker: Sequence[str] = ()
    #: the options of each; ``{dataset}``, ``{model}``, ``{sampler}``, ``{negatives}`` and ``{run}`` in a text stand for
    #: those of the training
    result_tracker_kwargs: Sequence[Mapping[str, Any]] = ()

    def of(self, study: Study, run: str) -> dict[str, Any]:
        """Return the options of PyKEEN's pipeline.

        :param study: the study
        :param run: which of its trainings

        :raises InputError: if PyKEEN has no such tracker, a text has another field in braces, or there are not as many
            options as names
        """
        if not self.result_tracker:
            return {}
        if unknown := [name for name in self.result_tracker if name not in tracker_resolver.lookup_dict]:
            known = ", ".join(sorted(tracker_resolver.lookup_dict))
            raise InputError(f"tracking: PyKEEN has no result tracker {unknown[0]!r}; it has {known}")
        if len(self.result_tracker_kwargs) != len(self.result_tracker):
            raise InputError(
                "tracking: result_tracker_kwargs has not as many entries as result_tracker; give {} for none"
            )
        fields = {**asdict(study), "run": run}
        return {
            # what MLflow and W&B show a run under
            "metadata": {"title": "/".join(map(str, fields.values()))},
            "result_tracker": [TolerantJSONResultTracker if name == "json" else name for name in self.result_tracker],
            "result_tracker_kwargs": [
                {name: _filled(name, value, fields) for name, value in kwargs.items()}
                for kwargs in self.result_tracker_kwargs
            ],
        }


def _filled(name: str, value: Any, fields: Mapping[str, Any]) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return value.format(**fields)
    except (KeyError, IndexError, ValueError) as error:
        known = ", ".join(f"{{{field}}}" for field in fields)
        raise InputError(f"tracking: {name} is {value!r}; a text may have {known} alone") from error
