from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from negsamp.io import write_json
from negsamp.results import claims_table, published_table
from negsamp.results.claims import HOLDS, HOLDS_NOT, UNDECIDED

if TYPE_CHECKING:
    from conftest import Records

#: reciprocal ranks on which random is beaten, met and missed
ABOVE, SAME, BELOW = [1.0] * 40, [2.0] * 40, [4.0] * 40


class Experiment:
    """Records of an experiment, study by study."""

    def __init__(self, records: Records) -> None:
        self.records = records
        self.files: dict[str, list[Path]] = {"statistics": [], "finals": [], "ranks": [], "auxiliaries": []}
        self.grid: dict[str, list[Any]] = {"datasets": [], "models": [], "samplers": [], "negatives": [], "seeds": [0]}

    def pools(self, dataset: str, sampler: str, size: int, empty: int = 0) -> None:
        """Give 100 queries, of which some are empty and the others of one size."""
        sizes = {size: 100 - empty, **({0: empty} if empty else {})}
        self.files["statistics"].append(self.records.statistics(dataset, sampler, sizes))

    def study(
        self, dataset: str, sampler: str, ranks: Sequence[float], *, negatives: int = 1, fallback: int = 0, **at: Any
    ) -> None:
        """Give a study whose fallback filled some of 100 slots."""
        study = {"dataset": dataset, "model": at.get("model", "TransE"), "sampler": sampler, "negatives": negatives}
        slots = {"pool": 100 - fallback, "everything": fallback, "masked": 0}
        self.files["finals"].append(self.records.final(**study, slots=slots))
        self.files["ranks"].append(self.records.ranks(**study, ranks=ranks))
        for key, value in study.items():
            values = self.grid[f"{key}s".replace("ss", "s")]
            if value not in values:
                values.append(value)

    def auxiliary(self, dataset: str, mrr: float) -> None:
        path = self.records.root / f"auxiliary/{dataset}/record.json"
        write_json(path, {"dataset": dataset, "validation": {"inverse_harmonic_mean_rank": mrr}})
        self.files["auxiliaries"].append(path)

    def answer(self, claim: str) -> tuple[str, str]:
        """Return the answer to a claim by its letter, and the evidence."""
        # what a grid spans and an experiment lacks is not asked for here
        lacks = [
            [dataset, sampler]
            for dataset in self.grid["datasets"]
            for sampler in self.grid["samplers"]
            if not any(f"/{dataset}/" in str(path) and f"/{sampler}/" in str(path) for path in self.files["finals"])
        ]
        table = claims_table(**self.files, **self.grid, not_applicable=lacks)
        (found,) = [row for row in table.raw.to_dict("records") if row["claim"].startswith(f"({claim})")]
        assert found["answer"] in table.to_markdown()
        return found["answer"], found["evidence"]


@pytest.fixture
def experiment(records: Records) -> Experiment:
    return Experiment(records)


@pytest.mark.parametrize(
    ("size", "answer"), [(100, HOLDS), (101, HOLDS_NOT), (1000, HOLDS_NOT)], ids=["a tenth", "more", "all"]
)
def test_pools_are_compared_with_randoms(size: int, answer: str, experiment: Experiment) -> None:
    assert experiment.answer("a")[0] == UNDECIDED
    experiment.pools("wn18", "random", 1000)
    experiment.pools("wn18", "corrupt", 10)
    experiment.pools("wn18", "relational", size)
    found, evidence = experiment.answer("a")
    assert found == answer
    assert f"{1 + (answer == HOLDS)} of 2 pools; the largest is relational on wn18, {size / 10:.1f}%" in evidence


@pytest.mark.parametrize(
    ("one", "two", "answer"),
    [
        # corrupt wins on one graph, relational on the other
        ({"corrupt": ABOVE, "relational": SAME}, {"corrupt": BELOW, "relational": ABOVE}, HOLDS),
        ({"corrupt": ABOVE, "relational": SAME}, {"corrupt": ABOVE, "relational": BELOW}, HOLDS_NOT),
        # whatever is below random differs from it, and wins nowhere
        ({"corrupt": BELOW, "relational": BELOW}, {"corrupt": BELOW, "relational": SAME}, HOLDS_NOT),
        ({"corrupt": SAME, "relational": SAME}, {"corrupt": SAME, "relational": SAME}, HOLDS_NOT),
    ],
)
def test_winners_are_those_that_surely_win(
    one: dict[str, list[float]], two: dict[str, list[float]], answer: str, experiment: Experiment
) -> None:
    assert experiment.answer("b")[0] == UNDECIDED
    for dataset, ranks in [("one", one), ("two", two)]:
        for sampler, of_sampler in {"random": SAME, **ranks}.items():
            experiment.study(dataset, sampler, of_sampler)
        if dataset == "one" and ABOVE in one.values():
            assert experiment.answer("b")[0] == UNDECIDED
    found, evidence = experiment.answer("b")
    assert found == answer
    assert " of 4 comparisons differ from random" in evidence


