"""Read the files that the chain wrote into data frames, whatever order they are given in."""

from __future__ import annotations

import hashlib
import math
import os
import re
import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from negsamp.choice import choose
from negsamp.errors import InputError
from negsamp.io import read_json
from negsamp.pipeline import METRICS as PYKEEN_METRICS
from negsamp.ranks import read_ranks
from negsamp.records import read_trials
from negsamp.results.grid import Grid

__all__ = [
    "FALLBACK",
    "INTERVAL",
    "METRICS",
    "PARAMETERS",
    "STUDY",
    "TRIALS",
    "Paths",
    "ReciprocalRanks",
    "average_seeds",
    "read_auxiliaries",
    "read_chosen",
    "read_finals",
    "read_finals_of",
    "read_histograms",
    "read_pools",
    "read_reciprocal_ranks",
    "read_reports",
    "read_statistics",
    "read_tables",
    "read_timings",
    "require",
]

Paths: TypeAlias = Iterable[str | os.PathLike[str]]
Row: TypeAlias = dict[str, Any]

#: what names a study
STUDY = ["dataset", "model", "sampler", "negatives"]
#: what names a row in words, beside the numbers
_NAMES = {"dataset", "model", "sampler", "side", "stage"}
#: PyKEEN's names of the metrics in a record
METRICS = list(PYKEEN_METRICS)
#: what a trial varies
PARAMETERS = ["margin", "learning_rate", "l2_weight"]
#: what a timing file counts; null where it was not measured
COSTS = ["training_s", "sampling_s", "evaluation_s", "peak_memory_mb"]
#: how many trials there were, and how many of them failed or were given up
TRIALS = ["trials", "failed", "pruned"]
#: the ends of a 95 % interval of the MRR over the ranked triples
INTERVAL = ["mrr_low", "mrr_high"]

#: which share of the slots a fallback filled: neither the sampler's own pool nor nothing
FALLBACK = "fallback_share"

SPLITS = ["training", "validation", "testing"]
SPLIT_COUNTS = ["lines", "distinct", "unseen"]
LEAKS = ["training_validation", "training_testing", "validation_testing"]
SCHEMA_COUNTS = ["classes", "typed_entities", "domains", "ranges", "domains_and_ranges", "superclass_pairs"]
#: pool sizes whose cumulative share the statistics give
SIZES = ["0", "2", "10", "40", "100"]

# the folders and the name of a file say which run it is of, where its content does not
_STUDY_PATH = r"(?P<dataset>[^/]+)/(?P<model>[^/]+)/(?P<sampler>[^/]+)/(?P<negatives>\d+)/"
_TIMING_PATH = re.compile(_STUDY_PATH + r"(?:seed-(?P<seed>\d+)|trials-[^/]+)\.timing\.json")
_RANKS_PATH = re.compile(_STUDY_PATH + r"seed-(?P<seed>\d+)\.ranks\.csv\.gz")


def read_reports(paths: Paths) -> pd.DataFrame:
    """Read the reports of data sets.

    :param paths: ``report.json`` files

    :returns: one row a data set, its counts flattened (``training_lines``, ``leaks_training_testing``, …)

    :raises InputError: if a file is missing or damaged, or two are of one data set
    """
    columns = [
        *["dataset", "source", "licence", "archive", "entities", "relations"],
        *[f"{split}_{count}" for split in SPLITS for count in SPLIT_COUNTS],
        *[f"leaks_{leak}" for leak in LEAKS],
        *SCHEMA_COUNTS,
        "notes",
    ]

    def rows(report: Any, path: Path) -> Iterator[Row]:
        yield {
            **{column: report[column] for column in ["dataset", "source", "licence", "archive"]},
            **{column: int(report[column]) for column in ["entities", "relations", *SCHEMA_COUNTS]},
            **{f"{split}_{count}": int(report["splits"][split][count]) for split in SPLITS for count in SPLIT_COUNTS},
            **{f"leaks_{leak}": int(report["leaks"][leak]) for leak in LEAKS},
            "notes": list(report["notes"]),
        }

    return _read(paths, rows, columns, key=["dataset"], kind="a report of a data set")


def read_statistics(paths: Paths) -> pd.DataFrame:
    """Read the statistics of pools.

    :param paths: ``{sampler}.statistics.json`` files

    :returns: one row a data set, sampler and side (``both``, ``head``, ``tail``)

    :raises InputError: if a file is missing or damaged, or two are of one data set and sampler
    """

    def rows(statistics: Any, path: Path) -> Iterator[Row]:
        for side, values in {"both": statistics, **statistics["sides"]}.items():
            yield {
                "dataset": statistics["dataset"],
                "sampler": statistics["sampler"],
                "side": side,
                "inferred": statistics["inferred"] is not None,
                "queries": int(values["queries"]),
                "mean": _number(values["mean"]),
                "median": _number(values["median"]),
                **{f"share_at_most_{size}": _number(values["share_at_most"][size]) for size in SIZES},
            }

    key = ["dataset", "sampler", "side"]
    columns = [*key, "inferred", "queries", "mean", "median", *[f"share_at_most_{size}" for size in SIZES]]
    return _read(paths, rows, columns, key, kind="statistics of pools")


