"""Verdicts on single questions: the paper's first experiments, and the checks that were run."""

from __future__ import annotations

from typing import Any

import pandas as pd

from negsamp.choice import OBJECTIVE
from negsamp.io import read_json
from negsamp.records import CHECKS, require_valid
from negsamp.results.collect import Paths, read_auxiliaries, read_reciprocal_ranks, read_statistics
from negsamp.results.comparison import BASELINE, compare_samplers
from negsamp.results.grid import Grid
from negsamp.results.tables import Table
from negsamp.significance import UNDECIDED

__all__ = ["checks_table", "first_experiments_table"]


def first_experiments_table(statistics: Paths, ranks: Paths, auxiliaries: Paths, *, grid: Grid) -> Table:
    """Answer the paper's first experiments, with the fewest negatives that were run.

    :param statistics: a ``{sampler}.statistics.json`` of each data set and sampler that has pools
    :param ranks: a ``seed-{seed}.ranks.csv.gz`` of each study with the fewest negatives and each seed
    :param auxiliaries: a ``record.json`` of each auxiliary model
    :param grid: what is compared

    :raises InputError: if a file is missing or damaged
    """
    fewest = min(grid.negatives)
    sizes = read_statistics(statistics)
    of_both = sizes[sizes["side"] == "both"].to_dict("records")
    means = {(row["dataset"], row["sampler"]): row["mean"] for row in of_both}
    quality = read_auxiliaries(auxiliaries).set_index("dataset")[OBJECTIVE]
    found = read_reciprocal_ranks(ranks)
    rows = []
    for dataset in grid.datasets:
        rows.append(_typed_pools(dataset, means))
        for sampler, baseline in [("typed", BASELINE), ("corrupt", "basic"), ("adversarial", BASELINE)]:
            pair = [name for name in (sampler, baseline) if name in grid.samplers and grid.applies(dataset, name)]
            studies = [(dataset, model, name, fewest) for model in grid.models for name in pair]
            compared = compare_samplers(found, studies, grid.seeds, baseline) if len(pair) == 2 else pd.DataFrame()
            trained = f"; the auxiliary model's validation MRR is {quality[dataset]:.3f}" if dataset in quality else ""
            rows += [
                {
                    "dataset": dataset,
                    "question": f"{row['model']}: is {sampler} better than {baseline}, {_of_negatives(fewest)}?",
                    "verdict": row["verdict"],
                    "evidence": (
                        f"test MRR {row['difference']:+.3f} [{row['difference_low']:+.3f}, "
                        f"{row['difference_high']:+.3f}], p = {row['p_holm']:.2g}"
                        f"{trained if sampler == 'adversarial' else ''}"
                    ),
                }
                for row in compared.to_dict("records")
            ] or [_undecided(dataset, f"is {sampler} better than {baseline}?", "both were not run, or failed")]
    seeds = f"On the same test triples and up to {len(grid.seeds)} seeds"
    notes = f"{seeds}; Holm's correction over the models of a question."
    return _verdicts(rows, "First experiments", "first-experiments", notes)


def checks_table(checks: Paths) -> Table:
    """List the checks that were run, see :mod:`negsamp.checks`.

    :param checks: a JSON file of each data set

    :raises InputError: if a file is missing or damaged
    """
    rows = []
    for path in sorted(map(str, checks)):
        found = read_json(path)
        require_valid(found, CHECKS, path, "the checks of a data set")
        rows += [{**row, "question": row["check"]} for row in found]
    return _verdicts(rows, "Checks", "checks", "")


def _typed_pools(dataset: str, means: dict[tuple[str, str], float]) -> dict[str, Any]:
    question = "are typed pools smaller than random's?"
    typed, everything = means.get((dataset, "typed")), means.get((dataset, BASELINE))
    if typed is None or everything is None:
        return _undecided(dataset, question, "typed is not applicable, or was not run beside random")
    said = f"mean pool {typed:,.1f}, random's {everything:,.1f}"
    # the published number is of the authors' own types
    return {
        "dataset": dataset,
        "question": question,
        "verdict": "yes" if typed < everything else "no",
        "evidence": said + ("; published: about 1,295" if dataset == "fb15k" else ""),
    }


def _of_negatives(number: int) -> str:
    return f"{number} negative" + ("s" if number > 1 else "")


def _undecided(dataset: str, question: str, why: str) -> dict[str, Any]:
    return {"dataset": dataset, "question": question, "verdict": UNDECIDED, "evidence": why}


def _verdicts(rows: list[dict[str, Any]], title: str, label: str, notes: str) -> Table:
    raw = pd.DataFrame(rows, columns=["dataset", "question", "verdict", "evidence"])
    display = raw.rename(columns={"dataset": "data set"})
    return Table(raw=raw, display=display, title=title, label=label, notes=notes, text_columns=4)
