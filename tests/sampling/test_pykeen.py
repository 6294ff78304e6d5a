"""The samplers inside PyKEEN: pipeline, hyper-parameter search, inverse triples, losses."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from graphs import Graph, graph_named, graph_of, total
from pykeen.datasets import Nations
from pykeen.hpo import hpo_pipeline
from pykeen.losses import MarginRankingLoss
from pykeen.models import TransE
from pykeen.pipeline import PipelineResult, pipeline
from pykeen.sampling import negative_sampler_resolver
from pykeen.training import NonFiniteLossError, SLCWATrainingLoop
from pykeen.triples import CoreTriplesFactory
from torch.optim import SGD

from negsamp import SAMPLERS, NearestNeighborNegativeSampler, SamplerHandle, make_sampler
from negsamp.models import save_model
from negsamp.triples import triples_digest

every_sampler = pytest.mark.parametrize("name", SAMPLERS)


@pytest.fixture(scope="module")
def graph() -> Graph:
    return graph_named("nations")


def run(sampler: Any, options: dict[str, Any], **kwargs: Any) -> PipelineResult:
    return pipeline(
        **{"dataset": "nations", **kwargs},
        model="TransE",
        model_kwargs={"embedding_dim": 4},
        loss="marginranking",
        negative_sampler=sampler,
        negative_sampler_kwargs=options,
        # looking for a batch size draws negatives, too
        training_loop_kwargs={"automatic_memory_optimization": False},
        training_kwargs={"num_epochs": 1, "batch_size": 500, "use_tqdm": False},
        evaluation_kwargs={"use_tqdm": False},
        random_seed=0,
    )


@every_sampler
@pytest.mark.parametrize("find", [str, SAMPLERS.__getitem__], ids=["by name", "by class"])
def test_pipeline(name: str, find: Callable[[str], Any], graph: Graph):
    handle = SamplerHandle()
    result = run(find(name), {**graph.options(name), "num_negs_per_pos": 3, "handle": handle})
    assert all(map(math.isfinite, result.losses))
    assert total(handle.sampler.usage) == 3 * len(graph.lines)
    assert handle.sampler.usage["pool"] > 0


@every_sampler
def test_pipeline_is_repeatable(name: str, graph: Graph):
    losses = [run(name, {**graph.options(name), "fallback": "random"}).losses for _ in range(2)]
    assert losses[0] == losses[1]


@pytest.mark.parametrize("name", ["nearestneighbor", "nearestneighbour", "NearestNeighbor", "NearestNeighbour"])
def test_both_spellings_are_known(name: str, graph: Graph):
    assert negative_sampler_resolver.lookup(name) is NearestNeighborNegativeSampler
    run(name, graph.options("nearestneighbor"))


@pytest.mark.parametrize("filterer", ["bloom", "python-set"])
def test_pykeens_filterer_comes_after_the_draw(filterer: str):
    result = run("corrupt", {"filtered": False, "filterer": filterer, "num_negs_per_pos": 20})
    assert all(map(math.isfinite, result.losses))


@every_sampler
def test_hyper_parameter_search(name: str, graph: Graph, tmp_path: Path):
    options = graph.options(name)
    if "auxiliary" in options:
        # as a user has it: in a file
        path = tmp_path / "auxiliary.safetensors"
        settings = {"model": "TransE", "model_kwargs": {"embedding_dim": 2}, "l2_weight": None}
        save_model(path, graph.model, {**settings, "triples_digest": triples_digest(graph.lines)})
        options["auxiliary"] = str(path)
    result = search(name, options)
    assert 1 <= result.study.trials[0].params["negative_sampler.num_negs_per_pos"] <= 4


@pytest.mark.parametrize("name", ["nearestneighbor", "adversarial"])
def test_hyper_parameter_search_with_a_model_in_memory(name: str, graph: Graph):
    search(name, graph.options(name))


def search(name: str, options: dict[str, Any]) -> Any:
    result = hpo_pipeline(
        dataset="nations",
        model="TransE",
        model_kwargs={"embedding_dim": 4},
        model_kwargs_ranges={},
        loss="marginranking",
        negative_sampler=name,
        negative_sampler_kwargs={**options, "fallback": "random"},
        negative_sampler_kwargs_ranges={"num_negs_per_pos": {"type": int, "low": 1, "high": 4}},
        training_kwargs={"num_epochs": 1, "batch_size": 500, "use_tqdm": False},
        n_trials=1,
    )
    (trial,) = result.study.trials
    assert trial.state == optuna.trial.TrialState.COMPLETE, trial
    assert math.isfinite(trial.value)
    return result


# Inverse triples; that pools stay and sides are swapped, the laws of :class:`negsamp.testing.SamplerContract` say


def doubled_sampler(graph: Graph, name: str, **options: Any):
    factory = CoreTriplesFactory(graph.lines, graph.num_entities, graph.num_relations, create_inverse_triples=True)
    return SAMPLERS[name](
        mapped_triples=factory._add_inverse_triples_if_necessary(factory.mapped_triples),
        num_entities=factory.num_entities,
        num_relations=factory.num_relations,
        **{**graph.options(name), **options},
    )


def test_a_turned_triple_keeps_the_cardinality_of_its_relation():
    # one head with 9 tails: tails are seldom replaced, from either direction
    graph = graph_of({(0, 0, t) for t in range(1, 10)}, num_entities=40, num_relations=1)
    sampler = doubled_sampler(graph, "random", corruption="bernoulli", num_negs_per_pos=4000)
    torch.manual_seed(0)
    negatives, _ = sampler.sample(torch.tensor([[0, 0, 1], [1, 1, 0]]))
    of_the_one = [(negatives[0, :, 0] != 0).double().mean().item(), (negatives[1, :, 2] != 0).double().mean().item()]
    assert of_the_one == pytest.approx([0.9, 0.9], abs=0.03)


def test_a_sampler_made_for_a_data_set_knows_its_inverse_triples():
    dataset = Nations(create_inverse_triples=True)
    lines = dataset.training._add_inverse_triples_if_necessary(dataset.training.mapped_triples)
    sampler = make_sampler("corrupt", dataset, num_negs_per_pos=10, fallback="random")
    assert sampler.triples.doubled
    negatives, mask = sampler.sample(lines)
    assert mask is None
    assert not set(map(tuple, negatives.reshape(-1, 3).tolist())) & set(map(tuple, lines.tolist()))


@every_sampler
def test_pipeline_with_inverse_triples(name: str, graph: Graph):
    handle = SamplerHandle()
    result = run(
        name,
        {**graph.options(name), "fallback": "random", "handle": handle},
        dataset_kwargs={"create_inverse_triples": True},
    )
    assert all(map(math.isfinite, result.losses))
    assert total(handle.sampler.usage) == 2 * len(graph.lines)
    assert handle.sampler.usage["pool"] > 0


# A batch without negatives


def train(graph: Graph, sampler: str, options: dict[str, Any], **kwargs: Any) -> list[float]:
    factory = graph.factory
    model = TransE(triples_factory=factory, embedding_dim=4, loss=MarginRankingLoss(reduction="mean"), random_seed=0)
    loop = SLCWATrainingLoop(
        model=model,
        triples_factory=factory,
        optimizer=SGD(model.parameters(), lr=0.01),
        negative_sampler=sampler,
        negative_sampler_kwargs=options,
        automatic_memory_optimization=False,
    )
    return loop.train(factory, num_epochs=3, use_tqdm=False, **kwargs)


@pytest.fixture(scope="module")
def chain() -> Graph:
    """No relation has two heads or two tails, so that corrupt finds nothing."""
    return graph_of({(i, i, i + 1) for i in range(20)}, num_entities=21, num_relations=20)


@pytest.mark.parametrize("batch_size", [1, 6, 100])
def test_a_graph_with_empty_pools_trains(chain: Graph, batch_size: int):
    handle = SamplerHandle()
    losses = train(chain, "corrupt", {"num_negs_per_pos": 3, "handle": handle}, batch_size=batch_size)
    assert all(map(math.isfinite, losses))
    assert handle.sampler.usage["rescued"] == 3 * math.ceil(20 / batch_size)
    assert handle.sampler.usage["pool"] == 0
    assert total(handle.sampler.usage) == 3 * 3 * 20


def test_sub_batches_of_a_graph_with_empty_pools_train(chain: Graph):
    handle = SamplerHandle()
    options = {"num_negs_per_pos": 3, "sub_batch_size": 4, "handle": handle}
    losses = train(chain, "corrupt", options, batch_size=10, sub_batch_size=4)
    assert all(map(math.isfinite, losses))
    # two batches of 4 + 4 + 2 an epoch
    assert handle.sampler.usage["rescued"] == 3 * 2 * 3


def test_sub_batches_fail_where_the_sampler_does_not_know_of_them(chain: Graph):
    with pytest.raises(NonFiniteLossError):
        train(chain, "corrupt", {"num_negs_per_pos": 3}, batch_size=10, sub_batch_size=4)


def test_a_batch_that_a_filterer_masks_trains():
    graph = graph_of({(h, 0, t) for h in range(4) for t in range(4, 8)}, num_entities=12, num_relations=1)
    options = {"filtered": False, "filterer": "python-set", "num_negs_per_pos": 3}
    assert all(map(math.isfinite, train(graph, "corrupt", options, batch_size=5)))
    options["sub_batch_size"] = 2
    assert all(map(math.isfinite, train(graph, "corrupt", options, batch_size=5, sub_batch_size=2)))
