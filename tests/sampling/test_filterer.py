"""The exact filterer: for PyKEEN's own samplers, and against PyKEEN's filterer by Python sets."""

import math
from typing import Any

import pytest
import torch
from graphs import Graph, graph_named
from hypothesis import given, settings
from hypothesis import strategies as st
from pykeen.pipeline import pipeline
from pykeen.sampling import (
    BasicNegativeSampler,
    BernoulliNegativeSampler,
    PseudoTypedNegativeSampler,
    negative_sampler_resolver,
)
from pykeen.sampling.filtering import Filterer, PythonSetFilterer, filterer_resolver
from pykeen.training import TrainingCallback

from negsamp import ExactFilterer

#: PyKEEN's samplers
SAMPLERS = {
    "basic": BasicNegativeSampler,
    "bernoulli": BernoulliNegativeSampler,
    "pseudotyped": PseudoTypedNegativeSampler,
}

every_sampler = pytest.mark.parametrize("name", SAMPLERS)


@pytest.fixture(scope="module")
def graph() -> Graph:
    return graph_named("nations")


# By name


@pytest.mark.parametrize("name", ["exact", "Exact", "ExactFilterer", ExactFilterer])
def test_pykeen_knows_it_by_name(name: Any, graph: Graph):
    assert filterer_resolver.lookup(name) is ExactFilterer
    assert type(filterer_resolver.make(name, mapped_triples=graph.lines)) is ExactFilterer


@every_sampler
def test_pykeens_samplers_take_it(name: str, graph: Graph):
    assert negative_sampler_resolver.lookup(name) is SAMPLERS[name]
    sampler = SAMPLERS[name](mapped_triples=graph.lines, filtered=True, filterer="exact", num_negs_per_pos=10)
    assert type(sampler.filterer) is ExactFilterer
    negatives, mask = sampler.sample(graph.lines)
    by_sets = PythonSetFilterer(mapped_triples=graph.lines)
    assert torch.equal(mask, by_sets(negatives))
    assert 0 < mask.sum() < mask.numel()


def test_pykeen_filters_by_default_with_another(graph: Graph):
    """Upstream: one that may take a negative for a known triple."""
    assert type(BasicNegativeSampler(mapped_triples=graph.lines, filtered=True).filterer) is not ExactFilterer


# In a training


class Batches(TrainingCallback):
    def __init__(self) -> None:
        super().__init__()
        self.batches: list[tuple[torch.Tensor, torch.Tensor]] = []

    def on_batch(self, epoch: int, batch: Any, batch_loss: float, **kwargs: Any) -> None:
        self.batches.append((batch["negatives"], batch["masks"]))


@every_sampler
@pytest.mark.parametrize("inverse", [False, True])
def test_no_training_triple_is_trained_on_as_a_negative(inverse: bool, name: str):
    batches = Batches()
    result = pipeline(
        dataset="nations",
        dataset_kwargs={"create_inverse_triples": inverse},
        model="TransE",
        model_kwargs={"embedding_dim": 4},
        negative_sampler=name,
        negative_sampler_kwargs={"filtered": True, "filterer": "exact", "num_negs_per_pos": 5},
        training_loop_kwargs={"automatic_memory_optimization": False},
        training_kwargs={"num_epochs": 2, "batch_size": 500, "use_tqdm": False, "callbacks": batches},
        evaluation_kwargs={"batch_size": 256, "use_tqdm": False},
        random_seed=0,
    )
    assert all(map(math.isfinite, result.losses))
    training = result.training
    lines = training._add_inverse_triples_if_necessary(training.mapped_triples)
    known = set(map(tuple, lines.tolist()))
    kept = [tuple(triple) for negatives, mask in batches.batches for triple in negatives[mask].tolist()]
    dropped = [tuple(triple) for negatives, mask in batches.batches for triple in negatives[~mask].tolist()]
    assert len(kept) + len(dropped) == 2 * 5 * len(lines)
    assert kept
    assert dropped
    assert known.isdisjoint(kept)
    assert known.issuperset(dropped)


# Against Python sets

IDS = st.integers(0, 6)
TRIPLES = st.lists(st.tuples(IDS, st.integers(0, 3), IDS), min_size=1, max_size=30)
SHAPES = st.lists(st.integers(0, 4), max_size=3)


@st.composite
def batches(draw: st.DrawFn) -> torch.Tensor:
    """Make a batch of any shape, with ids that are larger than those of training, by little or by much."""
    shape = draw(SHAPES)
    count = math.prod(shape)
    ids = st.one_of(st.integers(0, 9), st.sampled_from([2**31, 2**62, 2**63 - 1]))
    rows = draw(st.lists(st.tuples(ids, ids, ids), min_size=count, max_size=count))
    return torch.tensor(rows, dtype=torch.long).reshape(*shape, 3)


