"""The training callbacks in PyKEEN's pipeline and training loop."""

import copy
import csv
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from graphs import Graph, graph_named, total
from pykeen.datasets import Nations
from pykeen.datasets.base import Dataset
from pykeen.models import TransE
from pykeen.pipeline import PipelineResult, pipeline
from pykeen.sampling import BasicNegativeSampler
from pykeen.trackers import PythonResultTracker
from pykeen.training import LCWATrainingLoop, SLCWATrainingLoop, TrainingCallback
from pykeen.training.callbacks import callback_resolver

from negsamp import (
    AdaptiveAdversarialNegativeSampler,
    CorruptNegativeSampler,
    RefreshTrainingCallback,
    SamplerHandle,
    UsageTrainingCallback,
)
from negsamp.errors import InputError
from negsamp.pools import Queries

#: how many entities the samplers that are refreshed take for near misses, before any is excluded
NUM_NEIGHBORS = 4


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return Nations()


@pytest.fixture(scope="module")
def graph() -> Graph:
    return graph_named("nations")


def run(
    dataset: Dataset, sampler: Any, options: dict[str, Any] | None, training: dict[str, Any], **kwargs: Any
) -> PipelineResult:
    return pipeline(
        dataset=dataset,
        model="TransE",
        model_kwargs={"embedding_dim": 4},
        negative_sampler=sampler,
        negative_sampler_kwargs=options,
        training_kwargs={"num_epochs": 3, "batch_size": 500, "use_tqdm": False, **training},
        evaluation_kwargs={"batch_size": 256, "use_tqdm": False},
        random_seed=0,
        **kwargs,
    )


def loop_of(
    graph: Graph, sampler: Any, options: dict[str, Any] | None = None, cls: Any = SLCWATrainingLoop, **kwargs: Any
) -> Any:
    model = TransE(triples_factory=graph.factory, embedding_dim=4, random_seed=0)
    sampling = {"negative_sampler": sampler, "negative_sampler_kwargs": options} if cls is SLCWATrainingLoop else {}
    return cls(
        model=model,
        triples_factory=graph.factory,
        optimizer="adam",
        **{"automatic_memory_optimization": False, **sampling, **kwargs},
    )


def train(loop: Any, graph: Graph, num_epochs: int = 3, **kwargs: Any) -> None:
    loop.train(graph.factory, num_epochs=num_epochs, **{"batch_size": 500, "use_tqdm": False, **kwargs})


def history(tracker: PythonResultTracker, prefix: str) -> dict[int, dict[str, float]]:
    """Return the metrics of one prefix by step, where there are any."""
    found = {
        step: {key.removeprefix(f"{prefix}."): value for key, value in metrics.items() if key.startswith(f"{prefix}.")}
        for step, metrics in tracker.metrics.items()
    }
    return {step: metrics for step, metrics in found.items() if metrics}


# Usage


def test_both_callbacks_are_known_by_name():
    assert callback_resolver.lookup("usage") is UsageTrainingCallback
    assert callback_resolver.lookup("refresh") is RefreshTrainingCallback


@pytest.mark.parametrize("callback", ["usage", UsageTrainingCallback])
def test_each_epoch_is_counted_from_zero(callback: Any, dataset: Dataset):
    handle = SamplerHandle()
    options = {"num_negs_per_pos": 5, "fallback": "random", "handle": handle}
    run(dataset, "corrupt", options, {"callbacks": callback})
    usage = handle.sampler.usage
    assert len(usage.epochs) == 3
    for epoch in usage.epochs:
        assert list(epoch) == ["masked", "pool", "everything", "rescued"]
        assert total(epoch) == 5 * dataset.training.num_triples
        assert epoch["pool"] > epoch["everything"] > epoch["masked"] == epoch["rescued"] == 0
    # odd slots are left to chance
    assert usage.epochs[0] != usage.epochs[1] or usage.epochs[1] != usage.epochs[2]
    assert total(usage) == 0
    assert usage.total() == {stage: sum(epoch[stage] for epoch in usage.epochs) for stage in usage}


def test_the_callback_shows_the_sampler_without_a_handle(dataset: Dataset):
    callback = UsageTrainingCallback()
    result = run(dataset, "corrupt", None, {"callbacks": callback})
    assert type(callback.sampler) is CorruptNegativeSampler
    assert callback.sampler is result.training_loop.negative_sampler_kwargs["handle"].sampler
    assert len(callback.sampler.usage.epochs) == 3


def test_before_the_first_batch_there_is_no_sampler():
    with pytest.raises(InputError, match="has not made its sampler yet"):
        _ = UsageTrainingCallback().sampler


