"""Ranks are PyKEEN's own, whatever the model and however they were computed."""

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from graphs import graph_of, whole_numbered_model
from pykeen.datasets import Nations
from pykeen.evaluation import MetricResults, RankBasedEvaluator, evaluator_resolver
from pykeen.models import ERModel, FixedModel, TransE, model_resolver
from pykeen.pipeline import pipeline
from pykeen.training.training_loop import NonFiniteLossError
from pykeen.triples import CoreTriplesFactory
from pykeen.typing import LongTensor, MappedTriples

from negsamp import FastRankBasedEvaluator, scoring
from negsamp import evaluation as module
from negsamp.scoring import score_blocks

NUM_ENTITIES, NUM_RELATIONS = 30, 4

#: what is computed by products and distances, and with which options
BY_VECTORS: list[tuple[str, dict[str, Any]]] = [
    *(("TransE", {"scoring_fct_norm": p}) for p in (1, 2, 3)),
    *(("TransE", {"scoring_fct_norm": p, "power_norm": True}) for p in (1, 2)),
    *(("TransR", {"scoring_fct_norm": p, "relation_dim": 4}) for p in (1, 2)),
    ("TransR", {"max_projection_norm": 0.1}),
    *(("TransH", {"scoring_fct_norm": p}) for p in (1, 2)),
    ("TransD", {}),
    ("TransD", {"relation_dim": 9}),
    ("RotatE", {}),
    ("DistMult", {}),
    ("ComplEx", {}),
    ("RESCAL", {}),
    ("SimplE", {}),
    ("HolE", {}),
    ("QuatE", {}),
    ("CP", {}),
]
#: what is asked of the model
BY_MODEL: list[tuple[str, dict[str, Any]]] = [
    ("BoxE", {}),
    ("CrossE", {}),
    ("ERMLP", {}),
    ("KG2E", {}),
    ("MuRE", {}),
    ("PairRE", {}),
    ("SE", {}),
    ("TorusE", {}),
    ("TuckER", {}),
    ("UM", {}),
    ("TransE", {"predict_with_sigmoid": True}),
    ("SimplE", {"clamp_score": 0.01}),
    ("DistMult", {"predict_with_sigmoid": True}),
]


def name_of(case: object) -> str:
    return case if isinstance(case, str) else "-".join(f"{value}" for value in case.values())


@pytest.fixture(scope="module")
def splits() -> dict[str, MappedTriples]:
    """Splits with repeated lines, with triples of one in another, and with pairs of many triples."""
    generator = torch.Generator().manual_seed(1)

    def some(size: int, heads: int) -> MappedTriples:
        sizes = torch.tensor([heads, NUM_RELATIONS, NUM_ENTITIES])
        return (torch.rand(size, 3, generator=generator) * sizes).long()

    training, validation, testing = some(200, NUM_ENTITIES), some(60, 3), some(60, 3)
    return {
        "training": torch.cat([training, training[:20]]),
        "validation": torch.cat([validation, training[:10]]),
        "testing": torch.cat([testing, testing[:10], training[-10:], validation[:10]]),
    }


def factory(splits: dict[str, MappedTriples], *, inverse: bool = False) -> CoreTriplesFactory:
    return CoreTriplesFactory(splits["training"], NUM_ENTITIES, NUM_RELATIONS, create_inverse_triples=inverse)


def make(name: str, triples_factory: CoreTriplesFactory, **options: Any) -> ERModel:
    return model_resolver.make(
        name, triples_factory=triples_factory, random_seed=3, **{"embedding_dim": 6, **options}
    ).eval()


def evaluated(
    cls: type[RankBasedEvaluator], model: ERModel, splits: dict[str, MappedTriples], **options: Any
) -> tuple[RankBasedEvaluator, MetricResults]:
    evaluator = cls(clear_on_finalize=False)
    known = [splits["training"], splits["validation"]]
    options = {"additional_filter_triples": known, "use_tqdm": False, **options}
    return evaluator, evaluator.evaluate(model, splits["testing"], **options)