@settings(max_examples=300, deadline=None)
@given(TRIPLES, batches())
def test_it_equals_a_python_set(training: list[tuple[int, int, int]], batch: torch.Tensor):
    lines = torch.tensor(training)
    exact, by_sets = ExactFilterer(mapped_triples=lines), PythonSetFilterer(mapped_triples=lines)
    wanted = torch.tensor([tuple(row) in set(training) for row in batch.reshape(-1, 3).tolist()], dtype=torch.bool)
    found = exact.contains(batch)
    assert found.dtype == torch.bool
    assert torch.equal(found, wanted.reshape(batch.shape[:-1]))
    assert torch.equal(exact(batch), ~found)
    # upstream: its views take neither a single triple nor none
    if batch.numel() and batch.ndim > 1:
        assert torch.equal(found, by_sets.contains(batch))


@settings(max_examples=100, deadline=None)
@given(TRIPLES)
def test_each_training_triple_is_known_and_no_neighbor_of_it_is_by_mistake(training: list[tuple[int, int, int]]):
    """All triples of small ids, those beyond the ids of training among them: keys do not run over."""
    lines = torch.tensor(training)
    batch = torch.cartesian_prod(torch.arange(9), torch.arange(6), torch.arange(9))
    found = ExactFilterer(mapped_triples=lines).contains(batch)
    assert set(map(tuple, batch[found].tolist())) == set(training)


def test_ids_below_zero_make_no_training_triple():
    """Some mark with −1 that there is no entity; next to a bound, such a triple could be numbered like another."""
    lines = torch.tensor([[0, 3, 2], [1, 0, 0], [0, 0, 1]])
    batch = torch.tensor([[1, -1, 2], [1, 1, -3], [0, 4, -1], [-1, 4, 2], [1, 0, -1], [-1, -1, -1]])
    exact, by_sets = ExactFilterer(mapped_triples=lines), PythonSetFilterer(mapped_triples=lines)
    assert by_sets.contains(batch).tolist() == [False] * 6
    assert exact.contains(batch).tolist() == [False] * 6


@pytest.mark.parametrize("shape", [(0, 3), (0, 5, 3), (5, 0, 3), (2, 0, 4, 3)])
def test_an_empty_batch_gives_an_empty_mask(shape: tuple[int, ...], graph: Graph):
    mask = ExactFilterer(mapped_triples=graph.lines)(torch.empty(shape, dtype=torch.long))
    assert (mask.shape, mask.dtype) == (shape[:-1], torch.bool)


def test_a_batch_that_does_not_lie_in_one_piece_is_searched(graph: Graph):
    exact = ExactFilterer(mapped_triples=graph.lines)
    batch = torch.stack([graph.lines, graph.lines.flip(0)], dim=0).transpose(0, 1)
    assert not batch.is_contiguous()
    assert bool(exact.contains(batch).all())


def test_ids_that_do_not_fit_into_a_key_are_refused():
    with pytest.raises(ValueError, match="do not fit into 64-bit keys"):
        ExactFilterer(mapped_triples=torch.tensor([[2**31, 2**10, 2**31]]))


def test_ids_that_just_fit_into_a_key_are_told_apart():
    top = torch.tensor([[2**26 - 1, 2**10 - 1, 2**27 - 2]])
    exact = ExactFilterer(mapped_triples=top)
    others = torch.cat([top, top - torch.eye(3, dtype=torch.long), top + torch.eye(3, dtype=torch.long)])
    assert exact.contains(others).tolist() == [True] + [False] * 6


# Its state


@pytest.mark.parametrize("device", ["meta", *(["cuda"] if torch.cuda.is_available() else [])])
def test_its_state_moves_with_it(device: str, graph: Graph):
    exact: Filterer = ExactFilterer(mapped_triples=graph.lines).to(device)
    assert {tensor.device.type for tensor in exact.state_dict().values()} == {device}
    assert exact.contains(graph.lines.to(device)).device.type == device


def test_it_is_part_of_a_sampler_that_is_moved(graph: Graph):
    sampler = BasicNegativeSampler(mapped_triples=graph.lines, filtered=True, filterer="exact")
    assert {buffer.device.type for buffer in sampler.to("meta").buffers()} == {"meta"}


def test_its_state_can_be_stored_and_is_made_of_whole_numbers(graph: Graph):
    exact, other = (ExactFilterer(mapped_triples=lines) for lines in (graph.lines, graph.lines[:-5]))
    state = exact.double().state_dict()
    assert {tensor.dtype for tensor in state.values()} == {torch.long}
    assert set(state) == {"keys", "sizes"}
    with pytest.raises(RuntimeError, match="size mismatch for keys"):
        other.load_state_dict(state)
    again = ExactFilterer(mapped_triples=graph.lines)
    again.load_state_dict(state)
    assert bool(again.contains(graph.lines).all())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no card")
def test_it_answers_on_a_card_as_on_the_cpu(graph: Graph):
    exact = ExactFilterer(mapped_triples=graph.lines)
    batch = torch.cartesian_prod(*(torch.arange(n) for n in (graph.num_entities, graph.num_relations, 5)))
    on_cpu = exact.contains(batch)
    assert torch.equal(exact.to("cuda").contains(batch.to("cuda")).cpu(), on_cpu)
