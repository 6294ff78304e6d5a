"""What is ranked, what is reported, and PyKEEN's pipeline around a training."""

import gc
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pykeen.datasets import get_dataset
from pykeen.evaluation import RankBasedMetricResults
from pykeen.triples import CoreTriplesFactory

from negsamp import FastRankBasedEvaluator
from negsamp import pipeline as module
from negsamp.pipeline import METRICS, metrics_of, run_pipeline, sample_triples
from negsamp.twins import RESCALTwin


@pytest.fixture(scope="module")
def factory() -> CoreTriplesFactory:
    return get_dataset(dataset="nations").validation


def rows(factory: CoreTriplesFactory) -> list[tuple[int, ...]]:
    return [tuple(row) for row in factory.mapped_triples.tolist()]


@pytest.mark.parametrize("size", [None, 199, 200, 10**6])
def test_all_triples_are_ranked_where_nothing_is_left_out(factory: CoreTriplesFactory, size: int | None) -> None:
    assert factory.num_triples == 199
    assert sample_triples(factory, size) is factory


@pytest.mark.parametrize("size", [1, 50, 198])
def test_so_many_triples_are_ranked(factory: CoreTriplesFactory, size: int) -> None:
    chosen = rows(sample_triples(factory, size))
    assert len(set(chosen)) == len(chosen) == size
    assert set(chosen) <= set(rows(factory))
    # in the order of the split, and not its first ones
    positions = [rows(factory).index(row) for row in chosen]
    assert positions == sorted(positions)
    assert size == 198 or positions != list(range(size))


def test_the_ranked_triples_are_always_the_same(factory: CoreTriplesFactory) -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    one = sample_triples(factory, 20)
    # the training that follows is the same, whether or not triples are chosen
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    two = sample_triples(CoreTriplesFactory(factory.mapped_triples.clone(), 14, 55), 20)
    assert rows(one) == rows(two)
    assert (one.num_entities, one.num_relations) == (14, 55)


def test_other_triples_are_chosen_anew(factory: CoreTriplesFactory) -> None:
    one = sample_triples(factory, 50)
    fewer = CoreTriplesFactory(factory.mapped_triples[:-1], 14, 55)
    assert rows(one) != rows(sample_triples(fewer, 50))


def results(**changed: float) -> RankBasedMetricResults:
    values = {name: i / 10 for i, name in enumerate(METRICS)}
    data = {("both", kind, name): value for kind in ("realistic", "optimistic") for name, value in values.items()}
    data |= {("head", "realistic", name): 0.99 for name in values}
    data |= {("both", "optimistic", name): 0.98 for name in values}
    data |= {("both", "realistic", name): value for name, value in changed.items()}
    return RankBasedMetricResults(data)


def test_the_reported_metrics_are_realistic_and_of_both_sides() -> None:
    assert metrics_of(results()) == pytest.approx({name: i / 10 for i, name in enumerate(METRICS)})
    assert METRICS[0] == "inverse_harmonic_mean_rank"


def test_garbage_is_left_alone_during_a_training_only(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = SimpleNamespace(frozen=0)

    def fail(**kwargs: Any) -> None:
        seen.frozen, seen.kwargs = gc.get_freeze_count(), kwargs
        raise ZeroDivisionError

    # what the session has frozen must not hide it
    gc.unfreeze()
    monkeypatch.setattr(module, "pipeline", fail)
    with pytest.raises(ZeroDivisionError):
        run_pipeline(
            model="rescal", learning_rate=0.5, training_kwargs={"num_epochs": 3, "callbacks": ["own"]}, loss="x"
        )
    own, epochs = seen.kwargs.pop("training_kwargs").pop("callbacks")
    assert (own, type(epochs).__name__) == ("own", "_Epochs")
    adam = {"optimizer": "adam", "optimizer_kwargs": {"lr": 0.5, "fused": True}}
    assert seen.kwargs == {"loss": "x", "evaluator": FastRankBasedEvaluator, "model": RESCALTwin, **adam}
    assert seen.frozen > 0
    assert gc.get_freeze_count() == 0
