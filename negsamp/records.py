"""What a record that is read again must be: another hand, or half a disk, may have written it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from negsamp.choice import OBJECTIVE
from negsamp.errors import InputError
from negsamp.io import read_json, read_jsonl
from negsamp.pipeline import METRICS

__all__ = [
    "CHECKS",
    "TRAINING",
    "read_all_trials",
    "read_kept",
    "read_trials",
    "require_numbers",
    "require_valid",
]

Schema = Mapping[str, Any]

_TEXT: Schema = {"type": "string"}
#: a count, an id or a seed, which also has to fit into 64 bits
_COUNT: Schema = {"type": "integer", "minimum": 0, "maximum": 2**53}
_NUMBER: Schema = {"type": "number", "minimum": -1e308, "maximum": 1e308}
_NUMBERS: Schema = {"type": "object", "additionalProperties": {"anyOf": [_NUMBER, {"type": "null"}]}}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


_STUDY: Schema = {"dataset": _TEXT, "model": _TEXT, "sampler": _TEXT, "negatives": _COUNT}

_OUTCOME: Schema = {
    "type": "object",
    "required": [
        *_STUDY,
        *("state", "reason", "parameters", "random_seed", "metrics", "mrr_interval", "best_epoch", "evaluations"),
        *("slots", "inferred"),
    ],
    "properties": {
        **_STUDY,
        "state": {"enum": ["complete", "failed", "pruned"]},
        "parameters": {**_NUMBERS, "required": ["margin", "learning_rate", "l2_weight"]},
        "random_seed": _COUNT,
        "mrr_interval": _or_null({"type": "array", "items": _NUMBER, "minItems": 2, "maxItems": 2}),
        "best_epoch": _or_null(_COUNT),
        "evaluations": {
            "type": "array",
            "items": {"type": "array", "prefixItems": [_COUNT, _NUMBER], "minItems": 2, "maxItems": 2},
        },
        "slots": _or_null({"type": "object", "additionalProperties": _COUNT}),
    },
    "if": {"properties": {"state": {"const": "complete"}}},
    "then": {"properties": {"metrics": {"type": "object", "required": [OBJECTIVE], "additionalProperties": _NUMBER}}},
    "else": {"properties": {"metrics": {"type": "null"}, "reason": _TEXT}},
}

_TRIAL = Draft202012Validator(
    {
        **_OUTCOME,
        "required": [*_OUTCOME["required"], "trial"],
        "properties": {
            **_OUTCOME["properties"],
            "trial": _COUNT,
            "metrics": _or_null({"type": "object", "required": list(METRICS)}),
        },
        # what it was worth when it was given up
        "allOf": [
            {
                "if": {"properties": {"state": {"const": "pruned"}}},
                "then": {"properties": {"evaluations": {"minItems": 1}}},
            }
        ],
    }
)

_KEPT = Draft202012Validator(
    {
        "type": "array",
        "minItems": 3,
        "maxItems": 3,
        "prefixItems": [
            _OUTCOME,
            {"type": "object", "required": ["elapsed_s"], "properties": {"elapsed_s": _NUMBER}},
            _or_null({"type": "object", "required": ["head", "tail"], "additionalProperties": {"type": "array"}}),
        ],
    }
)

#: what :mod:`negsamp.checks` has found on a data set
CHECKS = Draft202012Validator(
    {
        "type": "array",
        "items": {
            "type": "object",
            "required": ["dataset", "check", "verdict", "evidence"],
            "additionalProperties": _TEXT,
        },
    }
)

#: the training of an open question, as far as it has these columns
TRAINING = Draft202012Validator(
    {
        "type": "object",
        "properties": {
            **_STUDY,
            "seed": _COUNT,
            "inverse_harmonic_mean_rank": _or_null(_NUMBER),
            **dict.fromkeys(["auxiliary_mrr", "validity"], _or_null(_NUMBER)),
            "fallback": _or_null(_TEXT),
            "auxiliary": _or_null(_TEXT),
            "epochs": _or_null(_COUNT),
            **dict.fromkeys(["structure", "pools"], _or_null(_NUMBERS)),
            "slots": _or_null({"type": "object", "additionalProperties": _COUNT}),
            "reciprocal_ranks": {"type": ["array", "null"]},
        },
    }
)


def require_valid(content: Any, validator: Draft202012Validator, place: str, kind: str) -> None:
    """Refuse what is not as a schema has it.

    :param content: what was read
    :param validator: the schema
    :param place: the file, and the line in it
    :param kind: what it should be

    :raises InputError: if it is something else
    """
    error = best_match(validator.iter_errors(content))
    if error is not None:
        # a message repeats what it is of, however long that is
        found = error.message if len(error.message) < 200 else f"{error.message[:100]} … {error.message[-50:]}"
        raise InputError(f"{place}: not {kind} ({error.json_path}: {found}); delete it and run its job again")


def read_trials(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Read the trials of a study.

    :param path: a file of one trial a line

    :raises InputError: if the file is missing or damaged, or holds no trial, or something else
    """
    trials = read_jsonl(path)
    if not trials:
        raise InputError(f"{path}: holds no trial; delete it and run its job again")
    for number, trial in enumerate(trials, start=1):
        require_valid(trial, _TRIAL, f"{path} line {number}", "a trial")
    return trials


def read_all_trials(paths: Sequence[str | os.PathLike[str]], planned: int | None = None) -> list[dict[str, Any]]:
    """Read the trials of several files, in their order.

    :param paths: the files
    :param planned: how many trials of one study they hold; None: any number, of any studies

    :raises InputError: if a file is missing or damaged, or trials are missing
    """
    trials = [trial for path in paths for trial in read_trials(path)]
    if planned is not None and len(trials) != planned:
        files = ", ".join(map(str, paths))
        raise InputError(f"{files}: {len(trials)} trials, expected {planned}; delete and run the job again")
    return trials


def read_kept(path: str | os.PathLike[str]) -> list[Any]:
    """Read what came of a training: its record, its cost, and its ranks if they were kept.

    :raises InputError: if the file is missing or damaged, or holds something else
    """
    content: list[Any] = read_json(path)
    require_valid(content, _KEPT, str(path), "what came of a training")
    for side, ranks in (content[2] or {}).items():
        require_numbers(ranks, str(path), f"the ranks of the {side}")
    return content


def require_numbers(values: Sequence[Any], place: str, kind: str) -> None:
    """Refuse a list that holds anything but numbers; a schema would take seconds for the ranks of a large graph.

    :raises InputError: if it does
    """
    try:
        is_good = not values or np.asarray(values).dtype.kind in "iuf"
    except ValueError:
        # lists of several lengths inside
        is_good = False
    if not is_good:
        raise InputError(f"{place}: {kind} are no list of numbers; delete it and run its job again")