def test_counts_are_reported_to_a_tracker_in_memory(dataset: Dataset):
    tracker, callback = PythonResultTracker(), UsageTrainingCallback()
    run(dataset, "corrupt", {"fallback": "random"}, {"callbacks": callback}, result_tracker=tracker)
    epochs = callback.sampler.usage.epochs
    assert history(tracker, "slots") == dict(enumerate(epochs, start=1))


def test_counts_are_reported_to_a_file(dataset: Dataset, tmp_path: Path):
    path = tmp_path / "metrics.csv"
    callback = UsageTrainingCallback()
    run(
        dataset,
        "corrupt",
        {"fallback": "random"},
        {"callbacks": callback},
        result_tracker="csv",
        result_tracker_kwargs={"path": str(path)},
    )
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["key"].startswith("slots.")]
    assert [(int(row["step"]), row["key"], int(row["value"])) for row in rows] == [
        (i, f"slots.{stage}", count)
        for i, epoch in enumerate(callback.sampler.usage.epochs, start=1)
        for stage, count in epoch.items()
    ]
    assert all(row["type"] == "metric" for row in rows)


@pytest.mark.filterwarnings("ignore:Length of IterableDataset:UserWarning")
@pytest.mark.parametrize("num_workers", [1, 2])
def test_workers_are_counted_epoch_by_epoch(num_workers: int, dataset: Dataset):
    callback = UsageTrainingCallback()
    run(
        dataset,
        "corrupt",
        {"num_negs_per_pos": 2, "fallback": "random"},
        {"callbacks": callback, "num_workers": num_workers, "num_epochs": 2},
        training_loop_kwargs={"automatic_memory_optimization": False},
    )
    assert [total(epoch) for epoch in callback.sampler.usage.epochs] == [2 * dataset.training.num_triples] * 2


def test_what_automatic_memory_optimization_tries_is_not_counted(dataset: Dataset):
    callback = UsageTrainingCallback()
    run(dataset, "corrupt", None, {"callbacks": callback}, training_loop_kwargs={"automatic_memory_optimization": True})
    assert [total(epoch) for epoch in callback.sampler.usage.epochs] == [dataset.training.num_triples] * 3


@pytest.mark.parametrize("callback", ["usage", UsageTrainingCallback])
def test_a_sampler_that_is_an_instance_is_counted(callback: Any, graph: Graph):
    sampler = graph.sampler("corrupt", num_negs_per_pos=3)
    train(loop_of(graph, sampler), graph, callbacks=callback)
    assert [total(epoch) for epoch in sampler.usage.epochs] == [3 * len(graph.lines)] * 3


def test_early_stopping_ends_the_counts_too(dataset: Dataset):
    callback = UsageTrainingCallback()
    result = run(
        dataset,
        "corrupt",
        None,
        {"callbacks": callback, "num_epochs": 10},
        stopper="early",
        stopper_kwargs={"frequency": 1, "patience": 1, "relative_delta": 10.0},
    )
    assert len(result.losses) < 10
    assert [total(epoch) for epoch in callback.sampler.usage.epochs] == [dataset.training.num_triples] * len(
        result.losses
    )


def test_a_callback_follows_a_training_that_goes_on(graph: Graph):
    callback, loop = UsageTrainingCallback(), loop_of(graph, "corrupt")
    train(loop, graph, num_epochs=1, callbacks=callback)
    first = callback.sampler
    train(loop, graph, num_epochs=3, callbacks=callback, continue_training=True)
    assert callback.sampler is not first
    assert [len(sampler.usage.epochs) for sampler in (first, callback.sampler)] == [1, 2]
    assert all(total(epoch) == len(graph.lines) for s in (first, callback.sampler) for epoch in s.usage.epochs)


def test_a_callback_follows_from_one_loop_to_another(graph: Graph):
    callback, samplers = UsageTrainingCallback(), []
    for name in ("corrupt", graph.sampler("relational"), "random"):
        train(loop_of(graph, name), graph, num_epochs=1, callbacks=callback)
        samplers.append(callback.sampler)
    assert [sampler.get_normalized_name() for sampler in samplers] == ["corrupt", "relational", "random"]
    assert [[total(epoch) for epoch in sampler.usage.epochs] for sampler in samplers] == [[len(graph.lines)]] * 3


# What they refuse

CALLBACKS = {"usage": "UsageTrainingCallback", "refresh": "RefreshTrainingCallback"}


