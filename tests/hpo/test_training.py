"""One training and its evaluation, through PyKEEN's pipeline."""

import dataclasses
import inspect
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from names import MODELS
from pykeen.losses import MarginRankingLoss
from pykeen.models import ERModel, model_resolver
from pykeen.pipeline import PipelineResult
from pykeen.regularizers import NoRegularizer, Regularizer
from pykeen.training import SLCWATrainingLoop
from pykeen.training.training_loop import NonFiniteLossError

from negsamp.datasets import SchemaDataset
from negsamp.errors import InputError
from negsamp.evaluation import FastRankBasedEvaluator
from negsamp.hpo import Options, Tracking, Training
from negsamp.hpo import training as module
from negsamp.pipeline import METRICS
from negsamp.pools import save_stage
from negsamp.sampling import SamplerHandle, make_sampler
from negsamp.twins import L2Regularizer

MRR = "inverse_harmonic_mean_rank"
Make = Callable[..., Training]


def dumped(record: dict[str, Any]) -> str:
    return json.dumps(record, sort_keys=True, allow_nan=False)


def pipeline_of(training: Training) -> PipelineResult:
    """Run the pipeline of a training without early stopping."""
    evaluator = FastRankBasedEvaluator(known_positives=training.dataset.validation.mapped_triples)
    return training._pipeline(SamplerHandle(), module.Stopwatch(), evaluator, [], Path("best.pt"))


# Every model


@pytest.mark.parametrize("model", MODELS)
def test_a_trial_of_each_model(model: str, make_training: Make, nations: SchemaDataset) -> None:
    record, cost, _ = make_training(model, negatives=3).run()
    assert record["state"] == "complete"
    assert record["reason"] is None
    assert tuple(record["metrics"]) == METRICS
    assert all(map(math.isfinite, record["metrics"].values()))
    assert 0 < record["metrics"][MRR] <= 1
    assert sum(record["slots"].values()) == 3 * nations.training.num_triples
    assert record["slots"]["pool"] == 3 * nations.training.num_triples
    assert {key: record[key] for key in ("dataset", "model", "sampler", "negatives", "random_seed", "archive")} == {
        "dataset": "nations",
        "model": model,
        "sampler": "random",
        "negatives": 3,
        "random_seed": 1,
        "archive": None,
    }
    takes = "regularizer" in inspect.signature(model_resolver.lookup(model).__init__).parameters
    assert record["parameters"] == {"margin": 1.0, "learning_rate": 0.01, "l2_weight": 1e-4 if takes else None}
    assert cost.keys() == {"training_s", "sampling_s", "evaluation_s", "peak_memory_mb", "versions", "device"}
    assert cost.pop("versions").keys() == {"python", "negsamp", "pykeen", "torch"}
    assert cost.pop("device") == "cpu"
    assert all(value > 0 for value in cost.values())


def test_some_models_take_a_regularizer_and_some_do_not(make_training: Make) -> None:
    weights = {model: make_training(model).record()["parameters"]["l2_weight"] for model in MODELS}
    assert {model for model, weight in weights.items() if weight is None} == {
        "TransR",
        "TransD",
        "HolE",
        "QuatE",
        "BoxE",
    }


def regularizers(model: ERModel) -> list[Regularizer]:
    return [part for part in model.modules() if isinstance(part, Regularizer) and not isinstance(part, NoRegularizer)]


def test_a_model_without_the_option_really_has_no_regularizer(make_training: Make, nations: SchemaDataset) -> None:
    # as PyKEEN makes it, QuatE has two
    assert len(regularizers(model_resolver.make("QuatE", triples_factory=nations.training, embedding_dim=8))) == 2
    assert regularizers(pipeline_of(make_training("QuatE")).model) == []


@pytest.mark.parametrize("model", ["TransE", "RESCAL", "SimplE"])
def test_the_weight_is_that_of_the_model_s_regularizer(model: str, make_training: Make) -> None:
    found = regularizers(pipeline_of(make_training(model, l2_weight=0.25)).model)
    assert found
    assert all(type(part) is L2Regularizer for part in found)
    assert {(part.weight.item(), part.p) for part in found} == {(0.25, 2.0)}


# What decides the result


def test_the_same_training_gives_the_same_record(make_training: Make) -> None:
    trainings = [make_training("RotatE", "corrupt", sampling={"fallback": "random"}, epochs=2) for _ in range(2)]
    torch.manual_seed(5)
    one = trainings[0].run()[0]
    torch.manual_seed(6)
    assert dumped(one) == dumped(trainings[1].run()[0])


