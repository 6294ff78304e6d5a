"""The experiments of the open questions, on graphs that take seconds."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from negsamp.datasets import SchemaDataset, generate
from negsamp.descriptors import DESCRIPTORS, POOL_DESCRIPTORS
from negsamp.errors import InputError
from negsamp.hpo import study as study_module
from negsamp.pools import save_stage
from negsamp.questions import (
    Runs,
    find_pools,
    graph_structure,
    semantic_validity,
    sweep_structure,
    vary_auxiliary,
    vary_fallback,
)
from negsamp.sampling import make_sampler

GRAPH: dict[str, Any] = {"num_entities": 60, "num_relations": 6, "num_triples": 400, "depth": 2}
SETTING = {"margin": 5.0, "learning_rate": 0.02, "l2_weight": 1e-6}
AUXILIARY: dict[str, Any] = {
    "model": "DistMult",
    "model_kwargs": {"embedding_dim": 8},
    "batch_size": 100,
    "epochs": 2,
    "learning_rate": 0.02,
}
POOLS: dict[str, Any] = {"filtered": True, "num_neighbors": 5, "infer_schema": None}
MRR = "inverse_harmonic_mean_rank"


@pytest.fixture(scope="session")
def graph() -> SchemaDataset:
    return generate(**GRAPH)


def make_runs(parts: Path, *samplers: str, **changes: Any) -> Runs:
    options = {"epochs": 2, "batch_size": 100, "embedding_dim": 8}
    own = {
        name: {**options, "sampling": {"fallback": "random"}, "refresh": {"refresh_every": 1}}
        if name == "adaptiveadversarial"
        else {**options, "sampling": {"fallback": "random"}}
        for name in samplers
    }
    given = {"settings": {"TransE": SETTING}, "negatives": [2], "seeds": [0], "threads": 1}
    return Runs.of_job(parts, "code", options=own, **{**given, **changes})


def stored(dataset: SchemaDataset, name: str, folder: Path) -> Path:
    sampler = make_sampler(name, dataset)
    path = folder / f"{name}.safetensors"
    save_stage(path, sampler.stages[0], sampler.triples, filtered=True)
    return path


def test_every_model_number_and_seed_is_trained_once(
    graph: SchemaDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pools = stored(graph, "typed", tmp_path)
    settings = {"TransE": SETTING, "DistMult": SETTING}
    runs = make_runs(tmp_path / "parts", "typed", settings=settings, negatives=[1, 2], seeds=[0, 3])
    records = list(runs.train(graph, "typed", pools))
    assert [(r["model"], r["negatives"], r["seed"]) for r in records] == [
        (model, number, seed) for model in settings for number in (1, 2) for seed in (0, 3)
    ]
    assert all(r["state"] == "complete" and r["slots"]["pool"] > 0 for r in records)
    assert len({r[MRR] for r in records}) == 8
    ranks = records[0]["reciprocal_ranks"]
    assert len(ranks) == graph.testing.num_triples
    assert sum(ranks) / len(ranks) == pytest.approx(records[0][MRR], abs=1e-6)

    def refuse(*_: Any) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(study_module, "run_isolated", refuse)
    assert list(runs.train(graph, "typed", pools)) == records
    # what decides a result is part of its name
    for changed in (
        replace(runs, settings={"TransE": {**SETTING, "margin": 1.0}}),
        replace(runs, code="other code"),
        replace(runs, seeds=[4]),
        replace(runs, options={"typed": replace(runs.options["typed"], epochs=3)}),
    ):
        with pytest.raises(AssertionError, match="trained again"):
            list(changed.train(graph, "typed", pools))
    with pytest.raises(AssertionError, match="trained again"):
        list(runs.train(generate(**GRAPH, seed=1), "typed", pools))


@pytest.mark.parametrize("split", ["training", "testing"])
def test_a_training_is_kept_for_its_own_triples(
    graph: SchemaDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, split: str
) -> None:
    pools = stored(graph, "random", tmp_path)
    runs = make_runs(tmp_path / "parts", "random")
    list(runs.train(graph, "random", pools))
    other = copy.copy(graph)
    setattr(other, split, getattr(graph, split).clone_and_exchange_triples(getattr(graph, split).mapped_triples[1:]))

    def refuse(*_: Any) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(study_module, "run_isolated", refuse)
    with pytest.raises(AssertionError, match="trained again"):
        list(runs.train(other, "random", pools))


def test_samplers_are_trained_from_the_same_seed(graph: SchemaDataset, tmp_path: Path) -> None:
    # with all entities as the pool of either, nothing is left that differs
    pools = stored(graph, "random", tmp_path)
    runs = make_runs(tmp_path / "parts", "random", "corrupt")
    one, other = (next(runs.train(graph, name, pools)) for name in ("random", "corrupt"))
    assert one["reciprocal_ranks"] == other["reciprocal_ranks"]


def test_a_training_that_diverges_is_a_record(graph: SchemaDataset, tmp_path: Path) -> None:
    runs = make_runs(tmp_path / "parts", "random", settings={"TransE": {**SETTING, "learning_rate": 1e30}})
    (record,) = runs.train(graph, "random", stored(graph, "random", tmp_path))
    assert record["state"] == "failed"
    assert "diverged" in record["reason"]
    assert record[MRR] is None
    assert record["reciprocal_ranks"] is None


def test_pools_are_described_and_stored(graph: SchemaDataset, tmp_path: Path) -> None:
    runs = make_runs(tmp_path / "parts", "random")
    found = find_pools(graph, ["random", "adversarial"], tmp_path, runs=runs, auxiliary=AUXILIARY, options=POOLS)
    assert set(found.files) == set(found.described) == {"random", "adversarial"}
    assert all(path.is_file() for path in found.files.values())
    assert found.described["adversarial"]["pool_share"] <= 5 / 60 < found.described["random"]["pool_share"]
    assert found.auxiliary_mrr is not None
    assert 0 < found.auxiliary_mrr < 1
    alone = find_pools(graph, ["random"], tmp_path, runs=runs, auxiliary=None, options=POOLS)
    assert alone.auxiliary_mrr is None
    assert alone.described["random"] == found.described["random"]


def test_a_point_of_the_sweep_holds_what_was_trained_and_what_the_graph_looks_like(tmp_path: Path) -> None:
    samplers = ["random", "typed", "adversarial", "adaptiveadversarial"]
    runs = make_runs(tmp_path, *samplers, seeds=[0, 1])
    records = sweep_structure({**GRAPH, "noise": 0.2}, runs=runs, auxiliary=AUXILIARY, pool_options=POOLS)
    assert [(r["seed"], r["sampler"]) for r in records] == [(seed, name) for seed in (0, 1) for name in samplers]
    assert all(set(r["structure"]) == set(DESCRIPTORS) and set(r["pools"]) == set(POOL_DESCRIPTORS) for r in records)
    assert 0.05 < records[0]["structure"]["violations"] < 0.3
    # another seed is another graph
    assert records[0]["structure"] != records[4]["structure"]
    assert records[3]["pools"] == dict.fromkeys(POOL_DESCRIPTORS)
    json.dumps(records)


def test_each_graph_has_an_auxiliary_model_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = []

    def noting(*args: Any, **kwargs: Any) -> Any:
        found = find_pools(*args, **kwargs)
        seeds.append(found.auxiliary_mrr and kwargs["auxiliary"]["random_seed"])
        return found

    monkeypatch.setattr(graph_structure, "find_pools", noting)
    for samplers in (["random", "adversarial"], ["random", "corrupt"]):
        runs = make_runs(tmp_path, *samplers, seeds=[0, 3])
        sweep_structure(GRAPH, runs=runs, auxiliary=AUXILIARY, pool_options=POOLS)
    # and none where no sampler asks for it
    assert seeds == [0, 3, None, None]


def test_a_sampler_that_the_graph_does_not_serve_is_left_out(tmp_path: Path) -> None:
    runs = make_runs(tmp_path, "random", "typed", "typedbyclass")
    records = sweep_structure({**GRAPH, "undeclared": 1.0}, runs=runs, auxiliary=AUXILIARY, pool_options=POOLS)
    assert [r["sampler"] for r in records] == ["random", "typedbyclass"]


def test_auxiliary_models_are_trained_for_longer_and_longer_from_one_seed(graph: SchemaDataset, tmp_path: Path) -> None:
    runs = make_runs(tmp_path, "adversarial")
    given = {"auxiliary": AUXILIARY, "pool_options": POOLS}
    records = vary_auxiliary(graph, runs=runs, epochs=[0, 2, 30], **given)
    assert [(r["auxiliary"], r["epochs"]) for r in records] == [("DistMult", 0), ("DistMult", 2), ("DistMult", 30)]
    assert records[0]["auxiliary_mrr"] < records[2]["auxiliary_mrr"]
    assert all(r["pools"]["pool_share"] > 0 for r in records)
    # the same model, asked for alone
    assert vary_auxiliary(graph, runs=runs, epochs=[2], **given) == records[1:2]


def test_each_seed_has_auxiliary_models_of_its_own(graph: SchemaDataset, tmp_path: Path) -> None:
    runs = make_runs(tmp_path, "adversarial", seeds=[0, 1])
    records = vary_auxiliary(graph, runs=runs, auxiliary=AUXILIARY, epochs=[2], pool_options=POOLS)
    assert [r["seed"] for r in records] == [0, 1]
    assert records[0]["auxiliary_mrr"] != records[1]["auxiliary_mrr"]


def test_an_auxiliary_model_that_diverges_ends_in_one_line(graph: SchemaDataset, tmp_path: Path) -> None:
    runs = make_runs(tmp_path, "adversarial")
    with pytest.raises(InputError, match=r"the auxiliary ComplEx diverged .*; lower its learning_rate"):
        vary_auxiliary(
            graph,
            runs=runs,
            auxiliary={**AUXILIARY, "model": "ComplEx", "learning_rate": 1e30},
            epochs=[5],
            pool_options=POOLS,
        )


def test_without_an_auxiliary_model_each_sampler_is_trained_once(graph: SchemaDataset, tmp_path: Path) -> None:
    runs = make_runs(tmp_path, "random", "adaptiveadversarial")
    records = vary_auxiliary(graph, runs=runs, auxiliary=None, epochs=[0, 2], pool_options=POOLS)
    assert [(r["sampler"], r["epochs"], r["auxiliary_mrr"]) for r in records] == [
        ("random", None, None),
        ("adaptiveadversarial", None, None),
    ]


def test_a_fallback_is_varied_alone(graph: SchemaDataset, tmp_path: Path) -> None:
    pools = stored(graph, "relational", tmp_path)
    runs = make_runs(tmp_path / "parts", "relational", negatives=[1, 20])
    found = {
        name: vary_fallback(graph, "relational", name, runs=runs, pools=pools) for name in (None, "random", "semantic")
    }
    for name, records in found.items():
        assert [(r["fallback"], r["negatives"]) for r in records] == [(name, 1), (name, 20)]
    many = {name: records[1] for name, records in found.items()}
    assert many[None]["slots"]["masked"] > 0
    assert many["random"]["slots"]["everything"] > 0 == many["random"]["slots"]["masked"]
    assert many["semantic"]["slots"]["typed"] > 0
    assert many["semantic"]["validity"] > max(many["random"]["validity"], many[None]["validity"])


def test_validity_is_the_share_of_negatives_in_the_domain_or_range() -> None:
    dataset = generate(**GRAPH, untyped=0.3, undeclared=0.3)
    schema = dataset.schema
    assert schema is not None
    sampler = make_sampler("relational", dataset, num_negs_per_pos=3)
    declared, members = schema.relation_classes().toarray() > 0, schema.members().toarray() > 0
    torch.manual_seed(5)
    hits = []
    for batch in sampler.triples.triples.split(1000):
        drawn, mask = sampler.sample(batch)
        assert mask is not None
        for positive, of_positive, valid in zip(batch.tolist(), drawn.tolist(), mask.tolist(), strict=True):
            for negative, is_valid in zip(of_positive, valid, strict=True):
                side = int(negative[2] != positive[2])
                classes = declared[2 * negative[1] + side]
                if is_valid and classes.any():
                    hits.append(bool(members[classes, negative[2 * side]].any()))
    assert 0 < sum(hits) < len(hits)
    assert semantic_validity(sampler, schema, seed=5) == sum(hits) / len(hits)


def test_validity_is_unknown_where_nothing_is_declared() -> None:
    dataset = generate(**GRAPH, undeclared=1.0)
    assert dataset.schema is not None
    assert semantic_validity(make_sampler("random", dataset), dataset.schema, seed=0) is None


def test_no_negative_is_valid_where_no_entity_has_a_class() -> None:
    dataset = generate(**GRAPH, untyped=1.0)
    assert dataset.schema is not None
    assert semantic_validity(make_sampler("random", dataset), dataset.schema, seed=0) == 0.0