@pytest.mark.parametrize("callback", CALLBACKS)
@pytest.mark.parametrize("training_loop", ["lcwa", "symmetriclcwa"])
def test_a_loop_that_samples_nothing_is_refused(training_loop: str, callback: str, dataset: Dataset, graph: Graph):
    message = rf"{CALLBACKS[callback]} needs the training loop sLCWA"
    with pytest.raises(InputError, match=message):
        run(dataset, None, None, {"callbacks": callback}, training_loop=training_loop)
    with pytest.raises(InputError, match=message):
        train(loop_of(graph, None, cls=LCWATrainingLoop), graph, callbacks=callback)


@pytest.mark.parametrize("callback", CALLBACKS)
@pytest.mark.parametrize("sampler", [None, "basic", "bernoulli", BasicNegativeSampler])
def test_pykeens_own_samplers_are_refused(sampler: Any, callback: str, dataset: Dataset):
    found = "Bernoulli" if sampler == "bernoulli" else "Basic"
    wanted = {"usage": "Pool", "refresh": "AdaptiveAdversarial"}[callback]
    with pytest.raises(
        InputError, match=rf"{CALLBACKS[callback]} works on {wanted}NegativeSampler.* is {found}NegativeSampler"
    ):
        run(dataset, sampler, None, {"callbacks": callback})


def test_an_instance_of_pykeens_own_samplers_is_refused(graph: Graph):
    sampler = BasicNegativeSampler(mapped_triples=graph.lines)
    with pytest.raises(InputError, match="BasicNegativeSampler"):
        train(loop_of(graph, sampler), graph, callbacks="usage")


@pytest.mark.parametrize("make", [str, lambda name: graph_named("nations").sampler(name)], ids=["name", "instance"])
def test_a_sampler_that_learns_nothing_is_not_refreshed(make: Any, graph: Graph):
    with pytest.raises(InputError, match=r"RefreshTrainingCallback works on Adaptive.* is AdversarialNegativeSampler"):
        train(loop_of(graph, make("adversarial"), graph.options("adversarial")), graph, callbacks="refresh")


@pytest.mark.parametrize("option", ["refresh_every", "max_pairs"])
def test_numbers_below_one_are_refused(option: str):
    with pytest.raises(ValueError, match=f"{option} is 0; it must be 1 or more"):
        RefreshTrainingCallback(**{option: 0})


# What they leave alone


@pytest.mark.parametrize("options", [None, {}, {"num_negs_per_pos": 2}])
@pytest.mark.parametrize("callbacks", ["usage", ["usage", "refresh"]])
def test_the_options_of_the_user_stay_as_they_are(
    callbacks: Any, options: dict[str, Any] | None, dataset: Dataset, graph: Graph
):
    before = copy.deepcopy(options)
    run(dataset, "adaptiveadversarial", options, {"callbacks": callbacks})
    assert options == before
    train(loop_of(graph, "adaptiveadversarial", options), graph, callbacks=callbacks)
    assert options == before


def test_what_is_watched_trains_as_what_is_not(dataset: Dataset):
    """The callback takes no random number, and changes no negative."""
    losses = [
        run(dataset, "corrupt", {"fallback": "random"}, training).losses for training in ({}, {"callbacks": "usage"})
    ]
    assert losses[0] == losses[1]


def test_a_handle_of_the_user_is_used(dataset: Dataset):
    handle, callback = SamplerHandle(), UsageTrainingCallback()
    result = run(dataset, "corrupt", {"handle": handle}, {"callbacks": callback})
    assert result.training_loop.negative_sampler_kwargs["handle"] is handle
    assert handle.sampler is callback.sampler
    assert len(handle.sampler.usage.epochs) == 3


# Refresh


class Watch(TrainingCallback):
    """Notes after each epoch how many entities each pair can draw, before exclusions."""

    def __init__(self, handle: SamplerHandle) -> None:
        super().__init__()
        self.handle = handle
        self.lengths: list[torch.Tensor] = []

    def post_epoch(self, epoch: int, epoch_loss: float, **kwargs: Any) -> None:
        sampler = self.handle.sampler
        spans = sampler.pools.spans(Queries.of_pairs(sampler.triples, sampler.triples.known_positives.keys))
        self.lengths.append(sampler.pools.lengths[spans])

    def searched(self) -> list[int]:
        """Return how many pairs had pools of their own by the end of each epoch."""
        return [int((lengths == NUM_NEIGHBORS).sum()) for lengths in self.lengths]


