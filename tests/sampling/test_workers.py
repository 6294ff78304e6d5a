"""Samplers in the workers of a data loader: which triples come out, what is warned of, drawn, copied and counted."""

import logging
import math
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from graphs import Graph, graph_named, graph_of, total
from pykeen.models import TransE
from pykeen.training import SLCWATrainingLoop
from pykeen.triples.instances import BatchedSLCWAInstances, SubGraphSLCWAInstances
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from negsamp import PoolNegativeSampler, RandomNegativeSampler, SamplerHandle
from negsamp.pools import LookUp, Pools
from negsamp.triples import TripleSet

pytestmark = [
    # of torch's own making: there may be fewer cores than workers, and each worker rounds its batches up
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),
    pytest.mark.filterwarnings("ignore:Length of IterableDataset:UserWarning"),
]

#: what the warning says, whatever the number of workers
WARNING = "use num_workers=0"


@pytest.fixture(scope="module")
def graph() -> Graph:
    return graph_named("nations")


def instances(graph: Graph, sampler: str = "corrupt", batch_size: int = 100, **options: object):
    return BatchedSLCWAInstances.from_triples_factory(
        graph.factory,
        batch_size=batch_size,
        drop_last=False,
        negative_sampler=sampler,
        negative_sampler_kwargs=options,
    )


# Which triples come out


@pytest.mark.parametrize("sampler", ["basic", "corrupt"])
@pytest.mark.parametrize("num_workers", [2, 3])
def test_pykeens_workers_all_go_through_the_same_first_triples(num_workers: int, sampler: str, graph: Graph):
    """Upstream: the positions that a worker shuffles start at 0 in each. Our warning goes when this test fails."""
    loader = DataLoader(instances(graph, sampler), batch_size=None, num_workers=num_workers)
    found = torch.cat([batch["positives"] for batch in loader])
    share = math.ceil(len(graph.lines) / num_workers)
    assert len(found) == len(graph.lines)
    assert set(map(tuple, found.tolist())) == set(map(tuple, graph.lines[:share].tolist()))


@pytest.mark.parametrize("num_workers", [0, 1])
def test_without_several_workers_every_triple_comes_once(num_workers: int, graph: Graph):
    loader = DataLoader(instances(graph), batch_size=None, num_workers=num_workers)
    found = torch.cat([batch["positives"] for batch in loader])
    assert sorted(map(tuple, found.tolist())) == sorted(map(tuple, graph.lines.tolist()))


# What is warned of


