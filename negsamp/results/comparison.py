"""Whether a sampler is better than another, random negatives first of all: on the same test triples and seeds."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from negsamp.errors import InputError
from negsamp.results.collect import STUDY, ReciprocalRanks
from negsamp.results.grid import Study
from negsamp.significance import compare_paired, holm, verdict_of

__all__ = ["BASELINE", "COMPARED", "compare_family", "compare_samplers"]

#: what all are compared with, unless stated otherwise: the same base and filtering, whatever the pools
BASELINE = "random"

#: the columns of a comparison: the mean difference of the reciprocal rank, its 95 % interval, p-values, the verdict
COMPARED = ["difference", "difference_low", "difference_high", "p_value", "p_holm", "verdict"]


def compare_samplers(
    ranks: Mapping[tuple[str, str, str, int, int], ReciprocalRanks],
    studies: Sequence[Study],
    seeds: Sequence[int],
    baseline: str = BASELINE,
) -> pd.DataFrame:
    """Compare studies with the baseline of the same data set, model and number of negatives, as one family of tests.

    Seeds that failed on either side are left out; nothing is said of a study without a seed in common with its
    baseline, nor of what draws no negatives.

    :param ranks: what :func:`negsamp.results.read_reciprocal_ranks` returns
    :param studies: data set, model, sampler and number of negatives, of those that are told of
    :param seeds: the seeds
    :param baseline: the sampler that all others are compared with

    :returns: one row a comparison: the study, and :data:`COMPARED`

    :raises InputError: if ranks are missing, or of other triples than the baseline's
    """
    differences: dict[tuple[Any, ...], dict[str, NDArray[np.float32]]] = {}
    names: dict[str, Study] = {}
    for study in studies:
        dataset, model, sampler, negatives = study
        other = (dataset, model, baseline, negatives)
        if sampler == baseline or other not in studies:
            continue
        pairs = [(_of(ranks, study, seed), _of(ranks, other, seed)) for seed in seeds]
        rows = [_subtract(mine, theirs, study) for mine, theirs in pairs if len(mine.values) and len(theirs.values)]
        if rows:
            stacked = np.stack(rows)
            names[name := "/".join(map(str, study))] = study
            # seeds matter alike for the trainings of one model
            differences.setdefault((dataset, model, stacked.shape), {})[name] = stacked
    table = [
        {**dict(zip(STUDY, names[name], strict=True)), **compared}
        for name, compared in compare_family(differences.values()).items()
    ]
    return pd.DataFrame(table, columns=[*STUDY, *COMPARED])


def compare_family(groups: Collection[Mapping[str, NDArray[np.floating]]]) -> dict[str, dict[str, Any]]:
    """Compare what differs in groups of trainings, as one family of tests.

    :param groups: for trainings whose seeds can be expected to matter equally, name → reciprocal ranks above those of
        the baseline, see :func:`negsamp.significance.compare_paired`

    :returns: name → :data:`COMPARED`
    """
    # the smallest p-value that so many draws can give stays small when it is corrected
    resamples = max(10_000, 200 * sum(map(len, groups)))
    found = {name: result for group in groups for name, result in compare_paired(group, resamples).items()}
    corrected = holm([result.p_value for result in found.values()])
    compared = {}
    for (name, result), p_holm in zip(found.items(), corrected, strict=True):
        verdict = verdict_of(result.difference, p_holm)
        values = (result.difference, result.low, result.high, result.p_value, p_holm, verdict)
        compared[name] = dict(zip(COMPARED, values, strict=True))
    return compared


def _of(ranks: Mapping[tuple[str, str, str, int, int], ReciprocalRanks], study: Study, seed: int) -> ReciprocalRanks:
    try:
        return ranks[(*study, seed)]
    except KeyError:
        name = ", ".join(f"{column} {value}" for column, value in zip([*STUDY, "seed"], (*study, seed), strict=True))
        raise InputError(f"the ranks of a retraining ({name}) are in none of the files given; run its job") from None


def _subtract(one: ReciprocalRanks, other: ReciprocalRanks, study: Study) -> NDArray[np.float32]:
    if one.triples != other.triples:
        raise InputError(f"the ranks of {study} are of other test triples than those of its baseline; run both again")
    return one.values - other.values