def refreshed(
    dataset: Dataset, num_epochs: int, **options: Any
) -> tuple[Watch, PythonResultTracker, AdaptiveAdversarialNegativeSampler]:
    handle, tracker = SamplerHandle(), PythonResultTracker()
    watch = Watch(handle)
    run(
        dataset,
        "adaptiveadversarial",
        {"handle": handle, "num_neighbors": NUM_NEIGHBORS},
        {"num_epochs": num_epochs, "callbacks": ["refresh", watch], "callbacks_kwargs": [options, None]},
        result_tracker=tracker,
    )
    return watch, tracker, handle.sampler


@pytest.mark.parametrize(
    ("every", "num_epochs", "wanted"), [(1, 3, [1, 2, 3]), (2, 5, [2, 4]), (3, 3, [3]), (5, 4, [])]
)
def test_pools_are_refreshed_after_every_so_many_epochs(
    every: int, num_epochs: int, wanted: list[int], dataset: Dataset
):
    watch, tracker, sampler = refreshed(dataset, num_epochs, refresh_every=every)
    count = len(sampler.triples.known_positives.keys)
    first = wanted[0] if wanted else num_epochs + 1
    assert watch.searched() == [count if epoch >= first else 0 for epoch in range(1, num_epochs + 1)]
    reported = history(tracker, "refresh")
    assert list(reported) == wanted
    assert all(cost["pairs"] == count for cost in reported.values())
    assert all(0 < cost["seconds"] < 60 for cost in reported.values())


def test_five_epochs_are_the_default(dataset: Dataset):
    _, tracker, _ = refreshed(dataset, 5)
    assert list(history(tracker, "refresh")) == [5]


def test_a_budget_takes_turns_until_all_pairs_were_searched(dataset: Dataset):
    watch, tracker, sampler = refreshed(dataset, 6, refresh_every=1, max_pairs=200)
    count = len(sampler.triples.known_positives.keys)
    # the budget goes through all pairs, and begins anew
    assert 4 * 200 < count < 6 * 200
    assert watch.searched() == [min(i * 200, count) for i in range(1, 7)]
    assert [cost["pairs"] for cost in history(tracker, "refresh").values()] == [200] * 6


def test_pairs_without_a_turn_draw_from_everything(dataset: Dataset):
    watch, _, sampler = refreshed(dataset, 2, refresh_every=1, max_pairs=200)
    for i, lengths in enumerate(watch.lengths, start=1):
        everything = lengths == sampler.num_entities
        assert int(everything.sum()) == len(lengths) - i * 200
        assert bool((lengths[~everything] == NUM_NEIGHBORS).all())


def test_a_budget_above_all_pairs_is_none(dataset: Dataset):
    _, tracker, sampler = refreshed(dataset, 2, refresh_every=1, max_pairs=10**6)
    count = len(sampler.triples.known_positives.keys)
    assert [cost["pairs"] for cost in history(tracker, "refresh").values()] == [count] * 2


def test_an_instance_is_refreshed(graph: Graph):
    sampler = graph.sampler("adaptiveadversarial", num_neighbors=NUM_NEIGHBORS)
    before = sampler.pools
    train(loop_of(graph, sampler), graph, callbacks="refresh", callbacks_kwargs={"refresh_every": 2})
    assert sampler.pools is not before
    assert sampler.pools.members is not None


def test_a_training_that_goes_on_begins_again_with_everything(graph: Graph):
    """PyKEEN makes a new sampler, which knows of no refresh yet; an instance keeps its pools."""
    for sampler in ("adaptiveadversarial", graph.sampler("adaptiveadversarial", num_neighbors=NUM_NEIGHBORS)):
        loop, callback = loop_of(graph, sampler), RefreshTrainingCallback(refresh_every=2)
        train(loop, graph, num_epochs=2, callbacks=callback)
        assert callback.sampler.pools.members is not None
        train(loop, graph, num_epochs=3, callbacks=callback, continue_training=True)
        assert (callback.sampler.pools.members is None) == isinstance(sampler, str)


# Several together


@pytest.mark.parametrize("names", [["usage", "refresh"], ["refresh", "usage"]])
def test_callbacks_share_one_handle(names: list[str], dataset: Dataset):
    callbacks = {"usage": UsageTrainingCallback(), "refresh": RefreshTrainingCallback(refresh_every=2)}
    tracker = PythonResultTracker()
    result = run(
        dataset,
        "adaptiveadversarial",
        {"num_neighbors": NUM_NEIGHBORS},
        {"callbacks": [callbacks[name] for name in names]},
        result_tracker=tracker,
    )
    sampler = callbacks["usage"].sampler
    assert sampler is callbacks["refresh"].sampler
    assert sampler is result.training_loop.negative_sampler_kwargs["handle"].sampler
    assert list(history(tracker, "slots")) == [1, 2, 3]
    assert list(history(tracker, "refresh")) == [2]
    assert [total(epoch) for epoch in sampler.usage.epochs] == [dataset.training.num_triples] * 3
    # pools of near misses leave some slots masked, all entities leave none
    assert [epoch["masked"] > 0 for epoch in sampler.usage.epochs] == [False, False, True]


