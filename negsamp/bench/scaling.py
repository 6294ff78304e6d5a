"""Scaling: how build, memory and throughput grow with a graph, up to the size of Wikidata5M."""

import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from pykeen.sampling import BasicNegativeSampler
from pykeen.typing import FloatTensor, LongTensor
from scipy.optimize import nnls

from negsamp.bench.build import in_fresh_process, over
from negsamp.bench.contenders import BASIC
from negsamp.bench.machine import clock, memory, tensor_bytes
from negsamp.bench.throughput import Record, shuffled_batches, spread
from negsamp.io import load_tensors, save_tensors
from negsamp.pools import save_stage
from negsamp.sampling import SAMPLERS
from negsamp.triples import distinct

__all__ = ["Shape", "fit", "measure_scaling", "shapes", "summarise_scaling", "zipf_triples"]

#: entities and relations of Wikidata5M, and its training triples
_ENTITIES, _RELATIONS, _TRIPLES = 4_594_485, 822, 20_614_279


@dataclass(frozen=True)
class Shape:
    """The size of a graph."""

    triples: int
    entities: int
    relations: int


def shapes(triples: Sequence[int], crossed: int = 1_000_000) -> list[Shape]:
    """List graphs of so many triples, in Wikidata5M's proportions.

    :param triples: numbers of triples
    :param crossed: up to this size, also graphs of a quarter of the entities, and of an eighth of the relations, which
        tell apart what grows with what
    """
    result = []
    for number in triples:
        entities = max(number * _ENTITIES // _TRIPLES, 2)
        result.append(Shape(number, entities, _RELATIONS))
        if number <= crossed:
            result += [Shape(number, entities // 4, _RELATIONS), Shape(number, entities, _RELATIONS // 8)]
    return result


def zipf_triples(shape: Shape, seed: int = 0) -> LongTensor:
    """Draw a graph whose degrees fall off as those of Wikidata5M do.

    The k-th most frequent relation or tail is about 1/k as frequent as the first, the k-th most frequent head 1/√k: one
    class is the type of very many entities, and no entity says very much.

    :param shape: its size
    :param seed: the seed of a generator of its own

    :returns: shape: (num_triples, 3), distinct, in lexicographic order
    """
    generator = torch.Generator().manual_seed(seed)
    # frequent heads are not the frequent tails
    renamed = torch.randperm(shape.entities, generator=generator)
    found = torch.empty(0, 3, dtype=torch.long)
    while (missing := shape.triples - len(found)) > 0:
        heads, relations, tails = torch.rand(3, missing + missing // 10 + 10, generator=generator, dtype=torch.double)
        # the inverse of the cumulative distribution, for the exponent ½
        heads = (shape.entities * heads**2).long()
        drawn = [heads, _by_rank(relations, shape.relations), renamed[_by_rank(tails, shape.entities)]]
        found = distinct(torch.cat([found, torch.stack(drawn, dim=-1)]))
    keep = torch.randperm(len(found), generator=generator)[: shape.triples].sort().values
    return found[keep]


def _by_rank(uniform: FloatTensor, count: int) -> LongTensor:
    """Turn uniform numbers into numbers below a count, k + 1 about as often as 1 / (k + 1)."""
    return ((count + 1.0) ** uniform - 1).long().clamp(max=count - 1)


def measure_scaling(
    graphs: Sequence[Shape],
    samplers: Sequence[str] = ("corrupt", "relational"),
    *,
    negatives: int = 10,
    batch_size: int = 1000,
    batches: int = 20,
    repeats: int = 3,
    workers: int = 4,
    seed: int = 0,
) -> Iterator[Record]:
    """Build, draw, store and open the pools of generated graphs, each in a process of its own.

    :param graphs: the sizes
    :param samplers: samplers of ours that need nothing but triples
    :param negatives: negatives a positive
    :param batch_size: positives a batch
    :param batches: batches a turn of drawing, in which PyKEEN's ``basic`` takes turns with ours
    :param repeats: turns of each
    :param workers: processes that open the stored pools at the same time
    :param seed: of graphs and draws

    :yields: one record a graph and sampler
    """
    drawing = {"negatives": negatives, "batch_size": batch_size, "batches": batches, "repeats": repeats, "seed": seed}
    for graph in graphs:
        with tempfile.TemporaryDirectory() as folder:
            triples, pools = Path(folder) / "triples.safetensors", Path(folder) / "pools.safetensors"
            save_tensors(triples, {"triples": zipf_triples(graph, seed)}, {})
            for name in samplers:
                job = _Job(name, graph, triples, pools, torch.get_num_threads())
                built = in_fresh_process(_build, job, **drawing)
                opened = _open_together(job, workers)
                yield {
                    **asdict(graph),
                    "sampler": name,
                    **built,
                    "workers": workers,
                    "open_seconds": [worker["seconds"] for worker in opened],
                    "private_mb": [worker.get("private_mb") for worker in opened],
                }


@dataclass(frozen=True)
class _Job:
    """What a process is told."""

    sampler: str
    graph: Shape
    triples: Path
    pools: Path
    threads: int

    def options(self) -> dict[str, Any]:
        tensors, _ = load_tensors(self.triples)
        tensors["triples"].sum()  # what is mapped to memory counts once it is read
        return {
            "mapped_triples": tensors["triples"],
            "num_entities": self.graph.entities,
            "num_relations": self.graph.relations,
        }


def _build(job: _Job, *, negatives: int, batch_size: int, batches: int, repeats: int, seed: int) -> Record:
    torch.set_num_threads(job.threads)
    imported = memory()
    options = {**job.options(), "num_negs_per_pos": negatives}
    loaded = over(memory(), imported)
    start = clock()
    sampler = SAMPLERS[job.sampler](**options)
    seconds = clock() - start
    built = over(memory(), imported)
    save_stage(job.pools, sampler.stages[0], sampler.triples, filtered=True)
    torch.manual_seed(seed)
    positives = shuffled_batches(options["mapped_triples"], batch_size, batches)
    basic = BasicNegativeSampler(**options)
    per_second: dict[str, list[float]] = {"ours": [], "basic": []}
    for repetition in range(repeats + 1):
        for key, drawer in (("ours", sampler), ("basic", basic)):
            start = clock()
            for batch in positives:
                drawer.sample(batch)
            if repetition:  # the first is not counted
                per_second[key].append(sum(map(len, positives)) * negatives / (clock() - start))
    return {
        "build_seconds": seconds,
        "loaded_mb": loaded.get("resident_mb"),
        "resident_mb": built.get("resident_mb"),
        "peak_mb": built.get("peak_mb"),
        "tensors_mb": tensor_bytes(sampler) / 1e6,
        "file_mb": job.pools.stat().st_size / 1e6,
        "per_second": per_second["ours"],
        "basic_per_second": per_second["basic"],
    }


def _open_together(job: _Job, workers: int) -> list[Record]:
    """Open stored pools in some processes, and look at all of them when each has."""
    context = get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=_meet, initargs=(context.Barrier(workers),)) as executor:
        return list(executor.map(_open, [job] * workers))


#: where the processes wait for one another
_barrier: Barrier


def _meet(barrier: Barrier) -> None:
    global _barrier
    _barrier = barrier


def _open(job: _Job) -> Record:
    torch.set_num_threads(job.threads)
    # so that each process gets one of the jobs
    _barrier.wait()
    imported = memory()
    options = job.options()
    start = clock()
    sampler = SAMPLERS[job.sampler](**options, num_negs_per_pos=10, pools=job.pools)
    seconds = clock() - start
    sampler.sample(options["mapped_triples"][:1000])
    found = over(memory(), imported)
    # what is shared shows only while all hold it
    _barrier.wait()
    return {"seconds": seconds, **found}


def summarise_scaling(rows: Sequence[Record]) -> list[Record]:
    """Summarise the turns of drawing, and the workers, of each graph and sampler."""
    return [
        {
            **{key: value for key, value in row.items() if not isinstance(value, list)},
            "per_second": spread(pd.Series(row["per_second"])),
            "times": {BASIC: spread(pd.Series(np.divide(row["per_second"], row["basic_per_second"])))},
            "open_seconds": spread(pd.Series(row["open_seconds"])),
            "private_mb": None if None in row["private_mb"] else spread(pd.Series(row["private_mb"])),
        }
        for row in rows
    ]


def fit(rows: Sequence[Record], measured: str) -> dict[str, dict[str, float]]:
    """Explain a measurement by the sizes of the graph: so much a triple, an entity and a relation, and so much anyway.

    Least squares of relative errors, so that small graphs count as much as large ones, with no number below zero.

    :param rows: records of :func:`measure_scaling`
    :param measured: which of their values to explain

    :returns: by sampler, the four numbers; and the largest relative error, under ``error``
    """
    result = {}
    frame = pd.DataFrame(rows)
    for name, graphs in frame.groupby("sampler", sort=False):
        values = graphs[measured].to_numpy(dtype=float)
        sizes = np.column_stack([graphs[["triples", "entities", "relations"]].to_numpy(float), np.ones(len(graphs))])
        numbers, _ = nnls(sizes / values[:, None], np.ones(len(graphs)))
        error = float(np.abs(sizes @ numbers / values - 1).max())
        keys = ("triple", "entity", "relation", "anyway")
        result[str(name)] = {**dict(zip(keys, map(float, numbers), strict=True)), "error": error}
    return result
