"""The samplers in PyKEEN's training loop: instances, subgraphs, batches and their parts, devices, going on."""

import math
from typing import Any

import pytest
import torch
from graphs import Graph, graph_named, graph_of, total
from pykeen.models import TransE
from pykeen.pipeline import pipeline
from pykeen.sampling import negative_sampler_resolver
from pykeen.training import NonFiniteLossError, SLCWATrainingLoop, TrainingCallback

from negsamp import SAMPLERS, CorruptNegativeSampler, PoolNegativeSampler, SamplerHandle

every_sampler = pytest.mark.parametrize("name", SAMPLERS)
every_device = pytest.mark.parametrize("device", ["cpu", *(["cuda"] if torch.cuda.is_available() else [])])


@pytest.fixture(scope="module")
def graph() -> Graph:
    return graph_named("nations")


class Batches(TrainingCallback):
    """Keeps what comes out of the data loader, and into how many parts each batch is cut."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[dict[str, torch.Tensor]] = []
        self.parts: list[int] = []

    def pre_batch(self, **kwargs: Any) -> None:
        self.parts.append(0)

    def on_batch(self, epoch: int, batch: Any, batch_loss: float, **kwargs: Any) -> None:
        self.parts[-1] += 1

    def post_batch(self, epoch: int, batch: Any, **kwargs: Any) -> None:
        self.batches.append(dict(batch))

    def sizes(self) -> list[int]:
        return [len(batch["positives"]) for batch in self.batches]


def loop_of(
    graph: Graph,
    sampler: Any,
    options: dict[str, Any] | None = None,
    *,
    device: str = "cpu",
    **kwargs: Any,
) -> SLCWATrainingLoop:
    model = TransE(triples_factory=graph.factory, embedding_dim=4, random_seed=0).to(device)
    return SLCWATrainingLoop(
        model=model,
        triples_factory=graph.factory,
        # one that keeps a state, without which PyKEEN does not go on training
        optimizer="adam",
        negative_sampler=sampler,
        negative_sampler_kwargs=options,
        **{"automatic_memory_optimization": False, **kwargs},
    )


def train(loop: SLCWATrainingLoop, graph: Graph, num_epochs: int = 1, **kwargs: Any) -> Batches:
    batches = Batches()
    losses = loop.train(
        graph.factory, num_epochs=num_epochs, **{"batch_size": 500, "use_tqdm": False, "callbacks": batches, **kwargs}
    )
    assert len(losses) == num_epochs
    assert all(map(math.isfinite, losses))
    return batches


def check_no_training_triple(graph: Graph, batches: list[dict[str, torch.Tensor]]) -> None:
    training = set(map(tuple, graph.lines.tolist()))
    for batch in batches:
        negatives = batch["negatives"]
        valid = batch.get("masks", torch.ones(negatives.shape[:-1], dtype=torch.bool))
        assert not set(map(tuple, negatives[valid].tolist())) & training


# Instances


@every_sampler
def test_an_instance_given_to_the_loop_is_used_as_it_is(name: str, graph: Graph):
    sampler = graph.sampler(name, num_negs_per_pos=3, fallback="random")
    batches = train(loop_of(graph, sampler), graph, num_epochs=2)
    assert total(sampler.usage) == 2 * 3 * len(graph.lines)
    assert all(batch["negatives"].shape[1] == 3 for batch in batches.batches)
    check_no_training_triple(graph, batches.batches)


def test_an_instance_and_its_options_by_name_draw_alike(graph: Graph):
    options = {"num_negs_per_pos": 3, "fallback": "random"}
    losses = []
    for sampler, kwargs in ((graph.sampler("corrupt", **options), None), ("corrupt", options)):
        loop = loop_of(graph, sampler, kwargs)
        torch.manual_seed(0)
        train(loop, graph, num_epochs=2)
        losses.append(loop.losses_per_epochs)
    assert losses[0] == losses[1]


def test_an_instance_serves_one_loop_after_another(graph: Graph):
    sampler = graph.sampler("corrupt", fallback="random")
    for count in (1, 2):
        train(loop_of(graph, sampler), graph)
        assert total(sampler.usage) == count * len(graph.lines)


def test_options_beside_an_instance_are_ignored_by_pykeen(graph: Graph):
    sampler = graph.sampler("corrupt", num_negs_per_pos=3)
    batches = train(loop_of(graph, sampler, {"num_negs_per_pos": 7}), graph)
    assert {batch["negatives"].shape[1] for batch in batches.batches} == {3}


def test_the_pipeline_keeps_only_the_class_of_an_instance(graph: Graph):
    """Upstream: its options are lost without a word, and an instance of its own is made from ``..._kwargs`` alone."""
    sampler = graph.sampler("corrupt", num_negs_per_pos=3, corruption="tail")
    handle, batches = SamplerHandle(), Batches()
    assert negative_sampler_resolver.lookup(sampler) is CorruptNegativeSampler
    pipeline(
        dataset="nations",
        model="TransE",
        model_kwargs={"embedding_dim": 4},
        negative_sampler=sampler,
        negative_sampler_kwargs={"handle": handle},
        training_loop_kwargs={"automatic_memory_optimization": False},
        training_kwargs={"num_epochs": 1, "batch_size": 500, "use_tqdm": False, "callbacks": batches},
        evaluation_kwargs={"batch_size": 256, "use_tqdm": False},
        random_seed=0,
    )
    assert total(sampler.usage) == 0
    assert handle.sampler is not sampler
    assert (handle.sampler.num_negs_per_pos, handle.sampler.corruption) == (1, "balanced")
    assert {batch["negatives"].shape[1] for batch in batches.batches} == {1}


# Subgraphs, and batches that are left out


@every_sampler
def test_subgraphs_get_negatives(name: str, graph: Graph):
    """Upstream: as many batches as there are without ``sampler``, and the last one is as large as the others."""
    handle = SamplerHandle()
    loop = loop_of(graph, name, {**graph.options(name), "num_negs_per_pos": 3, "fallback": "random", "handle": handle})
    batches = train(loop, graph, sampler="schlichtkrull")
    assert batches.sizes() == [500] * 4
    assert total(handle.sampler.usage) == 3 * 4 * 500
    check_no_training_triple(graph, batches.batches)


@pytest.mark.filterwarnings("ignore:Sparse invariant checks are implicitly disabled:UserWarning")
def test_subgraphs_get_negatives_in_the_pipeline():
    handle, batches = SamplerHandle(), Batches()
    pipeline(
        dataset="nations",
        model="RGCN",
        model_kwargs={"embedding_dim": 4, "num_layers": 1},
        negative_sampler="corrupt",
        negative_sampler_kwargs={"handle": handle, "num_negs_per_pos": 2},
        training_loop_kwargs={"automatic_memory_optimization": False},
        training_kwargs={
            "num_epochs": 1,
            "batch_size": 500,
            "sampler": "schlichtkrull",
            "use_tqdm": False,
            "callbacks": batches,
        },
        evaluation_kwargs={"batch_size": 256, "use_tqdm": False},
        random_seed=0,
    )
    assert total(handle.sampler.usage) == 2 * sum(batches.sizes()) > 0


@pytest.mark.parametrize(("drop_last", "sizes"), [(True, [500] * 3), (False, [500] * 3 + [92])])
def test_negatives_are_drawn_only_for_batches_that_are_kept(drop_last: bool, sizes: list[int], graph: Graph):
    handle = SamplerHandle()
    batches = train(loop_of(graph, "corrupt", {"handle": handle}), graph, drop_last=drop_last)
    assert batches.sizes() == sizes
    assert total(handle.sampler.usage) == sum(sizes)


# Batches in parts


@pytest.fixture(scope="module")
def chain() -> Graph:
    """No relation has two heads or two tails, so that corrupt finds nothing."""
    return graph_of({(i, i, i + 1) for i in range(20)}, num_entities=21, num_relations=20)


@pytest.mark.parametrize("sub_batch_size", [1, 3, 4, 10, 15])
def test_each_part_of_a_batch_has_a_valid_negative(sub_batch_size: int, chain: Graph):
    options = {"num_negs_per_pos": 3, "sub_batch_size": sub_batch_size}
    batches = train(loop_of(chain, "corrupt", options), chain, batch_size=10, sub_batch_size=sub_batch_size)
    parts = math.ceil(10 / sub_batch_size)
    assert batches.sizes() == [10, 10]
    assert batches.parts == [parts] * 2
    for batch in batches.batches:
        found = [part.sum().item() for part in batch["masks"].split(sub_batch_size)]
        assert found == [1] * parts


def test_parts_of_another_size_than_the_sampler_knows_may_lack_negatives(chain: Graph):
    """Larger parts are safe; smaller ones are not, and the loop says so."""
    train(loop_of(chain, "corrupt", {"sub_batch_size": 5}), chain, batch_size=10, sub_batch_size=10)
    with pytest.raises(NonFiniteLossError):
        train(loop_of(chain, "corrupt", {"sub_batch_size": 5}), chain, batch_size=10, sub_batch_size=2)


def test_parts_of_a_batch_cost_no_slot_where_pools_are_full(graph: Graph):
    batches = train(loop_of(graph, "random", {"num_negs_per_pos": 2, "sub_batch_size": 50}), graph, sub_batch_size=50)
    assert batches.parts == [10, 10, 10, 2]
    assert all("masks" not in batch for batch in batches.batches)


def test_automatic_memory_optimization_overwrites_the_size_of_parts_even_on_the_cpu(graph: Graph):
    """Upstream: what fits into memory is not cut, whatever the user has asked for."""
    options = {"num_negs_per_pos": 2, "sub_batch_size": 50}
    loop = loop_of(graph, "random", options, automatic_memory_optimization=True)
    assert train(loop, graph, sub_batch_size=50).parts == [1, 1, 1, 1]


def test_automatic_memory_optimization_keeps_the_size_of_parts_where_it_chooses_the_batch_size(graph: Graph):
    """Upstream: on the CPU it takes 256 without trying."""
    options = {"num_negs_per_pos": 2, "sub_batch_size": 64}
    loop = loop_of(graph, "random", options, automatic_memory_optimization=True)
    assert train(loop, graph, batch_size=None, sub_batch_size=64).parts == [4, 4, 4, 4, 4, 4, 1]


def test_automatic_memory_optimization_trains_with_a_sampler_of_its_own(graph: Graph):
    """Upstream: trying a size draws from another sampler, made from the same options; the handle shows the later."""
    handle = SamplerHandle()
    loop = loop_of(graph, "random", {"handle": handle}, automatic_memory_optimization=True)
    batches = train(loop, graph)
    assert total(handle.sampler.usage) == sum(batches.sizes()) == len(graph.lines)


def test_automatic_memory_optimization_draws_from_an_instance_too(graph: Graph):
    """Upstream: two batches of trying, which an instance counts as any other."""
    sampler = graph.sampler("random")
    train(loop_of(graph, sampler, automatic_memory_optimization=True), graph)
    assert total(sampler.usage) == len(graph.lines) + 2 * 500


# Masks and devices


@every_sampler
@every_device
def test_a_batch_without_masked_slots_has_no_mask(device: str, name: str, graph: Graph):
    sampler = graph.sampler(name, num_negs_per_pos=3, fallback="random")
    negatives, mask = sampler.sample(graph.lines.to(device))
    assert mask is None
    assert (negatives.device.type, negatives.shape, negatives.dtype) == (device, (len(graph.lines), 3, 3), torch.long)


@every_device
def test_masks_lie_where_the_positives_do(device: str, chain: Graph):
    sampler = chain.sampler("corrupt", num_negs_per_pos=3)
    negatives, mask = sampler.sample(chain.lines.to(device))
    assert (negatives.device.type, mask.device.type, mask.dtype) == (device, device, torch.bool)
    assert (mask.shape, int(mask.sum())) == ((20, 3), 1)


@every_device
def test_negatives_do_not_depend_on_the_device_of_the_positives(device: str, graph: Graph):
    sampler = graph.sampler("corrupt", num_negs_per_pos=3)
    found = []
    for place in ("cpu", device):
        torch.manual_seed(0)
        found.append([part.cpu() for part in sampler.sample(graph.lines.to(place))])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@every_device
@pytest.mark.parametrize("fallback", ["random", None])
def test_a_model_trains_where_it_lies(fallback: str | None, device: str, graph: Graph):
    loop = loop_of(graph, "corrupt", {"num_negs_per_pos": 6, "fallback": fallback}, device=device)
    batches = train(loop, graph)
    assert loop.device.type == device
    assert all(("masks" in batch) == (fallback is None) for batch in batches.batches)
    check_no_training_triple(graph, batches.batches)


@every_device
@pytest.mark.parametrize("filterer", ["exact", "bloom"])
def test_a_sampler_moved_like_a_module_draws_as_before(filterer: str, device: str, graph: Graph):
    sampler: PoolNegativeSampler = graph.sampler("corrupt", filtered=False, filterer=filterer, num_negs_per_pos=3)
    found = []
    for place in ("cpu", device):
        torch.manual_seed(0)
        found.append([part.cpu() for part in sampler.to(place).sample(graph.lines.to(place))])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


# Going on


def test_training_goes_on_with_a_sampler_made_anew(graph: Graph):
    handle = SamplerHandle()
    loop = loop_of(graph, "corrupt", {"handle": handle, "fallback": "random"})
    train(loop, graph)
    first, weights = handle.sampler, loop.model.entity_representations[0](indices=None).detach().clone()
    batches = train(loop, graph, num_epochs=3, continue_training=True)
    assert handle.sampler is not first
    assert total(first.usage) == len(graph.lines)
    assert total(handle.sampler.usage) == sum(batches.sizes()) == 2 * len(graph.lines)
    assert not torch.equal(loop.model.entity_representations[0](indices=None), weights)


def test_training_goes_on_with_an_instance(graph: Graph):
    sampler = graph.sampler("corrupt", fallback="random")
    loop = loop_of(graph, sampler)
    train(loop, graph)
    train(loop, graph, num_epochs=3, continue_training=True)
    assert total(sampler.usage) == 3 * len(graph.lines)


def test_training_in_two_goes_equals_training_in_one(graph: Graph):
    """Making a sampler draws nothing, so that the second go finds the generator as the first has left it."""
    losses = []
    for goes in ([4], [2, 4]):
        loop = loop_of(graph, "corrupt", {"fallback": "random"})
        torch.manual_seed(0)
        for last in goes:
            train(loop, graph, num_epochs=last, continue_training=last > goes[0])
        losses.append(loop.losses_per_epochs)
    assert losses[0] == losses[1]