@pytest.mark.parametrize(
    "change",
    [
        {"random_seed": 2},
        {"learning_rate": 0.05},
        {"margin": 0.001},
        {"l2_weight": 10.0},
        {"epochs": 2},
        {"batch_size": 500},
        {"embedding_dim": 9},
        {"negatives": 4},
        {"sampler": "corrupt"},
        {"sampling": {"corruption": "tail"}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_decides_the_metrics(change: dict[str, Any], make_training: Make) -> None:
    before = make_training("DistMult").run()[0]["metrics"]
    after = make_training("DistMult", **change).run()[0]["metrics"]
    assert before[MRR] != after[MRR]


def test_loss_optimizer_and_loop_are_as_described(make_training: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    adam = torch.optim.Adam.__init__

    def remember(self: torch.optim.Adam, *args: Any, **kwargs: Any) -> None:
        adam(self, *args, **kwargs)
        made.append(self)

    # PyKEEN lets go of the optimizer after training
    monkeypatch.setattr(torch.optim.Adam, "__init__", remember)
    result = pipeline_of(make_training(margin=7.0, learning_rate=0.02))
    assert {(group["lr"], group["fused"]) for optimizer in made for group in optimizer.param_groups} == {(0.02, True)}
    assert type(result.model.loss) is MarginRankingLoss
    assert result.model.loss.margin == 7.0
    assert type(result.training_loop) is SLCWATrainingLoop


# What is ranked


class SealBrokenError(Exception):
    """A test triple was looked at."""


class Sealed:
    """A data set whose test triples must not be read."""

    def __init__(self, dataset: SchemaDataset) -> None:
        self._dataset = dataset

    def __getattr__(self, name: str) -> Any:
        if name in ("testing", "factory_dict"):
            raise SealBrokenError
        return getattr(self._dataset, name)


def test_a_trial_reads_no_test_triples(make_training: Make, nations: SchemaDataset) -> None:
    sealed = make_training(dataset=Sealed(nations)).run()[0]
    assert dumped(sealed) == dumped(make_training().run()[0])
    with pytest.raises(SealBrokenError):
        make_training(dataset=Sealed(nations), split="testing").run()


def test_the_retrained_model_is_ranked_on_test_triples(make_training: Make) -> None:
    validation, testing = (make_training(split=split).run()[0]["metrics"] for split in ("validation", "testing"))
    assert validation != testing


def reciprocal_ranks(model: ERModel, ranked: torch.Tensor, known: set[tuple[int, ...]]) -> list[float]:
    """Rank both sides of each triple among all entities that make no other known triple; ties count half."""
    reciprocal = []
    for triple in ranked.tolist():
        for column in (0, 2):
            candidates = [[*triple[:column], entity, *triple[column + 1 :]] for entity in range(model.num_entities)]
            with torch.inference_mode():
                scores = model.score_hrt(torch.tensor(candidates)).flatten().tolist()
            own = scores[triple[column]]
            # a sum of floats in another order is no other score
            others = [
                score if abs(score - own) > 1e-6 else own
                for entity, score in enumerate(scores)
                if entity != triple[column] and tuple(candidates[entity]) not in known
            ]
            better, tied = sum(score > own for score in others), sum(score == own for score in others)
            reciprocal.append(1 / (1 + better + tied / 2))
    return reciprocal


@pytest.mark.parametrize(
    ("split", "filters"),
    [("validation", ["training", "validation"]), ("testing", ["training", "validation", "testing"])],
)
@pytest.mark.parametrize("size", [None, 30])
def test_ranks_know_all_positives(
    split: str, filters: list[str], size: int | None, make_training: Make, nations: SchemaDataset
) -> None:
    training = make_training(split=split, max_evaluation_triples=size, epochs=3)
    result = pipeline_of(training)
    ranked = module.sample_triples(getattr(nations, split), size).mapped_triples
    positives = {name: set(map(tuple, getattr(nations, name).mapped_triples.tolist())) for name in filters}
    expected = reciprocal_ranks(result.model.eval(), ranked, set().union(*positives.values()))
    assert len(expected) == 2 * (size or len(ranked))
    found = training.run()[0]["metrics"][MRR]
    assert found == pytest.approx(sum(expected) / len(expected), abs=1e-5)
    # without one of the filters it would be another number
    for name in filters:
        fewer = set().union(*(positives[other] for other in filters if other != name))
        wrong = reciprocal_ranks(result.model.eval(), ranked, fewer)
        assert found != pytest.approx(sum(wrong) / len(wrong), abs=1e-5)


def test_all_studies_rank_the_same_triples(make_training: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    ranked = []

    def remember(**kwargs: Any) -> None:
        wanted = kwargs["testing" if kwargs["use_testing_data"] else "validation"]
        ranked.append((wanted.num_triples, wanted.mapped_triples.tolist()))
        raise NonFiniteLossError

    monkeypatch.setattr(module, "run_pipeline", remember)
    studies = [("TransE", "random", 1), ("TransE", "random", 3), ("RESCAL", "basic", 1)]
    for seed, study in enumerate(studies):
        make_training(*study, max_evaluation_triples=25, random_seed=seed).run()
    assert ranked[0] == ranked[1] == ranked[2]
    assert ranked[0][0] == 25
    make_training(max_evaluation_triples=25, split="testing").run()
    assert ranked[3][0] == 25
    assert ranked[3][1] != ranked[0][1]


# Trainings that fail


@pytest.mark.parametrize("model", ["TransE", "DistMult", "RESCAL", "ComplEx"])
def test_a_training_that_diverges_is_a_result(model: str, make_training: Make) -> None:
    record, cost, _ = make_training(model, learning_rate=1e30, epochs=3, batch_size=200).run()
    assert record["state"] == "failed"
    assert record["reason"].startswith("diverged: ")
    assert record["metrics"] is None
    assert record["parameters"]["learning_rate"] == 1e30
    assert record["slots"]["pool"] > 0
    assert cost["training_s"] is None
    assert cost["evaluation_s"] is None
    dumped(record)


@pytest.mark.parametrize("model", ["RESCAL", "ComplEx"])
def test_a_training_whose_scores_overflow_is_a_result(model: str, make_training: Make) -> None:
    # one step: the loss was finite, and so are the parameters, but no score is
    record, _, _ = make_training(model, learning_rate=1e30, batch_size=5000).run()
    assert record["state"] == "failed"
    assert record["reason"].startswith("diverged: ")


@pytest.mark.parametrize("everything", [False, True])
def test_a_last_step_that_leaves_no_number_is_a_result(
    everything: bool, make_training: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = torch.optim.Adam.step

    def spoil(self: torch.optim.Adam, *args: Any, **kwargs: Any) -> Any:
        loss = step(self, *args, **kwargs)
        parameter = self.param_groups[0]["params"][0].data
        parameter[:] = float("nan") if everything else parameter
        parameter[0, 0] = float("nan")
        return loss

    # no loss is looked at after the last step
    monkeypatch.setattr(torch.optim.Adam, "step", spoil)
    record, _, _ = make_training(batch_size=5000).run()
    assert (record["state"], record["metrics"]) == ("failed", None)
    assert record["reason"].startswith("diverged: ")


def failing(monkeypatch: pytest.MonkeyPatch, fail: Callable[[], Any]) -> None:
    monkeypatch.setattr(module, "run_pipeline", lambda **kwargs: fail())


def raiser(error: Exception) -> Callable[[], Any]:
    def fail() -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("fail", "reason"),
    [
        (raiser(NonFiniteLossError("Loss is non-finite.")), r"diverged: Loss is non-finite\."),
        (
            raiser(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nSee the manual")),
            r"out of memory: CUDA out of memory\. Tried to allocate 2 GiB\.",
        ),
        (raiser(MemoryError()), "out of memory: "),
        # what torch itself says on a CPU: 4 PiB
        (lambda: torch.empty(1 << 50), "out of memory: .*allocate memory.*"),
    ],
    ids=["diverged", "gpu", "python", "cpu"],
)
def test_the_reason_of_a_failure_is_one_line(
    fail: Callable[[], Any], reason: str, make_training: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, fail)
    record, cost, _ = make_training().run()
    assert (record["state"], record["metrics"]) == ("failed", None)
    assert re.fullmatch(reason, record["reason"])
    assert record["slots"] is None
    assert cost["peak_memory_mb"] > 0


@pytest.mark.parametrize(
    "error", [RuntimeError("mat1 and mat2 shapes cannot be multiplied"), KeyError("pools"), OSError("disk full")]
)
def test_any_other_error_is_no_result(error: Exception, make_training: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, raiser(error))
    with pytest.raises(type(error)) as caught:
        make_training().run()
    assert caught.value is error


# Early stopping

OFTEN = {"frequency": 1, "patience": 2, "relative_delta": 0.0}


def test_a_training_ends_when_patience_is_lost(make_training: Make) -> None:
    # a learning rate at which nothing is learnt for long
    record = make_training(learning_rate=0.5, epochs=50, early_stopping=OFTEN).run().record
    assert record["state"] == "complete"
    best = record["best_epoch"]
    slots = sum(record["slots"].values())
    per_epoch = 2 * 1592
    assert slots == (best + 2) * per_epoch < 50 * per_epoch
    # the best epoch's weights are ranked, whenever the training ended: those of a training that ends there
    there = make_training(learning_rate=0.5, epochs=best).run().record
    assert there["metrics"] == record["metrics"]
    assert there["best_epoch"] is None
    assert [epoch for epoch, _ in record["evaluations"]] == [*range(1, best + 3)]
    assert dict(record["evaluations"])[best] == pytest.approx(record["metrics"][MRR], abs=1e-6)
    assert there["evaluations"] == []


def test_the_best_epoch_is_ranked_also_where_patience_lasts(make_training: Make) -> None:
    patient = {**OFTEN, "patience": 100}
    record = make_training(learning_rate=0.5, epochs=12, early_stopping=patient).run().record
    best = record["best_epoch"]
    assert best < 12
    assert sum(record["slots"].values()) == 12 * 2 * 1592
    metrics = [make_training(learning_rate=0.5, epochs=epochs).run().record["metrics"] for epochs in (best, 12)]
    assert record["metrics"] == metrics[0]
    assert metrics[0][MRR] > metrics[1][MRR]


def test_early_stopping_looks_at_validation_and_leaves_nothing(
    make_training: Make, nations: SchemaDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    evaluate = FastRankBasedEvaluator.evaluate

    def remember(self: FastRankBasedEvaluator, model: ERModel, mapped_triples: torch.Tensor, *args: Any, **kwargs: Any):
        known = {tuple(row) for part in kwargs["additional_filter_triples"] for row in torch.atleast_2d(part).tolist()}
        asked.append((mapped_triples.tolist(), known, self.known_positives.tolist()))
        return evaluate(self, model, mapped_triples, *args, **kwargs)

    monkeypatch.setattr(FastRankBasedEvaluator, "evaluate", remember)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    make_training(split="testing", epochs=2, early_stopping=OFTEN, max_evaluation_triples=30).run()
    watched = module.sample_triples(nations.validation, 30).mapped_triples.tolist()
    *stops, last = asked
    assert len(stops) == 2
    test = set(map(tuple, nations.testing.mapped_triples.tolist()))
    for ranked, known, always in stops:
        assert ranked == watched
        # no test triple has a say in when a training ends
        assert not known & (test - set(map(tuple, nations.training.mapped_triples.tolist())))
        assert always == nations.validation.mapped_triples.tolist()
    assert last[0] == module.sample_triples(nations.testing, 30).mapped_triples.tolist()
    assert not list(tmp_path.iterdir())


# Losses, and loops without negatives


@pytest.mark.parametrize("loss", ["nssa", "crossentropy", "softplus", "bceaftersigmoid"])
def test_a_margin_is_what_the_loss_takes(loss: str, make_training: Make) -> None:
    options = {"adversarial_temperature": 0.5} if loss == "nssa" else {}
    one, two = (
        make_training("DistMult", loss=loss, loss_kwargs=options, margin=margin).run().record for margin in (1.0, 9.0)
    )
    assert one["state"] == "complete"
    takes = loss == "nssa"
    assert (one["parameters"]["margin"], two["parameters"]["margin"]) == ((1.0, 9.0) if takes else (None, None))
    assert (one["metrics"] == two["metrics"]) is not takes


@pytest.mark.parametrize("loop", module.LOOPS)
def test_a_loop_without_negatives_is_a_study(loop: str, make_training: Make) -> None:
    options = {"loss": "crossentropy", "epochs": 10, "batch_size": 100}
    record, cost, ranks = make_training("DistMult", loop, 0, **options).run()
    assert (record["state"], record["slots"], record["negatives"]) == ("complete", None, 0)
    assert cost["sampling_s"] is None
    assert cost["training_s"] > 0
    assert {side: len(of_side) for side, of_side in ranks.items()} == dict.fromkeys(("head", "tail"), 199)
    assert record["metrics"] != make_training("DistMult", loop, 0, **options, random_seed=2).run().record["metrics"]


@pytest.mark.parametrize(("name", "loss"), [("csv", ",loss,"), ("json", '{"metrics": {"loss":')])
def test_a_tracker_is_told(name: str, loss: str, make_training: Make, tmp_path: Path) -> None:
    path = tmp_path / f"made/for/it.{name}"
    training = make_training(epochs=3)
    tracking = Tracking([name], [{"path": str(path)}]).of(training.study, "trial-0")
    record = dataclasses.replace(training, tracking=tracking).run().record
    assert path.read_text(encoding="utf-8").count(loss) == 3
    assert record == make_training(epochs=3).run().record


@pytest.mark.parametrize("sampler", ["basic", "random"])
def test_sampling_is_timed_within_the_training(sampler: str, make_training: Make) -> None:
    cost = make_training(sampler=sampler, epochs=3).run().cost
    assert 0 < cost["sampling_s"] < cost["training_s"]


def test_the_interval_holds_the_mrr_and_ranks_make_it(make_training: Make) -> None:
    record, _, ranks = make_training("DistMult", epochs=3).run()
    reciprocal = [1 / rank for of_side in ranks.values() for rank in of_side]
    assert sum(reciprocal) / len(reciprocal) == pytest.approx(record["metrics"][MRR], rel=1e-6)
    low, high = record["mrr_interval"]
    assert low < record["metrics"][MRR] < high
    assert high - low < 0.2


# Samplers


@pytest.mark.parametrize("sampler", ["basic", "bernoulli"])
def test_pykeens_own_samplers_do_not_count(sampler: str, make_training: Make) -> None:
    # options of ours are none of theirs
    record, _, _ = make_training(sampler=sampler, sampling={"fallback": "random", "filtered": True}).run()
    assert record["state"] == "complete"
    assert record["slots"] is None


def test_semantic_fallback_uses_the_schema(make_training: Make, typed_graph: SchemaDataset) -> None:
    training = make_training(sampler="typed", negatives=40, dataset=typed_graph, sampling={"fallback": "semantic"})
    slots = training.run()[0]["slots"]
    assert sum(slots.values()) == 40 * typed_graph.training.num_triples
    assert slots["pool"] > 0
    assert slots["ancestors_1"] > 0
    assert slots["masked"] == 0
    assert slots.keys() >= {"corrupt", "everything", "masked", "rescued"}
    fallback = {"fallback": "random"}
    random = make_training(sampler="typed", negatives=40, dataset=typed_graph, sampling=fallback).run().record
    assert random["slots"].keys() == {"pool", "everything", "masked", "rescued"}


def test_without_a_fallback_slots_are_masked(make_training: Make, nations: SchemaDataset) -> None:
    slots = make_training(sampler="corrupt", negatives=5).run()[0]["slots"]
    assert slots["masked"] > 0
    assert sum(slots.values()) == 5 * nations.training.num_triples


@pytest.mark.parametrize("filtered", [True, False])
def test_stored_pools_give_what_built_ones_give(
    filtered: bool, make_training: Make, nations: SchemaDataset, tmp_path: Path
) -> None:
    path = tmp_path / "pools.safetensors"
    sampler = make_sampler("corrupt", nations, filtered=filtered)
    save_stage(path, sampler.stages[0], sampler.triples, filtered=filtered)
    # options that were used up when the pools were found are no hindrance
    sampling = {"filtered": filtered, "fallback": "random"}
    stored = make_training(sampler="corrupt", negatives=9, pools=str(path), sampling=sampling).run()[0]
    built = make_training(sampler="corrupt", negatives=9, sampling=sampling).run()[0]
    assert dumped(stored) == dumped(built)
    assert stored["slots"]["everything"] > 0


def test_an_unknown_loss_is_named() -> None:
    with pytest.raises(InputError, match=r"unknown loss 'hinges'; PyKEEN knows .*crossentropy.*marginranking"):
        Options(loss="hinges")


def test_options_that_the_loss_does_not_take_are_refused() -> None:
    with pytest.raises(
        InputError, match=r"no option 'temperature' of the loss 'nssa' .*it has adversarial_temperature, re"
    ):
        Options(loss="nssa", loss_kwargs={"temperature": 1.0})
    with pytest.raises(InputError, match="'margin' of the loss 'nssa' can be given; hpo"):
        Options(loss="nssa", loss_kwargs={"margin": 9.0})
    with pytest.raises(InputError, match="'margin' of the loss 'crossentropy' can be given; it has "):
        Options(loss="crossentropy", loss_kwargs={"margin": 9.0})
    Options(loss="nssa", loss_kwargs={"adversarial_temperature": 1.0})
    # one that hands on what it does not name
    Options(loss="focal", loss_kwargs={"gamma": 1.0, "reduction": "sum"})
    with pytest.raises(InputError, match="'kwargs' of the loss 'focal' can be given; it has alpha, gamma, reduction"):
        Options(loss="focal", loss_kwargs={"kwargs": 1})