def test_callbacks_by_name_take_a_dictionary_each(dataset: Dataset):
    """Upstream: one dictionary goes to every callback, and ``usage`` takes no option."""
    tracker = PythonResultTracker()
    training = {"callbacks": ["usage", "refresh"], "callbacks_kwargs": [None, {"refresh_every": 1}]}
    run(dataset, "adaptiveadversarial", None, training, result_tracker=tracker)
    assert list(history(tracker, "refresh")) == [1, 2, 3]
    with pytest.raises(TypeError, match="unexpected keyword argument 'refresh_every'"):
        run(dataset, "adaptiveadversarial", None, {**training, "callbacks_kwargs": {"refresh_every": 1}})


@pytest.fixture
def evaluation(dataset: Dataset) -> dict[str, Any]:
    """Upstream: the loss of an evaluation is that of negatives, drawn by a sampler from the options of training."""
    return {"triples_factory": dataset.validation, "maximum_batch_size": 100}


@pytest.mark.filterwarnings("ignore:Encountered tensors on device_types")
@pytest.mark.parametrize("order", [1, -1], ids=["before", "after"])
def test_the_sampler_of_an_evaluation_is_not_counted(order: int, dataset: Dataset, evaluation: dict[str, Any]):
    callback, tracker = UsageTrainingCallback(), PythonResultTracker()
    training = {
        "callbacks": [callback, "evaluation-loss"][::order],
        "callbacks_kwargs": [None, evaluation][::order],
    }
    result = run(dataset, "corrupt", {"num_negs_per_pos": 2}, training, result_tracker=tracker)
    assert [total(epoch) for epoch in callback.sampler.usage.epochs] == [2 * dataset.training.num_triples] * 3
    assert total(callback.sampler.usage) == 0
    assert len(callback.sampler.triples.triples) == dataset.training.num_triples
    assert all(math.isfinite(metrics["loss"]) for metrics in history(tracker, "validation").values())
    # the handle shows what was made last
    last = result.training_loop.negative_sampler_kwargs["handle"].sampler
    assert len(last.triples.triples) == dataset.validation.num_triples
    assert total(last.usage) == 2 * dataset.validation.num_triples


@pytest.mark.parametrize("order", [1, -1], ids=["before", "after"])
def test_the_sampler_of_an_evaluation_is_not_refreshed(order: int, dataset: Dataset, evaluation: dict[str, Any]):
    callback = RefreshTrainingCallback(refresh_every=1)
    training = {
        "callbacks": [callback, "evaluation-loss"][::order],
        "callbacks_kwargs": [None, evaluation][::order],
    }
    result = run(dataset, "adaptiveadversarial", {"num_neighbors": NUM_NEIGHBORS}, training)
    assert len(callback.sampler.triples.triples) == dataset.training.num_triples
    assert callback.sampler.pools.members is not None
    assert result.training_loop.negative_sampler_kwargs["handle"].sampler.pools.members is None


def test_an_evaluation_trains_on_as_if_it_were_not_there(dataset: Dataset, evaluation: dict[str, Any]):
    """But for the random numbers that it takes: the first epoch is the same."""
    losses = [
        run(dataset, "corrupt", None, training).losses
        for training in (
            {"callbacks": ["usage"]},
            {"callbacks": ["usage", "evaluation-loss"], "callbacks_kwargs": [None, evaluation]},
        )
    ]
    assert losses[0][0] == losses[1][0]


def test_an_instance_counts_the_negatives_of_an_evaluation(graph: Graph, dataset: Dataset, evaluation: dict[str, Any]):
    """Upstream: an instance serves the evaluation, too; what it draws there falls into the next epoch."""
    sampler = graph.sampler("corrupt")
    train(
        loop_of(graph, sampler),
        graph,
        callbacks=["usage", "evaluation-loss"],
        callbacks_kwargs=[None, evaluation],
    )
    count, more = dataset.training.num_triples, dataset.validation.num_triples
    assert [total(epoch) for epoch in sampler.usage.epochs] == [count, count + more, count + more]
    assert total(sampler.usage) == more