@pytest.fixture
def _log_to_standard_error(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Write records where those of workers are seen, too."""
    # by its number, which workers inherit; pytest exchanges the file behind sys.stderr before the test is called
    with open(2, "w", closefd=False) as stream:
        handler = logging.StreamHandler(stream)
        logger = logging.getLogger("negsamp")
        logger.addHandler(handler)
        yield
        logger.removeHandler(handler)


def train(graph: Graph, num_workers: int, **kwargs: object) -> PoolNegativeSampler:
    """Train for two epochs, each of which starts workers of its own."""
    handle = SamplerHandle()
    loop = SLCWATrainingLoop(
        model=TransE(triples_factory=graph.factory, embedding_dim=4, random_seed=0),
        triples_factory=graph.factory,
        negative_sampler="corrupt",
        negative_sampler_kwargs={"handle": handle},
        automatic_memory_optimization=False,
    )
    options = {"num_epochs": 2, "batch_size": 100, "use_tqdm": False, "num_workers": num_workers, "pin_memory": False}
    loop.train(graph.factory, **options, **kwargs)
    return handle.sampler


@pytest.mark.usefixtures("_log_to_standard_error")
@pytest.mark.parametrize("num_workers", [2, 3])
def test_all_workers_of_all_epochs_warn_once(num_workers: int, graph: Graph, capfd: pytest.CaptureFixture[str]):
    train(graph, num_workers)
    assert capfd.readouterr().err.count(WARNING) == 1


@pytest.mark.usefixtures("_log_to_standard_error")
def test_the_warning_says_what_is_lost(graph: Graph, capfd: pytest.CaptureFixture[str]):
    list(DataLoader(instances(graph), batch_size=None, num_workers=3))
    (line,) = (line for line in capfd.readouterr().err.splitlines() if WARNING in line)
    assert "with 3 workers" in line
    assert "first 1/3 of the triples" in line


@pytest.mark.usefixtures("_log_to_standard_error")
def test_each_sampler_warns_for_itself(graph: Graph, capfd: pytest.CaptureFixture[str]):
    for _ in range(2):
        list(DataLoader(instances(graph), batch_size=None, num_workers=2))
    assert capfd.readouterr().err.count(WARNING) == 2


def test_only_the_first_worker_warns(graph: Graph, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch):
    """Two that look at once whether another has warned would both do so."""
    data = instances(graph)
    for worker in (1, 0):
        info = SimpleNamespace(id=worker, num_workers=2, dataset=data)
        monkeypatch.setattr("negsamp.sampling.base.get_worker_info", lambda info=info: info)
        caplog.clear()
        data.negative_sampler.sample(graph.lines[:5])
        assert len(caplog.messages) == (worker == 0)


@pytest.mark.usefixtures("_log_to_standard_error")
@pytest.mark.parametrize("num_workers", [0, 1])
def test_one_worker_or_none_is_not_warned_of(num_workers: int, graph: Graph, capfd: pytest.CaptureFixture[str]):
    train(graph, num_workers)
    assert WARNING not in capfd.readouterr().err


@pytest.mark.usefixtures("_log_to_standard_error")
def test_subgraphs_are_not_warned_of(graph: Graph, capfd: pytest.CaptureFixture[str]):
    """Each worker walks from triples of its own choice."""
    train(graph, 2, sampler="schlichtkrull")
    subgraphs = SubGraphSLCWAInstances.from_triples_factory(
        graph.factory, batch_size=500, drop_last=False, negative_sampler="corrupt"
    )
    found = torch.cat([batch["positives"] for batch in DataLoader(subgraphs, batch_size=None, num_workers=2)])
    assert WARNING not in capfd.readouterr().err
    assert not set(map(tuple, found.tolist())) <= set(map(tuple, graph.lines[: len(graph.lines) // 2].tolist()))


@pytest.mark.usefixtures("_log_to_standard_error")
def test_other_data_sets_are_not_warned_of(graph: Graph, capfd: pytest.CaptureFixture[str]):
    list(DataLoader(Repeated(graph.sampler("corrupt"), graph.lines), batch_size=None, num_workers=2))
    assert WARNING not in capfd.readouterr().err


# What is drawn


class Repeated(IterableDataset):
    """Samples the same positives twice in each worker, and tells which one."""

    def __init__(self, sampler: PoolNegativeSampler, positives: torch.Tensor) -> None:
        self.sampler, self.positives = sampler, positives

    def __iter__(self) -> Iterator[tuple[int, torch.Tensor]]:
        worker = get_worker_info()
        for _ in range(2):
            yield -1 if worker is None else worker.id, self.sampler.sample(self.positives)[0]


def draws(sampler: PoolNegativeSampler, graph: Graph, num_workers: int, seed: int) -> list[tuple[int, torch.Tensor]]:
    torch.manual_seed(seed)
    return list(DataLoader(Repeated(sampler, graph.lines[:100]), batch_size=None, num_workers=num_workers))


@pytest.mark.parametrize("num_workers", [0, 1, 2, 3])
def test_no_two_draws_are_alike_and_a_seed_repeats_them_all(num_workers: int, graph: Graph):
    # with the side fixed, nothing but the entities is left to chance
    sampler = graph.sampler("random", num_negs_per_pos=3, corruption="tail")
    first, again, other = (draws(sampler, graph, num_workers, seed) for seed in (0, 0, 1))
    assert sorted(worker for worker, _ in first) == sorted(2 * list(range(num_workers)) or [-1, -1])
    assert [worker for worker, _ in first] == [worker for worker, _ in again]
    assert all(torch.equal(a, b) for (_, a), (_, b) in zip(first, again, strict=True))
    batches = [batch for _, batch in first + other]
    assert not any(torch.equal(a, b) for i, a in enumerate(batches) for b in batches[:i])


# What is copied


def private_bytes() -> int:
    """Return how much memory belongs to this process alone."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Clean:", "Private_Dirty:")))


