"""What the numbers of a benchmark mean: ratios turn by turn, memory, formulas, generated graphs."""

import json
import sys
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
import torch

from negsamp.bench.build import in_fresh_process, over
from negsamp.bench.machine import clock, clock_name, memory, tensor_bytes
from negsamp.bench.report import content_of, table_of
from negsamp.bench.scaling import Shape, fit, shapes, zipf_triples
from negsamp.bench.throughput import shuffled_batches, summarise_throughput
from negsamp.datasets import load_dataset
from negsamp.sampling import make_sampler

#: of a turn, how many slots the contender fills in a second
RATES = {"basic": [10, 20, 40], "corrupt": [20, 20, 20], "limit": [100, 100, 400]}


def turns() -> list[dict[str, object]]:
    return [
        {
            "contender": name,
            "group": "negsamp",
            "negatives": 2,
            "repetition": repetition,
            "slots": 100 * rate,
            "valid": 50 * rate,
            "seconds": 100.0,
        }
        for name, rates in RATES.items()
        for repetition, rate in enumerate(rates)
    ]


def test_a_ratio_is_the_median_of_ratios_taken_turn_by_turn() -> None:
    basic, corrupt, _ = summarise_throughput(turns())
    assert basic["times"]["basic"] == {"median": 1, "q25": 1, "q75": 1}
    # 2, 1 and ½, whatever the machine did meanwhile
    assert corrupt["times"]["basic"] == {"median": 1, "q25": 0.75, "q75": 1.5}
    assert corrupt["times"]["limit"]["median"] == pytest.approx(0.2)
    assert corrupt["per_second"] == {"median": 20, "q25": 20, "q75": 20}
    assert corrupt["valid"] == 0.5
    # with those that were not measured, nothing is compared
    assert corrupt["times"].keys() == {"basic", "limit"}


def test_tables_leave_out_what_was_not_measured() -> None:
    about = {
        "processor": "abacus",
        "threads": 1,
        "cores": 2,
        "clock": "wall",
        "versions": {"torch": "2", "torchkge": None},
    }
    about["left_out"] = {"torchkge": "not installed"}
    content = content_of("throughput", turns(), about)
    assert json.loads(json.dumps(content)) == content
    text = table_of("throughput", content, "github")
    assert text.startswith("abacus, 1 thread of 2 cores, torch 2, wall time. Not measured: torchkge: not installed.")
    assert "| × limit |" in text.replace("  ", " ").replace("  ", " ")
    assert "loop" not in text
    assert "bloom" not in text


def test_batches_are_full_and_of_training_triples() -> None:
    triples = torch.arange(30).view(10, 3)
    batches = shuffled_batches(triples, 4, 5)
    assert [len(batch) for batch in batches] == [4] * 5
    assert len(torch.unique(torch.cat(batches[:2]), dim=0)) == 8
    assert [len(batch) for batch in shuffled_batches(triples, 100, 2)] == [10, 10]


def test_one_thread_is_timed_by_the_processor() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        assert clock_name() == "processor"
        assert clock() <= clock()
        torch.set_num_threads(2)
        assert clock_name() == "wall"
        assert clock() <= clock()
    finally:
        torch.set_num_threads(before)


def test_tensors_are_counted_once() -> None:
    tensor = torch.zeros(100, dtype=torch.long)
    assert tensor_bytes([tensor, {"again": tensor[:50]}, (tensor,), "text", None]) == 800
    assert tensor_bytes(np.zeros(10)) == 80
    sampler = make_sampler("corrupt", load_dataset("nations"))
    pools = sampler.pools
    assert tensor_bytes(sampler) > tensor_bytes(pools) >= pools.members.untyped_storage().nbytes()


def allocate(megabytes: int) -> dict[str, float]:
    before = memory()
    # written to, so that it is there
    kept = np.ones(megabytes * 10**6 // 8)
    np.ones(2 * megabytes * 10**6 // 8)
    found = over(memory(), before)
    del kept
    return found


only_on_linux = pytest.mark.skipif(sys.platform != "linux", reason="memory is told on Linux alone")


@only_on_linux
def test_memory_is_that_of_the_process_alone() -> None:
    parent = np.ones(50 * 10**6)
    found = in_fresh_process(memory)
    assert found["peak_mb"] >= found["resident_mb"] >= found["private_mb"]
    # the system tells a new process the maximum of the one that started it
    assert found["peak_mb"] < memory()["resident_mb"]
    del parent


@only_on_linux
def test_peaks_are_over_what_was_held_before() -> None:
    found = allocate(100)
    assert found["resident_mb"] == pytest.approx(100, rel=0.1)
    assert found["private_mb"] == pytest.approx(100, rel=0.1)
    assert over({"resident_mb": 5.0, "peak_mb": 9.0}, {"resident_mb": 2.0, "peak_mb": 8.0}) == {
        "resident_mb": 3.0,
        "peak_mb": 7.0,
    }
    assert over({}, {}) == {}


def test_a_formula_is_found_again() -> None:
    rows = [
        {**asdict(shape), "sampler": "corrupt", "build_seconds": 3e-6 * shape.triples + 1e-6 * shape.entities + 0.25}
        for shape in shapes([10_000, 100_000, 1_000_000])
    ]
    found = fit(rows, "build_seconds")["corrupt"]
    expected = {"triple": 3e-6, "entity": 1e-6, "relation": 0, "anyway": 0.25, "error": 0}
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_shapes_are_in_proportion() -> None:
    assert shapes([20_614_279]) == [Shape(20_614_279, 4_594_485, 822)]
    small = shapes([100_000])
    assert len(small) == 3
    assert {shape.triples for shape in small} == {100_000}
    assert len({shape.entities for shape in small}) == len({shape.relations for shape in small}) == 2


def test_generated_graphs_have_few_frequent_entities() -> None:
    shape = Shape(20_000, 4_000, 50)
    triples = zipf_triples(shape, seed=1)
    assert triples.shape == (20_000, 3)
    assert len(torch.unique(triples, dim=0)) == 20_000
    assert triples.min() >= 0
    assert (triples.amax(dim=0) < torch.tensor([4_000, 50, 4_000])).all()
    assert torch.equal(triples, zipf_triples(shape, seed=1))
    assert not torch.equal(triples, zipf_triples(shape, seed=2))
    for column, least in ((0, 5), (1, 5), (2, 50)):
        counts = torch.bincount(triples[:, column])
        assert counts.max() > least * counts.float().mean()
    frequent = pd.Series(triples[:, 1].numpy()).value_counts(normalize=True)
    # 1/k of all, for the k-th most frequent relation
    assert frequent.iloc[0] == pytest.approx(np.log(2) / np.log(51), rel=0.1)
    assert frequent.index[0] == 0


def test_generating_leaves_the_global_generator_alone() -> None:
    state = torch.random.get_rng_state()
    zipf_triples(Shape(100, 50, 3))
    assert torch.equal(torch.random.get_rng_state(), state)