def assert_equal(
    model: ERModel, splits: dict[str, MappedTriples], reference: ERModel | None = None, **options: Any
) -> None:
    """Compare ranks, numbers of candidates and metrics, in the order of the triples."""
    ours, metrics = evaluated(FastRankBasedEvaluator, model, splits, **options)
    pykeens, wanted = evaluated(RankBasedEvaluator, reference or model, splits, **{**options, "batch_size": 16})
    assert ours.num_entities == pykeens.num_entities
    assert ours.ranks.keys() == pykeens.ranks.keys()
    for key in pykeens.ranks:
        np.testing.assert_array_equal(np.concatenate(ours.ranks[key]), np.concatenate(pykeens.ranks[key]), str(key))
    assert ours.num_candidates.keys() == pykeens.num_candidates.keys()
    for target, counts in pykeens.num_candidates.items():
        np.testing.assert_array_equal(np.concatenate(ours.num_candidates[target]), np.concatenate(counts))
    assert metrics.to_flat_dict() == pytest.approx(wanted.to_flat_dict(), nan_ok=True)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[LongTensor]:
    """Remember which pairs a model was asked for itself."""
    batches = []
    predict = ERModel.predict

    def remember(self: ERModel, hrt_batch: LongTensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        batches.append(hrt_batch)
        return predict(self, hrt_batch, *args, **kwargs)

    monkeypatch.setattr(ERModel, "predict", remember)
    return batches


@pytest.mark.parametrize("inverse", [False, True], ids=["", "inverse"])
@pytest.mark.parametrize(("name", "options"), [*BY_VECTORS, *BY_MODEL], ids=name_of)
def test_ranks_are_pykeens(name: str, options: dict[str, Any], inverse: bool, splits: dict[str, MappedTriples]) -> None:
    assert_equal(make(name, factory(splits, inverse=inverse), **options), splits)


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("name", ["TransE", "TransH", "DistMult", "ComplEx", "RESCAL", "SimplE"])
def test_ties_count_as_pykeen_counts_them(name: str, p: int, splits: dict[str, MappedTriples]) -> None:
    graph = graph_of([tuple(row) for row in splits["training"].tolist()], num_entities=30, num_relations=4)
    model = whole_numbered_model(name, graph)
    model.interaction.p = p
    ours, _ = evaluated(FastRankBasedEvaluator, model, splits)
    ranks = {kind: np.concatenate(ours.ranks["tail", kind]) for kind in ("optimistic", "realistic", "pessimistic")}
    assert (ranks["pessimistic"] > ranks["optimistic"]).mean() > 0.3
    assert (ranks["realistic"] == (ranks["optimistic"] + ranks["pessimistic"]) / 2).all()
    assert_equal(model, splits)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *((name, {}) for name in ("TransE", "TransR", "TransH", "RotatE", "DistMult", "RESCAL", "HolE")),
        *((name, {"scoring_fct_norm": 2}) for name in ("TransE", "TransR", "TransH")),
    ],
)
def test_equal_vectors_tie_wherever_they_stand(name: str, options: dict[str, Any]) -> None:
    # a matrix product may treat its last columns differently
    num_entities, twins = 5003, torch.arange(0, 5003, 7)
    triples = torch.stack([torch.arange(100), torch.arange(100) % 3, twins[:100]], dim=-1)
    model = make(name, CoreTriplesFactory(triples, num_entities, 3), **{"embedding_dim": 50, **options})
    weight = model.entity_representations[0]._embeddings.weight.data
    weight[twins] = weight[0].clone()
    evaluator, _ = evaluated(
        FastRankBasedEvaluator, model, {"training": triples, "validation": triples, "testing": triples}
    )
    ranks = evaluator.ranks
    tied = ranks["tail", "pessimistic"][0] - ranks["tail", "optimistic"][0]
    # now and then another entity happens to be as near
    assert (tied >= len(twins) - 1).all()
    assert (tied == len(twins) - 1).mean() > 0.9


@pytest.mark.parametrize("name", ["TransE", "TransR", "RotatE", "RESCAL", "QuatE"])
def test_ranks_hold_among_many_entities(name: str) -> None:
    """Where no other score is as close to the own one as rounding brings it, ranks are equal."""
    generator = torch.Generator().manual_seed(0)
    triples = (torch.rand(200, 3, generator=generator) * torch.tensor([4000, 3, 4000])).long()
    model = make(name, CoreTriplesFactory(triples, 4000, 3), embedding_dim=40)
    splits = {"training": triples, "validation": triples[:0], "testing": triples}
    ours, metrics = evaluated(FastRankBasedEvaluator, model, splits)
    pykeens, wanted = evaluated(RankBasedEvaluator, model, splits)
    with torch.inference_mode():
        scores = model.predict_t(triples[:, :2])
    own = scores.gather(1, triples[:, 2:])
    close = ((scores - own).abs() <= 1e-5 * scores.abs().amax(dim=1, keepdim=True)).sum(dim=1) > 1
    different = torch.as_tensor(
        ours.ranks["tail", "realistic"][0] != np.concatenate(pykeens.ranks["tail", "realistic"])
    )
    assert not (different & ~close).any()
    assert not close.all()
    for metric in ("inverse_harmonic_mean_rank", "hits_at_1", "hits_at_10"):
        assert metrics.get_metric(metric) == pytest.approx(wanted.get_metric(metric), abs=1e-4)


