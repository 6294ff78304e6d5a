"""The choice among a study's trials."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["choose"]

#: what trials are compared by, on validation triples
OBJECTIVE = "inverse_harmonic_mean_rank"


def choose(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Choose a study's setting: the largest validation MRR; ties: the earlier trial.

    :param records: the records of all trials

    :returns: the record of the chosen trial, with the numbers of ``trials``, of ``failed`` and of ``pruned`` ones; a
        record in state ``"failed"`` when there is none to choose
    """
    complete = [record for record in records if record["state"] == "complete"]
    states = Counter(record["state"] for record in records)
    counts = {"trials": len(records), "failed": states["failed"], "pruned": states["pruned"]}
    if complete:
        best = max(complete, key=lambda record: (record["metrics"][OBJECTIVE], -record["trial"]))
        return {**best, **counts}
    reasons = "; ".join(sorted({record["reason"] for record in records}))
    nothing = dict.fromkeys(("trial", "parameters", "random_seed", "slots"))
    return {**records[0], **nothing, **counts, "state": "failed", "reason": f"no trial finished: {reasons}"}
