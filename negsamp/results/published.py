"""Numbers that others published, beside ours."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pandas as pd

from negsamp.choice import OBJECTIVE
from negsamp.results.collect import STUDY, Paths, read_pools, read_tables
from negsamp.results.tables import Table, sampler_label
from negsamp.significance import UNDECIDED

__all__ = ["published_table"]


def published_table(pools: Paths, link_prediction: Paths) -> Table:
    """Put numbers that others published beside those of one experiment or several.

    :param pools: a ``tables/pools.csv`` of each experiment
    :param link_prediction: a ``tables/link_prediction/{dataset}.csv`` of each data set

    :raises InputError: if a table is missing or damaged, or two have a row in common
    """
    mrr = f"{OBJECTIVE}_mean"
    sizes = read_pools(pools).set_index(["dataset", "sampler"])["mean"]
    found = read_tables(link_prediction, [*STUDY, mrr], STUDY)
    text = Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")
    rows, shown = [], []
    for number in tomllib.loads(text)["number"]:
        which = ""
        if number["quantity"] == "mean_pool":
            ours, form = sizes.get((number["dataset"], number["sampler"])), ",.1f"
            what = f"mean pool of {sampler_label(number['sampler'])}"
        else:
            named = [name for name in STUDY if name in number]
            same = found[(found[named] == [number[name] for name in named]).all(axis=1)].dropna(subset=[mrr])
            # a published best stands beside our best
            best = same.sort_values(mrr, ascending=False, kind="stable").to_dict("records")
            ours, form = (best[0][mrr] if best else None), ".3f"
            if best and "sampler" not in number:
                label, negatives = sampler_label(best[0]["sampler"]), best[0]["negatives"]
                which = f" ({label}, {negatives})" if negatives else f" ({label})"
            what = f"test MRR of {number['model']}"
            if "sampler" in number:
                what += f", {sampler_label(number['sampler'])}, {number['negatives']} negatives"
        row: dict[str, Any] = {**number, "ours": ours, "difference": None if ours is None else ours - number["value"]}
        rows.append(row)
        told = [UNDECIDED, "—"] if ours is None else [f"{ours:{form}}{which}", f"{row['difference']:+{form}}"]
        shown.append([number["dataset"], what, f"{number['value']:{form}}", *told, number["source"]])
    return Table(
        raw=pd.DataFrame(rows),
        display=pd.DataFrame(shown, columns=["data set", "what", "published", "ours", "difference", "source"]),
        title="Published numbers beside ours",
        label="published",
        notes=(
            "Compared where this experiment ran on the same data set. Test MRR is a mean over its seeds; where the "
            "best of a search was published, it is the largest of such means, chosen on test, with the sampler and the "
            "number of negatives in brackets. The source tells what else is different."
        ),
        text_columns=2,
    )
