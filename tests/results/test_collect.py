from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from negsamp.errors import InputError
from negsamp.io import read_json, write_json
from negsamp.results import collect

if TYPE_CHECKING:
    from conftest import Records

READERS: list[tuple[str, Callable[..., pd.DataFrame]]] = [
    ("report", collect.read_reports),
    ("statistics", collect.read_statistics),
    ("statistics", collect.read_histograms),
    ("trials", collect.read_chosen),
    ("final", collect.read_finals),
    ("timing", collect.read_timings),
    ("trial_timings", collect.read_timings),
]


@pytest.mark.parametrize(("kind", "read"), READERS)
class TestEveryReader:
    def test_names_a_missing_file(self, kind: str, read: Callable[..., Any], records: Records) -> None:
        path = getattr(records, kind)()
        path.unlink()
        with pytest.raises(InputError, match=path.name):
            read([path])

    @pytest.mark.parametrize("damage", [lambda text: text[:-4], lambda text: "[]", lambda text: "{}"])
    def test_names_a_damaged_file(
        self, damage: Callable[[str], str], kind: str, read: Callable[..., Any], records: Records
    ) -> None:
        path = getattr(records, kind)()
        path.write_text(damage(path.read_text()))
        with pytest.raises(InputError, match=rf"{path.name}.*(not valid JSON|delete it and run its job again)"):
            read([path])

    def test_refuses_two_files_of_one_run(self, kind: str, read: Callable[..., Any], records: Records) -> None:
        path = getattr(records, kind)()
        with pytest.raises(InputError, match=r"the same run as .* give only one"):
            read([path, path])

    def test_has_its_columns_without_files(self, kind: str, read: Callable[..., Any], records: Records) -> None:
        assert list(read([]).columns) == list(read([getattr(records, kind)()]).columns)


def test_file_order_does_not_matter(records: Records) -> None:
    paths = [records.final(negatives=negatives, seed=seed) for negatives in [1, 10, 2] for seed in [1, 0]]
    first = collect.read_finals(paths)
    pd.testing.assert_frame_equal(first, collect.read_finals(reversed(paths)))
    assert first["negatives"].tolist() == [1, 1, 2, 2, 10, 10]


def test_reports_are_flattened(records: Records) -> None:
    row = collect.read_reports([records.report(notes=["odd"])]).iloc[0]
    assert (row["testing_lines"], row["testing_distinct"], row["validation_unseen"]) == (1300, 1100, 3)
    assert row["leaks_training_testing"] == 38
    assert row["notes"] == ["odd"]


def test_statistics_have_a_row_a_side(records: Records) -> None:
    frame = collect.read_statistics([records.statistics()])
    assert frame["side"].tolist() == ["both", "head", "tail"]
    assert frame["queries"].tolist() == [4, 2, 2]
    assert frame["share_at_most_2"].tolist() == [0.5] * 3


def test_histograms_have_a_row_a_size(records: Records) -> None:
    frame = collect.read_histograms([records.statistics(sizes={0: 3, 12: 4})])
    assert frame[["size", "count"]].to_numpy().tolist() == [[0, 3], [12, 4]]


def test_a_histogram_of_unequal_lists_is_damaged(records: Records) -> None:
    path = records.statistics()
    content = read_json(path)
    content["histogram"]["counts"].append(1)
    write_json(path, content)
    with pytest.raises(InputError, match="not statistics of pools"):
        collect.read_histograms([path])


def test_a_failed_study_is_blank(records: Records) -> None:
    row = collect.read_chosen([records.trials(state="failed"), records.trials(negatives=2)]).iloc[0]
    assert (row["state"], row["reason"]) == ("failed", "no trial finished: diverged")
    assert row["trial"] is pd.NA
    assert math.isnan(row["margin"])
    assert math.isnan(row["inverse_harmonic_mean_rank"])


def test_slots_are_kept_or_none(records: Records) -> None:
    frame = collect.read_finals([records.final(sampler="random"), records.final(sampler="basic")])
    assert frame["slots"].tolist() == [None, {"pool": 90, "masked": 10}]


def test_a_timing_path_names_its_run(records: Records) -> None:
    frame = collect.read_timings([records.timing(seed=3, seconds=None), records.trial_timings(trials=(4, 5))])
    assert frame["stage"].tolist() == ["final", "trial", "trial"]
    assert frame["number"].tolist() == [3, 4, 5]
    assert frame["negatives"].tolist() == [1, 1, 1]
    assert frame["training_s"].isna().tolist() == [True, False, False]


def test_a_timing_elsewhere_is_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "seed-1.timing.json", {})
    with pytest.raises(InputError, match="does not say which run was timed"):
        collect.read_timings([tmp_path / "seed-1.timing.json"])


def test_seeds_are_averaged_without_failures(records: Records) -> None:
    finals = [
        *[records.final(seed=seed, mrr=mrr) for seed, mrr in enumerate([0.1, 0.3])],
        records.final(seed=2, state="failed"),
        records.final(negatives=2, seed=0, mrr=0.4),
        records.final(negatives=10, seed=0, state="failed"),
    ]
    frame = collect.average_seeds(collect.read_finals(finals)).set_index("negatives")
    assert frame["state"].tolist() == ["complete", "complete", "failed"]
    assert frame["seeds"].tolist() == [3, 1, 1]
    assert frame["seeds_failed"].tolist() == [1, 0, 1]
    mean, deviation = (frame[f"inverse_harmonic_mean_rank_{moment}"] for moment in ["mean", "std"])
    assert mean[1] == pytest.approx(0.2)
    assert deviation[1] == pytest.approx(math.sqrt(0.02))
    assert math.isnan(deviation[2])
    assert math.isnan(mean[10])


def test_required_rows_come_in_the_order_wanted(records: Records) -> None:
    frame = collect.read_chosen([records.trials(negatives=negatives) for negatives in [1, 2, 3]])
    keys = [("wn18", "TransE", "random", negatives) for negatives in [3, 1]]
    assert collect.require(frame, collect.STUDY, keys, "a study")["negatives"].tolist() == [3, 1]


def test_a_required_row_that_is_absent_is_named(records: Records) -> None:
    frame = collect.read_chosen([records.trials()])
    with pytest.raises(InputError, match=r"a study \(dataset wn18, model TransE, sampler random, negatives 7\)"):
        collect.require(frame, collect.STUDY, [("wn18", "TransE", "random", 7)], "a study")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"state": "lost"}, r"\$\.state: 'lost' is not one of"),
        ({"metrics": None}, r"\$\.metrics: None is not of type 'object'"),
        ({"metrics": {"inverse_harmonic_mean_rank": "high"}}, r"\$\.metrics"),
        ({"negatives": -1}, r"\$\.negatives: -1 is less than the minimum"),
        ({"parameters": {}}, r"\$\.parameters: 'margin' is a required property"),
        ({"trial": "first"}, r"\$\.trial: 'first' is not of type 'integer'"),
    ],
)
def test_a_trial_that_is_none_is_named_by_its_line(change: dict[str, Any], message: str, records: Records) -> None:
    path = records.trials()
    lines = path.read_text().split("\n")
    lines[7] = json.dumps({**json.loads(lines[7]), **change})
    path.write_text("\n".join(lines))
    with pytest.raises(InputError, match=rf"trials-0\.jsonl line 8: not a trial \({message}.*; delete it and run"):
        collect.read_chosen([path])