class Private(IterableDataset):
    """Samples in each worker, and tells how much memory it then has for itself."""

    def __init__(self, sampler: PoolNegativeSampler, positives: torch.Tensor, copied: bool) -> None:
        self.sampler, self.positives, self.copied = sampler, positives, copied

    def __iter__(self) -> Iterator[int]:
        copy = self.sampler.pools.members.clone() if self.copied else None
        for _ in range(20):
            self.sampler.sample(self.positives)
        yield private_bytes()
        del copy


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").is_file(), reason="the system does not tell whose memory it is")
def test_workers_do_not_copy_the_pools():
    num_entities, num_rows = 2**20, 32
    heads = torch.arange(1000)
    lines = torch.stack([heads, heads % (num_rows // 2), heads + 1000], dim=-1)
    triples = TripleSet(lines, num_entities, num_rows // 2)
    rows = torch.arange(num_rows).repeat_interleave(num_entities)
    pools = Pools.from_rows(LookUp.RELATION, triples, rows, torch.arange(num_entities).repeat(num_rows), num_rows)
    size = pools.members.numel() * pools.members.element_size()
    assert size >= 100 << 20
    sampler = RandomNegativeSampler(
        mapped_triples=lines, num_entities=num_entities, num_relations=num_rows // 2, num_negs_per_pos=10, pools=pools
    )
    shared, copied = (
        max(DataLoader(Private(sampler, lines, copied), batch_size=None, num_workers=2)) for copied in (False, True)
    )
    assert shared < size / 4
    # a copy would be seen
    assert copied > size


# What is counted


@pytest.mark.parametrize("num_workers", [0, 1, 3])
def test_slots_are_counted_over_all_workers(num_workers: int, graph: Graph):
    data = instances(graph, num_negs_per_pos=7, fallback="random")
    valid = masked = 0
    for _ in range(2):
        for batch in DataLoader(data, batch_size=None, num_workers=num_workers):
            mask = batch.get("masks", torch.ones(batch["negatives"].shape[:-1], dtype=torch.bool))
            valid, masked = valid + int(mask.sum()), masked + int((~mask).sum())
    usage = data.negative_sampler.usage
    assert valid + masked == total(usage) == 2 * 7 * len(graph.lines)
    assert usage["masked"] == masked


def test_no_worker_can_overwrite_the_counts_of_another(graph: Graph):
    """Each has a row of its own, since adding to shared memory is no single step."""
    data = instances(graph, batch_size=1)
    list(DataLoader(data, batch_size=None, num_workers=3))
    share = len(graph.lines) // 3
    by_process = data.negative_sampler.usage._counts.sum(dim=-1).tolist()
    assert by_process[0] == 0
    assert all(share <= count <= share + 1 for count in by_process[1:4])
    assert not any(by_process[4:])


def test_every_stage_is_counted_over_all_workers():
    """Of four slots, the pool gives the one other tail of the first relation, and the fallback the rest."""
    graph = graph_of({(0, 0, 1), (2, 0, 3), *((i, i, i + 1) for i in range(4, 20))}, num_entities=21, num_relations=20)
    data = instances(graph, batch_size=4, num_negs_per_pos=4, corruption="tail", fallback="random")
    batches = list(DataLoader(data, batch_size=None, num_workers=3))
    positives = torch.cat([batch["positives"] for batch in batches])
    of_two = int((positives[:, 1] == 0).sum())
    assert of_two
    assert dict(data.negative_sampler.usage) == {
        "masked": 0,
        "pool": of_two,
        "everything": 4 * len(positives) - of_two,
        "rescued": 0,
    }


@pytest.mark.parametrize("num_workers", [0, 2])
def test_rescued_slots_are_counted_over_all_workers(num_workers: int):
    graph = graph_of({(i, i, i + 1) for i in range(20)}, num_entities=21, num_relations=20)
    data = instances(graph, batch_size=5, num_negs_per_pos=3)
    batches = list(DataLoader(data, batch_size=None, num_workers=num_workers))
    usage = data.negative_sampler.usage
    assert len(batches) == 4
    assert (usage["rescued"], usage["masked"]) == (4, 3 * 20 - 4)


def test_workers_that_share_no_memory_by_birth_count_and_warn_together(graph: Graph):
    """As on systems where processes start anew instead of as copies."""
    data = instances(graph, num_negs_per_pos=2)
    loader = DataLoader(data, batch_size=None, num_workers=2, multiprocessing_context="spawn")
    assert sum(len(batch["positives"]) for batch in loader) == len(graph.lines)
    assert total(data.negative_sampler.usage) == 2 * len(graph.lines)
    assert data.negative_sampler._has_warned.item()
