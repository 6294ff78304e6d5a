"""Samplers against random negatives, as one family of tests."""

from __future__ import annotations

import numpy as np
import pytest

from negsamp.errors import InputError
from negsamp.results import compare_samplers
from negsamp.results.collect import ReciprocalRanks

SAME = np.linspace(0.1, 0.5, 20, dtype=np.float32)


def test_a_large_family_can_still_be_decided() -> None:
    names = [f"sampler {number}" for number in range(300)]
    studies = [("wn18", "TransE", name, 1) for name in ["random", *names]]
    ranks = {
        (*study, seed): ReciprocalRanks("the same", SAME + (0.0 if study[2] == "random" else 0.1))
        for study in studies
        for seed in range(3)
    }
    found = compare_samplers(ranks, studies, range(3))
    assert len(found) == len(names)
    # with ten thousand draws, no p-value could be small enough
    assert set(found["verdict"]) == {"better"}


def test_other_triples_are_refused() -> None:
    studies = [("wn18", "TransE", name, 1) for name in ("random", "corrupt")]
    ranks = {(*study, 0): ReciprocalRanks(study[2], SAME) for study in studies}
    with pytest.raises(InputError, match="of other test triples than those of its baseline"):
        compare_samplers(ranks, studies, [0])