@pytest.mark.parametrize(
    ("first", "last", "answer"), [(ABOVE, SAME, HOLDS), (SAME, ABOVE, HOLDS_NOT), (ABOVE, ABOVE, HOLDS_NOT)]
)
def test_gaps_are_compared_where_the_fallback_takes_over(
    first: list[float], last: list[float], answer: str, experiment: Experiment
) -> None:
    for dataset in "abcdefg":
        for negatives, ranks in [(1, first), (10, BELOW), (100, last)]:
            experiment.study(dataset, "random", SAME, negatives=negatives)
            experiment.study(dataset, "corrupt", ranks, negatives=negatives, fallback=negatives // 2)
            # its pool is large enough for all
            experiment.study(dataset, "typed", BELOW, negatives=negatives)
        if dataset == "c":
            # three of three may be chance
            assert experiment.answer("c")[0] == UNDECIDED
    found, evidence = experiment.answer("c")
    assert found == answer
    assert f"{7 * (answer == HOLDS)} of 7 lines" in evidence


def test_nothing_shrinks_where_the_fallback_does_nothing(experiment: Experiment) -> None:
    for negatives in (1, 10):
        experiment.study("a", "random", SAME, negatives=negatives)
        experiment.study("a", "corrupt", ABOVE, negatives=negatives, fallback=negatives - 1)
    assert experiment.answer("c") == (UNDECIDED, "nowhere does the fallback's share grow by 10% with the negatives")


@pytest.mark.parametrize(("sign", "answer"), [(1, HOLDS), (-1, HOLDS_NOT)])
def test_adversarial_is_correlated_with_its_model(sign: int, answer: str, experiment: Experiment) -> None:
    for number, dataset in enumerate("abcde"):
        experiment.study(dataset, "random", SAME)
        experiment.study(dataset, "adversarial", [4.0 - number / 2] * 40)
        experiment.auxiliary(dataset, 0.3 + sign * number / 20)
        if dataset == "c":
            found, evidence = experiment.answer("d")
            assert found == UNDECIDED
            assert "auxiliary models of 3 data sets, 4 are needed; a: MRR 0.300, gap -0.250" in evidence
    assert experiment.answer("d")[0] == answer


@pytest.mark.parametrize(
    ("typed", "relational", "answer"),
    [(20, 10, HOLDS), (0, 50, HOLDS_NOT), (9, 9, HOLDS_NOT), (None, 50, UNDECIDED), (None, 5, HOLDS_NOT)],
)
def test_empty_pools_are_counted(typed: int | None, relational: int, answer: str, experiment: Experiment) -> None:
    assert experiment.answer("e")[0] == UNDECIDED
    if typed is not None:
        experiment.pools("wn18", "typed", 5, empty=typed)
    experiment.pools("wn18", "relational", 5, empty=relational)
    found, evidence = experiment.answer("e")
    assert found == answer
    assert f"relational on wn18: {relational}.0%" in evidence


def test_published_numbers_stand_beside_ours(records: Records) -> None:
    table = published_table([], [])
    assert set(table.display["ours"]) == {UNDECIDED}
    statistics = [records.statistics("fb15k", "typed", {1300: 2}), records.statistics("fb15k-public", "typed", {9: 1})]
    finals = [
        records.final("fb15k", negatives=2, seed=0, mrr=0.3),
        records.final("fb15k", negatives=2, seed=1, mrr=0.1),
        records.final("fb15k", negatives=1, mrr=0.9),
    ]
    shown = published_table(statistics, finals).display.set_index("what")[["published", "ours", "difference"]]
    assert shown.loc["mean pool of typed"].tolist() == ["1,295.0", "1,300.0", "+5.0"]
    assert shown.loc["test MRR of TransE, random, 2 negatives"].tolist() == ["0.074", "0.200", "+0.126"]
