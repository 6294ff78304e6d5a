"""Throughput: how many slots each contender fills a second."""

import gc
import itertools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pandas as pd
import torch
from pykeen.typing import LongTensor

from negsamp.bench.contenders import BASIC, BLOOM, LIMIT, LOOP, Arena, Drawer, group_of
from negsamp.bench.machine import clock

__all__ = [
    "Record",
    "compare",
    "measure_throughput",
    "shuffled_batches",
    "spread",
    "summarise_throughput",
    "uncollected",
]

#: plain values by name
Record = dict[str, Any]


def measure_throughput(
    arena: Arena,
    names: Sequence[str],
    *,
    negatives: Sequence[int] = (1, 10, 100),
    batch_size: int = 1000,
    batches: int = 10,
    seconds: float = 1.0,
    repeats: int = 5,
    seed: int = 0,
) -> list[Record]:
    """Let contenders draw in turns for the same batches of training triples.

    :param arena: makes the contenders
    :param names: the contenders
    :param negatives: numbers of negatives a positive
    :param batch_size: positives a batch
    :param batches: batches a turn
    :param seconds: a turn ends before its last batch when it has taken so long, which slow contenders do
    :param repeats: turns of each contender
    :param seed: of the order of the positives, of the turns, and of the draws

    :returns: one record a turn
    """
    torch.manual_seed(seed)
    positives = shuffled_batches(arena.dataset.training.mapped_triples, batch_size, batches)
    rows = []
    for number in negatives:
        drawers = {name: arena.make(name, number) for name in names}
        for drawer in drawers.values():
            drawer.sample(positives[0])  # what is done once is done now
        with uncollected():
            turns = [(repetition, i) for repetition in range(repeats) for i in torch.randperm(len(names)).tolist()]
            taken = {(i, turn): _turn(drawers[names[i]], positives, number, seconds) for turn, i in turns}
        rows += [
            {
                "contender": names[i],
                "group": group_of(names[i]),
                "negatives": number,
                "repetition": turn,
                "slots": slots,
                "valid": valid,
                "seconds": elapsed,
            }
            for (i, turn), (slots, valid, elapsed) in sorted(taken.items())
        ]
    return rows


@contextmanager
def uncollected() -> Iterator[None]:
    """Spare the collection of garbage the walk through what is there already: other contenders, and all imports."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def shuffled_batches(mapped_triples: LongTensor, batch_size: int, count: int) -> list[LongTensor]:
    """Return batches as a training has them; a graph of few triples is gone through again."""
    order = mapped_triples[torch.randperm(len(mapped_triples))]
    full = [batch for batch in order.split(batch_size) if len(batch) == min(batch_size, len(order))]
    return list(itertools.islice(itertools.cycle(full), count))


def _turn(drawer: Drawer, positives: Iterable[LongTensor], negatives: int, seconds: float) -> tuple[int, int, float]:
    """Draw for some batches.

    :returns: slots, how many of them are valid, and seconds
    """
    slots, valid, elapsed = 0, 0, 0.0
    for batch in positives:
        start = clock()
        _, mask = drawer.sample(batch)
        elapsed += clock() - start
        slots += len(batch) * negatives
        valid += len(batch) * negatives if mask is None else int(mask.sum())
        if elapsed >= seconds:
            break
    return slots, valid, elapsed


def summarise_throughput(rows: Sequence[Record]) -> list[Record]:
    """Summarise the turns of each contender and number of negatives.

    :returns: slots a second; the same in multiples of what some contenders fill in the same repetition, where they were
        measured; and the share of valid slots
    """
    frame = pd.DataFrame(rows)
    frame["per_second"] = frame["slots"] / frame["seconds"]
    return [
        {
            "contender": name,
            "group": group_of(str(name)),
            "negatives": negatives,
            "per_second": spread(turns["per_second"]),
            "times": {other: spread(turns[other]) for other in (BASIC, BLOOM, LOOP, LIMIT) if other in turns},
            "valid": float(turns["valid"].sum() / turns["slots"].sum()),
        }
        for (name, negatives), turns in compare(
            frame, "per_second", (BASIC, BLOOM, LOOP, LIMIT), ["negatives", "repetition"]
        ).groupby(["contender", "negatives"], sort=False)
    ]


def compare(frame: pd.DataFrame, value: str, others: Iterable[str], turn: list[str]) -> pd.DataFrame:
    """Add the ratio of a value to that of other contenders in the same turn, a column each.

    :param frame: one row a contender and turn
    :param value: the column
    :param others: the contenders compared with; those that are not there get no column
    :param turn: the columns that tell turns apart
    """
    frame = frame.copy()
    keys = pd.MultiIndex.from_frame(frame[turn])
    for other in others:
        of_other = frame[frame["contender"] == other].set_index(turn)[value]
        if len(of_other):
            frame[other] = frame[value].to_numpy() / of_other.reindex(keys).to_numpy()
    return frame


def spread(values: pd.Series) -> dict[str, float]:
    """Return the median and the quartiles."""
    low, median, high = values.quantile([0.25, 0.5, 0.75])
    return {"median": float(median), "q25": float(low), "q75": float(high)}