# What is filtered


def test_each_triples_rank_is_kept(splits: dict[str, MappedTriples]) -> None:
    model = make("DistMult", factory(splits))
    known = [splits["training"], splits["validation"], splits["testing"]]
    evaluator = FastRankBasedEvaluator()
    evaluator.evaluate(model, splits["testing"], additional_filter_triples=known, use_tqdm=False)
    kept = {side: ranks.tolist() for side, ranks in evaluator.realistic_ranks.items()}
    assert kept.keys() == {"head", "tail"}
    for side, ranks in kept.items():
        assert len(set(ranks)) > 10
        for i, rank in enumerate(ranks):
            alone = FastRankBasedEvaluator()
            results = alone.evaluate(
                model, splits["testing"][i : i + 1], additional_filter_triples=known, use_tqdm=False
            )
            assert results.get_metric(f"{side}.realistic.arithmetic_mean_rank") == rank
    # an evaluation that is left to PyKEEN tells no ranks
    everything = range(NUM_ENTITIES)
    evaluator.evaluate(
        model, splits["testing"], additional_filter_triples=known, use_tqdm=False, restrict_entities_to=everything
    )
    assert evaluator.realistic_ranks == {}


@pytest.mark.parametrize("as_list", [False, True])
def test_known_positives_never_compete(as_list: bool, splits: dict[str, MappedTriples]) -> None:
    model = make("DistMult", factory(splits))
    ranked, other = splits["testing"], torch.cat([splits["training"], splits["validation"]])
    expected = FastRankBasedEvaluator().evaluate(model, ranked, additional_filter_triples=[other], use_tqdm=False)
    evaluator = FastRankBasedEvaluator(known_positives=splits["validation"])
    given = [splits["training"]] if as_list else splits["training"]
    found = evaluator.evaluate(model, ranked, additional_filter_triples=given, use_tqdm=False)
    assert found.to_flat_dict() == expected.to_flat_dict()


def test_each_filter_matters(splits: dict[str, MappedTriples]) -> None:
    model = make("TransE", factory(splits))
    one, many = splits["training"], [splits["training"], splits["validation"]]
    found = []
    for filters in (one, many, [one], None):
        assert_equal(model, splits, additional_filter_triples=filters)
        _, metrics = evaluated(FastRankBasedEvaluator, model, splits, additional_filter_triples=filters)
        found.append(metrics.get_metric("both.realistic.arithmetic_mean_rank"))
    assert found[0] == found[2]
    assert len(set(found)) == 3