def read_histograms(paths: Paths) -> pd.DataFrame:
    """Read the exact distributions of pool sizes.

    :param paths: ``{sampler}.statistics.json`` files

    :returns: one row a data set, sampler and size that occurs, with the count of queries whose pool has that size

    :raises InputError: if a file is missing or damaged, or two are of one data set and sampler
    """

    def rows(statistics: Any, path: Path) -> Iterator[Row]:
        histogram = statistics["histogram"]
        for size, count in zip(histogram["sizes"], histogram["counts"], strict=True):
            yield {
                "dataset": statistics["dataset"],
                "sampler": statistics["sampler"],
                "inferred": statistics["inferred"] is not None,
                "size": int(size),
                "count": int(count),
            }

    key = ["dataset", "sampler", "size"]
    return _read(paths, rows, [*key, "inferred", "count"], key, kind="statistics of pools")


def read_chosen(paths: Paths) -> pd.DataFrame:
    """Read the trials of studies, and keep of each study the one that is chosen.

    :param paths: ``trials-{chunk}.jsonl`` files, all chunks of each study

    :returns: one row a study: the chosen trial's parameters and validation metrics, the numbers of trials, of
        failed and of pruned ones

    :raises InputError: if a file is missing or damaged, or two hold one trial
    """
    studies: dict[tuple[Any, ...], list[Any]] = {}

    def rows(trials: Any, path: Path) -> Iterator[Row]:
        for trial in trials:
            yield {**{name: trial[name] for name in STUDY}, "trial": int(trial["trial"]), "record": trial}

    for row in _read(paths, rows, [*STUDY, "trial", "record"], [*STUDY, "trial"], "trials", read_trials).itertuples():
        studies.setdefault(tuple(row[1:5]), []).append(row.record)
    chosen = [choose(records) for records in studies.values()]
    columns = [
        *STUDY,
        "inferred",
        "state",
        "reason",
        *PARAMETERS,
        *METRICS,
        *INTERVAL,
        "trial",
        *TRIALS,
    ]
    found = [{**_outcome(record), **{name: record[name] for name in ["trial", *TRIALS]}} for record in chosen]
    # a whole number stays one beside the blank of a study that chose nothing
    return pd.DataFrame(found, columns=columns).astype({"trial": "Int64"})


def read_finals(paths: Paths) -> pd.DataFrame:
    """Read the retrainings of chosen trials.

    :param paths: ``seed-{seed}.json`` files

    :returns: one row a study and seed: parameters, test metrics, the slots by stage (a mapping; ``None`` where the
        sampler does not count), and which share of them a fallback filled

    :raises InputError: if a file is missing or damaged, or two are of one study and seed
    """

    def rows(record: Any, path: Path) -> Iterator[Row]:
        slots = record["slots"]
        yield {
            **_outcome(record),
            "seed": int(record["seed"]),
            "ranked_triples": int(record["ranked_triples"]),
            "slots": None if slots is None else {stage: int(count) for stage, count in slots.items()},
            FALLBACK: math.nan if slots is None else _fallback_share(slots),
        }

    known = [*STUDY, "inferred", "state", "reason", *PARAMETERS, *METRICS]
    columns = [*known, "seed", "ranked_triples", "slots", FALLBACK]
    return _read(paths, rows, columns, key=[*STUDY, "seed"], kind="a retraining of a study")


def read_finals_of(paths: Paths, grid: Grid) -> pd.DataFrame:
    """Read the retrainings of a grid: of each study one for each seed, in their order.

    :param paths: ``seed-{seed}.json`` files, these and maybe others

    :raises InputError: if a file is missing or damaged
    """
    wanted = [(*study, seed) for study in grid.studies() for seed in grid.seeds]
    return require(read_finals(paths), [*STUDY, "seed"], wanted, "the retraining of a study")


