"""The paper's claims, each tested on what was run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from negsamp.choice import OBJECTIVE
from negsamp.results.collect import FALLBACK, STUDY, Paths, read_pools, read_tables
from negsamp.results.comparison import BASELINE, COMPARED
from negsamp.results.tables import Table, sampler_label
from negsamp.significance import BETTER, EQUAL, UNDECIDED, WORSE

__all__ = ["HOLDS", "HOLDS_NOT", "claims_of", "claims_table"]

HOLDS, HOLDS_NOT = "holds", "does not hold"

#: what the paper compares with random negatives
_ADVANCED = ("corrupt", "typed", "typedbyclass", "relational", "nearestneighbor", "adversarial")

#: what stands behind a study
_COUNTS = ["seeds", "seeds_failed", "trials", "trials_failed"]

#: "much smaller": at most this part of random's mean pool
_MUCH_SMALLER = 0.1
#: "often": at least this share of the queries
_OFTEN = 0.1
#: how much more of the slots the fallback must fill with the most negatives than with the fewest
_TAKES_OVER = 0.1
_POINTS = f"{100 * _TAKES_OVER:.0f} percentage points"
_LEVEL = 0.05
#: data sets that a correlation needs: with fewer, not even a perfect one is surer than chance
_ENOUGH = 5


@dataclass(frozen=True)
class Evidence:
    """What the tables of experiments say."""

    #: sizes of pools, both sides together
    pools: pd.DataFrame
    #: studies, how they compare with random negatives, and the share of slots that a fallback filled
    comparisons: pd.DataFrame
    #: data set → validation MRR of the auxiliary model
    auxiliary: pd.Series


def claims_table(pools: Paths, link_prediction: Paths, auxiliary: Paths) -> Table:
    """Test what the paper says of samplers on the tables of one experiment or several.

    :param pools: a ``tables/pools.csv`` of each experiment
    :param link_prediction: a ``tables/link_prediction/{dataset}.csv`` of each data set
    :param auxiliary: a ``tables/auxiliary.csv`` of each experiment

    :raises InputError: if a table is missing or damaged, or two have a row in common
    """
    scores = read_tables(link_prediction, [*STUDY, *COMPARED, FALLBACK, *_COUNTS], STUDY)
    quality = read_tables(auxiliary, ["dataset", OBJECTIVE], ["dataset"])
    evidence = Evidence(
        pools=read_pools(pools),
        comparisons=scores[scores["verdict"].notna()],
        auxiliary=quality.set_index("dataset")[OBJECTIVE],
    )
    rows = [{"claim": claim, "answer": answer, "evidence": said} for claim, answer, said in _answers(evidence)]
    counts = {name: int(scores[name].sum()) for name in _COUNTS}
    return Table(
        raw=pd.DataFrame(rows),
        display=pd.DataFrame(rows),
        title="Claims of the paper",
        label="claims",
        notes=(
            f"Tested on these results alone: {scores['dataset'].nunique()} data sets, "
            f"{scores['model'].nunique()} models. "
            f"Trials: {counts['trials']:,}, failed: {counts['trials_failed']:,}. "
            f"Retrainings: {counts['seeds']:,}, failed: {counts['seeds_failed']:,}. "
            f"(a) Much smaller: every pool has at most {_MUCH_SMALLER:.0%} of random's mean. (b) Above random: marked "
            "so; above another sampler: the 95 % intervals of their differences from random, one at a time, do not "
            "touch; with some number of negatives, and with none the other way round. (c) The fallback takes over: its "
            f"share grows by {_POINTS} or more from the fewest negatives to the most. (e) Often: at least "
            f"{_OFTEN:.0%} of the queries on the mean of the data sets, for both."
        ),
        text_columns=3,
    )


def claims_of(folders: Iterable[Path]) -> Table:
    """Test what the paper says on several experiments together.

    :param folders: the folders of their tables, such as ``results/default/tables``

    :raises InputError: if a table is missing or damaged, or two experiments have a study in common
    """
    found: dict[str, list[Path]] = {name: [] for name in ("pools", "auxiliary", "link_prediction")}
    for folder in folders:
        for name in ("pools", "auxiliary"):
            found[name].append(folder / f"{name}.csv")
        datasets = read_tables([folder / "datasets.csv"], ["dataset"], ["dataset"])["dataset"]
        found["link_prediction"] += [folder / f"link_prediction/{dataset}.csv" for dataset in datasets]
    return claims_table(**found)


def _answers(evidence: Evidence) -> Iterator[tuple[str, str, str]]:
    yield "(a) pools of advanced samplers are much smaller than random's", *_smaller_pools(evidence)
    yield "(b) samplers matter, but which one wins depends on the data set", *_winners(evidence)
    yield "(c) gains shrink as negatives grow, as random integration takes over", *_shrinking(evidence)
    yield "(d) adversarial follows the quality of its auxiliary model", *_follows_auxiliary(evidence)
    yield "(e) relational and typed often have no pool", *_no_pool(evidence)


def _smaller_pools(evidence: Evidence) -> tuple[str, str]:
    rows = evidence.pools.to_dict("records")
    of_random = {row["dataset"]: row["mean"] for row in rows if row["sampler"] == BASELINE}
    ratios = {
        (row["dataset"], row["sampler"]): row["mean"] / of_random[row["dataset"]]
        for row in rows
        if row["sampler"] in _ADVANCED and row["dataset"] in of_random
    }
    if not ratios:
        return UNDECIDED, "no pools of random and another sampler on one data set"
    small = sum(ratio <= _MUCH_SMALLER for ratio in ratios.values())
    (dataset, sampler), largest = max(ratios.items(), key=lambda item: item[1])
    where = f"{sampler_label(sampler)} on {dataset}"
    said = f"{small} of {len(ratios)} pools; the largest is {where}, {largest:.1%} of random's"
    return (HOLDS if small == len(ratios) else HOLDS_NOT), said


def _winners(evidence: Evidence) -> tuple[str, str]:
    compared = evidence.comparisons[evidence.comparisons["sampler"].isin(_ADVANCED)]
    if compared.empty:
        return UNDECIDED, "no advanced sampler was compared with random negatives"
    differ = compared["verdict"] != EQUAL
    said = f"{differ.sum()} of {len(compared)} comparisons of advanced samplers differ from random"
    datasets = compared["dataset"].unique()
    if len(datasets) < 2:
        return UNDECIDED, f"{said}; one data set alone"
    beats = {
        (str(model), str(dataset)): _sure_orders(lines)
        for (model, dataset), lines in compared.groupby(["model", "dataset"])
    }
    reversed_orders = [
        f"{model}: {sampler_label(one)} is above {sampler_label(other)} on {first}, and below it on {second}"
        for (model, first), orders in beats.items()
        for one, other in sorted(orders)
        for (of_model, second), others in beats.items()
        if of_model == model and first < second and (other, one) in others
    ]
    if reversed_orders:
        more = f", and {len(reversed_orders) - 1} more" if len(reversed_orders) > 1 else ""
        return HOLDS, f"{said}; orders that turn from one data set to another: {reversed_orders[0]}{more}"
    if not differ.any():
        return UNDECIDED, said
    return HOLDS_NOT, f"{said}; no two samplers whose order turns from one data set to another"


def _sure_orders(lines: pd.DataFrame) -> set[tuple[str, str]]:
    """List pairs of samplers, random among them, of which one is surely above the other.

    With some number of negatives, and below it with none. Above random is what is marked so after Holm's correction;
    above another is what lies above with the whole interval.
    """
    above: set[tuple[str, str]] = set()
    for _, of_number in lines.groupby("negatives"):
        rows = [*of_number[["sampler", "difference_low", "difference_high"]].itertuples(index=False, name=None)]
        above |= {(one, other) for one, low, _ in rows for other, _, high in rows if low > high}
        for sampler, verdict in of_number[["sampler", "verdict"]].itertuples(index=False, name=None):
            if verdict in (BETTER, WORSE):
                above.add((sampler, BASELINE) if verdict == BETTER else (BASELINE, sampler))
    return {(one, other) for one, other in above if (other, one) not in above}


def _shrinking(evidence: Evidence) -> tuple[str, str]:
    shrunk = grown = 0
    for _, lines in evidence.comparisons.groupby(["dataset", "model", "sampler"]):
        first, last = lines.sort_values("negatives").iloc[[0, -1]].to_dict("records")
        # PyKEEN's samplers do not count slots, and compare as false
        if last[FALLBACK] - first[FALLBACK] >= _TAKES_OVER and first["verdict"] == BETTER:
            is_smaller = last["difference"] < first["difference"]
            shrunk, grown = shrunk + is_smaller, grown + (not is_smaller)
    if not shrunk + grown:
        return UNDECIDED, f"no gain where the fallback's share grows by {_POINTS} with the negatives"
    p_value = stats.binomtest(shrunk, shrunk + grown).pvalue
    said = (
        f"where the fallback's share grows by {_POINTS} or more, {shrunk} of {shrunk + grown} gains shrink "
        f"(sign test: p = {p_value:.2g}, as if they were independent)"
    )
    if p_value >= _LEVEL:
        return UNDECIDED, said
    return (HOLDS if shrunk > grown else HOLDS_NOT), said


def _follows_auxiliary(evidence: Evidence) -> tuple[str, str]:
    of_adversarial = evidence.comparisons[evidence.comparisons["sampler"] == "adversarial"]
    gaps = of_adversarial.groupby("dataset")["difference"].mean()
    both = pd.concat([gaps, evidence.auxiliary.rename("auxiliary")], axis="columns", join="inner")
    listed = "; ".join(f"{name}: MRR {row.auxiliary:.3f}, gap {row.difference:+.3f}" for name, row in both.iterrows())
    if len(both) < _ENOUGH:
        return UNDECIDED, f"auxiliary models of {len(both)} data sets, {_ENOUGH} are needed; {listed}".rstrip("; ")

    def correlation(auxiliary: NDArray[np.float64]) -> float:
        return float(stats.spearmanr(auxiliary, both["difference"]).statistic)

    # so few are not normal: all orders are gone through where there are not too many
    found = stats.permutation_test(
        (both["auxiliary"].to_numpy(),), correlation, permutation_type="pairings", rng=np.random.default_rng(0)
    )
    said = f"rank correlation {found.statistic:.2f} (p = {found.pvalue:.2g}); {listed}"
    if found.pvalue >= _LEVEL:
        return UNDECIDED, said
    return (HOLDS if found.statistic > 0 else HOLDS_NOT), said


def _no_pool(evidence: Evidence) -> tuple[str, str]:
    pools = evidence.pools[evidence.pools["sampler"].isin(["typed", "relational"])]
    if pools.empty:
        return UNDECIDED, "neither was run"
    said = "; ".join(
        f"{row.sampler} on {row.dataset}: {row.share_at_most_0:.1%}" for row in pools.itertuples(index=False)
    )
    is_often = pools.groupby("sampler")["share_at_most_0"].mean() >= _OFTEN
    if not is_often.all():
        return HOLDS_NOT, said
    return (HOLDS if len(is_often) == 2 else UNDECIDED), said