def test_a_missing_filter_is_warned_of(splits: dict[str, MappedTriples], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        evaluated(FastRankBasedEvaluator, make("TransE", factory(splits)), splits, additional_filter_triples=None)
    assert "no `additional_filter_triples`" in caplog.text


def test_where_everything_is_known_the_triple_is_alone() -> None:
    triples = torch.cartesian_prod(torch.arange(3), torch.arange(2), torch.arange(3))
    model = make("DistMult", CoreTriplesFactory(triples, 3, 2))
    evaluator = FastRankBasedEvaluator(clear_on_finalize=False)
    evaluator.evaluate(model, triples, additional_filter_triples=[triples], use_tqdm=False)
    assert {int(rank) for ranks in evaluator.ranks.values() for rank in np.concatenate(ranks)} == {1}
    assert {int(count) for counts in evaluator.num_candidates.values() for count in np.concatenate(counts)} == {1}


@pytest.mark.parametrize("targets", [("head",), ("tail",), ("tail", "head")])
@pytest.mark.parametrize("name", ["TransE", "SimplE", "MuRE"])
def test_one_side_can_be_ranked(name: str, targets: tuple[str, ...], splits: dict[str, MappedTriples]) -> None:
    assert_equal(make(name, factory(splits)), splits, targets=targets)


# Time and memory


@pytest.mark.parametrize("name", ["TransE", "TransR", "RESCAL", "MuRE"])
@pytest.mark.parametrize("budget", [1, 3000, 10**9])
def test_the_size_of_a_block_changes_nothing(
    name: str, budget: int, splits: dict[str, MappedTriples], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "BLOCK_BYTES", budget)
    monkeypatch.setattr(scoring, "BROADCAST_BYTES", budget)
    assert_equal(make(name, factory(splits)), splits)


def blocks_of(model: ERModel, **options: Any) -> Iterator[torch.Tensor]:
    pairs = torch.cartesian_prod(torch.arange(NUM_RELATIONS), torch.arange(NUM_ENTITIES))
    return score_blocks(model, pairs[:, 1], pairs[:, 0], "tail", **options)


@pytest.mark.parametrize(
    ("name", "largest"),
    # a relation of RESCAL has 36 numbers, one of QuatE 24; MuRE broadcasts each pair over 8 numbers an entity
    [("TransE", 7), ("TransR", 7), ("DistMult", 5), ("RESCAL", 3), ("QuatE", 3), ("MuRE", 14)],
)
def test_a_block_fits_into_the_budget(
    name: str, largest: int, splits: dict[str, MappedTriples], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make(name, factory(splits))
    budget = 8 * 7 * NUM_ENTITIES
    monkeypatch.setattr(scoring, "BLOCK_BYTES", budget)
    monkeypatch.setattr(scoring, "BROADCAST_BYTES", 8 * budget)
    sizes = [len(scores) for scores in blocks_of(model)]
    assert sum(sizes) == NUM_RELATIONS * NUM_ENTITIES
    assert max(sizes) == largest
    assert max(len(scores) for scores in blocks_of(model, batch_size=2)) == 2


def test_each_pair_is_scored_once(splits: dict[str, MappedTriples], monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def remember(model: ERModel, anchors: LongTensor, relations: LongTensor, target: str, **options: Any) -> Any:
        seen.extend((target, *pair) for pair in zip(anchors.tolist(), relations.tolist(), strict=True))
        return score_blocks(model, anchors, relations, target, **options)

    monkeypatch.setattr(module, "score_blocks", remember)
    evaluated(FastRankBasedEvaluator, make("TransE", factory(splits)), splits)
    triples = splits["testing"].tolist()
    assert len(seen) == len(set(seen)) < 2 * len(triples)
    assert set(seen) == {("tail", h, r) for h, r, _ in triples} | {("head", t, r) for _, r, t in triples}


@pytest.mark.parametrize(("name", "options"), BY_VECTORS, ids=name_of)
def test_vectors_stand_in_for_the_model(
    name: str, options: dict[str, Any], splits: dict[str, MappedTriples], asked: list[LongTensor]
) -> None:
    evaluated(FastRankBasedEvaluator, make(name, factory(splits), **options), splits)
    assert not asked


@pytest.mark.parametrize(("name", "options"), BY_MODEL, ids=name_of)
def test_other_models_are_asked_for_each_pair_once(
    name: str, options: dict[str, Any], splits: dict[str, MappedTriples], asked: list[LongTensor]
) -> None:
    evaluated(FastRankBasedEvaluator, make(name, factory(splits), **options), splits)
    triples = splits["testing"]
    assert sum(map(len, asked)) == len(triples[:, :2].unique(dim=0)) + len(triples[:, 1:].unique(dim=0))


def test_a_model_with_a_score_of_its_own_is_asked(splits: dict[str, MappedTriples]) -> None:
    class Backward(TransE):
        def score_t(self, *args: Any, **kwargs: Any) -> torch.Tensor:
            return -super().score_t(*args, **kwargs)

    assert_equal(Backward(triples_factory=factory(splits), embedding_dim=6, random_seed=0).eval(), splits)


# What PyKEEN's users expect


@pytest.mark.parametrize(
    "options",
    [
        {"restrict_entities_to": range(20), "pre_filtered_triples": False},
        {"restrict_relations_to": [0, 1], "pre_filtered_triples": False},
        {"slice_size": 7},
        {"batch_size": 3},
    ],
    ids=lambda options: next(iter(options)),
)
@pytest.mark.parametrize("name", ["TransE", "MuRE"])
def test_options_are_not_ignored(name: str, options: dict[str, Any], splits: dict[str, MappedTriples]) -> None:
    assert_equal(make(name, factory(splits)), splits, **options)


def test_a_slice_reaches_the_model(splits: dict[str, MappedTriples], monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    model = make("MuRE", factory(splits))
    monkeypatch.setattr(
        model, "predict", lambda *args, **kwargs: seen.append(kwargs) or ERModel.predict(model, *args, **kwargs)
    )
    evaluated(FastRankBasedEvaluator, model, splits, slice_size=7)
    assert {kwargs["slice_size"] for kwargs in seen} == {7}


def test_relations_are_refused_as_pykeen_refuses_them(splits: dict[str, MappedTriples]) -> None:
    with pytest.raises(NotImplementedError, match="728"):
        evaluated(FastRankBasedEvaluator, make("TransE", factory(splits)), splits, targets=("relation",))


def test_an_unfiltered_evaluation_fails_as_pykeens_does(splits: dict[str, MappedTriples]) -> None:
    with pytest.raises(ValueError, match="needs the true scores"):
        FastRankBasedEvaluator(filtered=False).evaluate(make("TransE", factory(splits)), splits["testing"])


def test_models_without_representations_are_left_to_pykeen(splits: dict[str, MappedTriples]) -> None:
    assert_equal(FixedModel(triples_factory=factory(splits)), splits)


def test_the_name_is_known_to_pykeen() -> None:
    assert evaluator_resolver.lookup("fastrankbased") is FastRankBasedEvaluator


@pytest.mark.parametrize("inverse", [False, True])
def test_a_pipeline_reports_the_same(inverse: bool) -> None:
    found = []
    for evaluator in ("rankbased", "fastrankbased"):
        result = pipeline(
            dataset=Nations(create_inverse_triples=inverse),
            model="TransE",
            model_kwargs={"embedding_dim": 6},
            training_kwargs={"num_epochs": 4, "batch_size": 500, "use_tqdm": False},
            stopper="early",
            stopper_kwargs={"frequency": 1, "patience": 5, "metric": "mrr"},
            evaluator=evaluator,
            evaluation_kwargs={"use_tqdm": False},
            random_seed=0,
        )
        found.append((result.stopper.results, result.metric_results.to_flat_dict()))
        assert result.metric_results.get_metric("both.realistic.inverse_harmonic_mean_rank") > 0.1
    (results, metrics), (same_results, same_metrics) = found
    assert len(results) == 4
    assert results == pytest.approx(same_results)
    assert metrics == pytest.approx(same_metrics, nan_ok=True)


def test_an_evaluator_can_be_used_again(splits: dict[str, MappedTriples]) -> None:
    model, evaluator = make("TransE", factory(splits)).train(), FastRankBasedEvaluator()
    options = {"additional_filter_triples": [splits["training"]], "use_tqdm": False}
    first = evaluator.evaluate(model, splits["testing"], **options)
    assert not evaluator.ranks
    assert not model.training
    with torch.inference_mode():
        again = evaluator.evaluate(model, splits["testing"], **options)
    assert first.to_flat_dict() == pytest.approx(again.to_flat_dict(), nan_ok=True)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_bilinear_model_can_be_ranked_in_inference_mode(splits: dict[str, MappedTriples]) -> None:
    with torch.inference_mode():
        assert_equal(make("HolE", factory(splits)), splits)


def test_the_progress_counts_ranks(
    splits: dict[str, MappedTriples], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("negsamp.progress.DELAY", 0)
    monkeypatch.setattr("negsamp.progress.INTERVAL", 0)
    caplog.set_level("INFO", "negsamp.progress")
    model, count = make("TransE", factory(splits)), 2 * len(splits["testing"])
    evaluated(FastRankBasedEvaluator, model, splits, use_tqdm=True)
    assert caplog.messages[-1].startswith(f"ranking: {count} of {count}, ")
    caplog.clear()
    evaluated(FastRankBasedEvaluator, model, splits)
    assert not caplog.messages


# Numbers that are none


def test_a_parameter_that_is_not_finite_is_refused(splits: dict[str, MappedTriples]) -> None:
    model = make("TransE", factory(splits))
    next(model.parameters()).data[0, 0] = torch.nan
    with pytest.raises(NonFiniteLossError, match="a parameter of the model is not finite"):
        evaluated(FastRankBasedEvaluator, model, splits)


@pytest.mark.parametrize("options", [{}, {"restrict_entities_to": range(NUM_ENTITIES)}], ids=["ours", "pykeens"])
@pytest.mark.parametrize("name", ["DistMult", "TransE", "MuRE"])
def test_a_score_that_is_not_finite_is_refused(
    name: str, options: dict[str, Any], splits: dict[str, MappedTriples]
) -> None:
    model = make(name, factory(splits))
    for parameter in model.parameters():
        parameter.data.fill_(3e38)
    with pytest.raises(NonFiniteLossError, match="a score is not finite"):
        evaluated(FastRankBasedEvaluator, model, splits, **options)


def test_one_score_of_another_entity_is_enough(splits: dict[str, MappedTriples]) -> None:
    model = make("DistMult", factory(splits))
    model.entity_representations[0]._embeddings.weight.data[NUM_ENTITIES - 1] = 3e38
    model.relation_representations[0]._embeddings.weight.data.fill_(1e4)
    triples = torch.tensor([[0, 0, 1]])
    with pytest.raises(NonFiniteLossError, match="a score is not finite"):
        FastRankBasedEvaluator().evaluate(model, triples, additional_filter_triples=[triples], use_tqdm=False)