def read_timings(paths: Paths) -> pd.DataFrame:
    """Read what trials and retrainings cost.

    :param paths: ``seed-{seed}.timing.json`` and ``trials-{chunk}.timing.json`` files, in their folders
        ``{dataset}/{model}/{sampler}/{negatives}/``

    :returns: one row a run: the study, the stage (``final`` or ``trial``), the number (the seed or the trial), the
        costs, and the ``versions`` of what ran (empty where it did not start)

    :raises InputError: if a file is missing or damaged, lies elsewhere, or two are of one run
    """

    def rows(timing: Any, path: Path) -> Iterator[Row]:
        place = _TIMING_PATH.search(path.as_posix())
        if place is None:
            raise InputError(
                f"{path}: the path does not say which run was timed; expected "
                "{dataset}/{model}/{sampler}/{negatives}/seed-{seed}.timing.json or trials-{chunk}.timing.json"
            )
        study = {**place.groupdict(), "negatives": int(place["negatives"])}
        seed = study.pop("seed")
        runs = timing["trials"] if seed is None else [{**timing, "seed": seed}]
        stage, number = ("trial", "trial") if seed is None else ("final", "seed")
        for run in runs:
            yield {
                **study,
                "stage": stage,
                "number": int(run[number]),
                **{cost: _number(run[cost]) for cost in COSTS},
                "versions": ", ".join(f"{name} {number}" for name, number in run.get("versions", {}).items()),
            }

    key = [*STUDY, "stage", "number"]
    return _read(paths, rows, [*key, *COSTS, "versions"], key, kind="a timing")


def read_structures(paths: Paths) -> pd.DataFrame:
    """Read what the structure of data sets is in numbers.

    :param paths: ``structure.json`` files

    :returns: one row a data set: its name, and the numbers of :data:`negsamp.descriptors.DESCRIPTORS`

    :raises InputError: if a file is missing or damaged, or two are of one data set
    """

    def rows(structure: Any, path: Path) -> Iterator[Row]:
        numbers = {name: _number(value) for name, value in structure.items() if name != "dataset"}
        yield {"dataset": structure["dataset"], **numbers}

    return _read(paths, rows, None, ["dataset"], kind="a description of a data set")


def read_auxiliaries(paths: Paths) -> pd.DataFrame:
    """Read how good auxiliary models are.

    :param paths: ``record.json`` files

    :returns: one row a data set: the model, how it was trained, and its validation metrics

    :raises InputError: if a file is missing or damaged, or two are of one data set
    """

    def rows(record: Any, path: Path) -> Iterator[Row]:
        yield {
            "dataset": record["dataset"],
            "model": record["model"],
            "training_loop": record["training"]["training_loop"],
            "epochs": int(record["training"]["epochs"]),
            **{name: _number(record["validation"][name]) for name in METRICS},
        }

    columns = ["dataset", "model", "training_loop", "epochs", *METRICS]
    return _read(paths, rows, columns, ["dataset"], kind="a record of an auxiliary model")


class ReciprocalRanks(NamedTuple):
    """What a retraining made of the test triples."""

    #: a digest of the triples, in their order
    triples: str
    #: shape: (num_triples,), the mean over both sides; empty where the retraining failed
    values: NDArray[np.float32]


def read_reciprocal_ranks(paths: Paths) -> dict[tuple[str, str, str, int, int], ReciprocalRanks]:
    """Read the ranks of retrainings, and average the reciprocals over the two sides of each triple.

    :param paths: ``seed-{seed}.ranks.csv.gz`` files, in their folders ``{dataset}/{model}/{sampler}/{negatives}/``

    :returns: data set, model, sampler, number of negatives and seed → what was found

    :raises InputError: if a file is missing or damaged, or lies elsewhere
    """
    found = {}
    for path in map(Path, paths):
        place = _RANKS_PATH.search(path.as_posix())
        if place is None:
            raise InputError(
                f"{path}: the path does not say whose ranks these are; expected "
                "{dataset}/{model}/{sampler}/{negatives}/seed-{seed}.ranks.csv.gz"
            )
        ranks = read_ranks(path)
        mean = ((1 / ranks["head_rank"] + 1 / ranks["tail_rank"]) / 2).to_numpy(np.float32)
        ids = ranks[["head", "relation", "tail"]].to_numpy(np.int64)
        key = (place["dataset"], place["model"], place["sampler"], int(place["negatives"]), int(place["seed"]))
        found[key] = ReciprocalRanks(hashlib.sha256(ids.tobytes()).hexdigest(), mean)
    return found


def read_tables(paths: Paths, columns: Sequence[str], key: Sequence[str]) -> pd.DataFrame:
    """Read tables that were written as CSV, of one experiment or several, as one.

    :param columns: what is wanted of them
    :param key: what names a row

    :returns: the wanted columns

    :raises InputError: if a file is missing or is another table, or two have a row in common
    """
    frames = []
    for path in map(Path, paths):
        try:
            frame = pd.read_csv(path, keep_default_na=False, na_values=[""])
            frames.append(frame[[*columns]].assign(path=str(path)))
        except OSError as error:
            raise InputError(
                f"{path}: cannot be read ({error.strerror}); run the experiment it is a table of"
            ) from error
        except (KeyError, ValueError) as error:
            raise InputError(f"{path}: not a table of this kind ({error}); run the experiment again") from error
    found = pd.concat(frames) if frames else pd.DataFrame(columns=[*columns, "path"])
    twice = found[found.duplicated([*key])]
    if len(twice):
        first = twice.iloc[0]
        raise InputError(
            f"{first['path']}: {', '.join(map(str, first[[*key]]))} is in another table too; give only one"
        )
    return found[[*columns]].reset_index(drop=True)


def read_pools(paths: Paths) -> pd.DataFrame:
    """Read tables of pools, both sides together: data set, sampler, mean size, and the share without a pool."""
    key = ["dataset", "sampler", "side"]
    found = read_tables(paths, [*key, "mean", "share_at_most_0"], key)
    return found[found["side"] == "both"]


def average_seeds(finals: pd.DataFrame) -> pd.DataFrame:
    """Average the retrainings that finished over the seeds.

    :param finals: what :func:`read_finals` returns

    :returns: one row a study: its state (``failed`` where no retraining finished), the numbers of retrainings
        (``seeds``) and of failed ones (``seeds_failed``), and of each metric the mean and the sample standard deviation
        (``{metric}_mean``, ``{metric}_std``; blank where no or only one retraining finished); the mean share of slots
        that a fallback filled
    """
    groups = finals.assign(seeds_failed=finals["state"] != "complete").groupby(STUDY)
    counts = groups["seeds_failed"].agg(seeds="size", seeds_failed="sum", state="all")
    counts["inferred"] = groups["inferred"].any()
    counts["state"] = ["failed" if failed else "complete" for failed in counts["state"]]
    means, deviations = groups[METRICS].mean().add_suffix("_mean"), groups[METRICS].std().add_suffix("_std")
    return pd.concat([counts, means, deviations, groups[FALLBACK].mean()], axis="columns").reset_index()


def require(frame: pd.DataFrame, columns: Sequence[str], keys: Sequence[tuple[Any, ...]], kind: str) -> pd.DataFrame:
    """Take the rows that are wanted, in the order wanted.

    :param columns: the columns that name a row
    :param keys: the values of these columns, one tuple a wanted row
    :param kind: what a row is, for the error

    :raises InputError: if no file brought a wanted row
    """
    positions = {key: row for row, key in enumerate(frame[[*columns]].itertuples(index=False, name=None))}
    for key in keys:
        if key not in positions:
            name = ", ".join(f"{column} {value}" for column, value in zip(columns, key, strict=True))
            raise InputError(f"{kind} ({name}) is in none of the files given; run its job, or take it off the list")
    return frame.iloc[[positions[key] for key in keys]].reset_index(drop=True)


def _read(
    paths: Paths,
    rows: Callable[[Any, Path], Iterator[Row]],
    columns: list[str] | None,
    key: list[str],
    kind: str,
    read: Callable[[Path], Any] = read_json,
) -> pd.DataFrame:
    """Read files to rows and sort these by their key, which no two may share."""
    collected: list[Row] = []
    sources: dict[tuple[Any, ...], Path] = {}
    for path in map(Path, paths):
        content = read(path)
        try:
            found = list(rows(content, path))
            for row in found:
                _require_key(row, key)
        except InputError:
            raise
        except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise InputError(f"{path}: not {kind} ({reason}); delete it and run its job again") from error
        for row in found:
            name = tuple(row[column] for column in key)
            if name in sources:
                raise InputError(f"{path}: the same run as {sources[name]} {name}; give only one of them")
            sources[name] = path
        collected += found
    collected.sort(key=lambda row: tuple(row[column] for column in key))
    return pd.DataFrame(collected, columns=columns)


def _require_key(row: Row, key: list[str]) -> None:
    """Refuse a row that could not be named, or not be sorted among others."""
    for column in key:
        wanted = str if column in _NAMES else int
        if not isinstance(row[column], wanted):
            raise TypeError(f"{column} is {reprlib.repr(row[column])}")


def _outcome(record: Any) -> Row:
    """Flatten what best trials and retrainings share."""
    parameters = record["parameters"] or dict.fromkeys(PARAMETERS)
    metrics = record["metrics"] or dict.fromkeys(METRICS)
    return {
        "dataset": record["dataset"],
        "model": record["model"],
        "sampler": record["sampler"],
        "negatives": int(record["negatives"]),
        "inferred": record["inferred"] is not None,
        "state": record["state"],
        "reason": record["reason"],
        **{name: _number(parameters[name]) for name in PARAMETERS},
        **{name: _number(metrics[name]) for name in METRICS},
        **dict(zip(INTERVAL, map(_number, record["mrr_interval"] or (None, None)), strict=True)),
    }


def _number(value: Any) -> float:
    """Return a float, not a number where the file says null."""
    return math.nan if value is None else float(value)


def _fallback_share(slots: Mapping[str, int]) -> float:
    own = sum(count for stage, count in slots.items() if stage in ("pool", "masked"))
    return 1 - own / max(sum(slots.values()), 1)
