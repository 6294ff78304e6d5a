"""The checks find what they look for, and see what is wrong."""

from pathlib import Path

import pytest
import torch
from pykeen.triples import CoreTriplesFactory

from negsamp.auxiliary import train_auxiliary
from negsamp.checks import FAILS, PASSES, check_auxiliary, check_empty_pools, check_fallback
from negsamp.datasets import SchemaDataset, generate, load_dataset
from negsamp.errors import InputError
from negsamp.hpo import Options, Study
from negsamp.io import save_tensors
from negsamp.models import save_model
from negsamp.pools import save_stage
from negsamp.sampling import PoolNegativeSampler, make_sampler

PARAMETERS = {"margin": 5.0, "learning_rate": 0.01, "l2_weight": 1e-5}


@pytest.fixture(scope="module")
def graph() -> SchemaDataset:
    return generate(num_entities=80, num_relations=5, num_triples=500, depth=2)


@pytest.fixture(scope="module")
def pools(graph: SchemaDataset, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The stored relational pools, of which some are empty."""
    path = tmp_path_factory.mktemp("pools") / "relational.safetensors"
    sampler = make_sampler("relational", graph)
    save_stage(path, sampler.stages[0], sampler.triples, filtered=True)
    return str(path)


def test_slots_without_a_pool_are_masked_or_fall_back(graph: SchemaDataset, pools: str) -> None:
    found = check_empty_pools(graph, "relational", pools, negatives=10)
    assert (found["dataset"], found["verdict"]) == ("synthetic", PASSES)
    # counted by another hand: a query is empty if its statistics say so
    sampler = make_sampler("relational", graph, num_negs_per_pos=10)
    torch.manual_seed(0)
    parts = [sampler.sample(batch)[1] for batch in graph.training.mapped_triples.split(1000)]
    masked = sum(int((~mask).sum()) for mask in parts if mask is not None)
    assert masked > 0
    assert (
        f"{masked / (10 * graph.training.num_triples):.2%} of the slots are masked, with random 0.00%"
        in found["evidence"]
    )
    assert found["evidence"].endswith("0 of the negatives are training triples")


def test_a_known_positive_among_the_negatives_is_seen(
    graph: SchemaDataset, pools: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def give_back(self: PoolNegativeSampler, batch: torch.Tensor) -> tuple[torch.Tensor, None]:
        return batch[:, None].repeat(1, self.num_negs_per_pos, 1), None

    monkeypatch.setattr(PoolNegativeSampler, "sample", give_back)
    found = check_empty_pools(graph, "relational", pools, negatives=2)
    assert found["verdict"] == FAILS
    assert f"{4 * graph.training.num_triples:,} of the negatives are training triples" in found["evidence"]


def test_a_data_set_that_counts_no_leaks_is_refused(tmp_path: Path) -> None:
    graph = load_dataset("nations")
    save_tensors(tmp_path / "model.safetensors", {}, {"triples_digest": "0"})
    del graph.report["leaks"]
    with pytest.raises(InputError, match="nations: its report counts no leaks between the splits; prepare"):
        check_auxiliary(graph, tmp_path / "model.safetensors")


def test_unfiltered_pools_may_give_training_triples(graph: SchemaDataset, tmp_path: Path) -> None:
    sampler = make_sampler("corrupt", graph, filtered=False)
    save_stage(tmp_path / "corrupt.safetensors", sampler.stages[0], sampler.triples, filtered=False)
    found = check_empty_pools(graph, "corrupt", str(tmp_path / "corrupt.safetensors"), negatives=5, filtered=False)
    assert found["verdict"] == PASSES
    assert not found["evidence"].endswith(" 0 of the negatives are training triples")


def test_the_fallback_is_switched_on_and_off(graph: SchemaDataset, pools: str) -> None:
    study = Study("synthetic", "TransE", "relational", 10)
    options = Options(epochs=3, embedding_dim=8, batch_size=200, sampling={"filtered": True})
    arguments = {"options": options, "pools": pools, "random_seed": 0, "threads": 1}
    found = check_fallback(graph, study, PARAMETERS, **arguments)
    assert found["check"] == "TransE, relational (10 a positive): a random fallback, against none"
    assert found["verdict"] in ("better", "worse", "no difference")
    assert "(0.0% masked)" not in found["evidence"]
    assert "with it (0.0% of its slots)" not in found["evidence"]
    assert found == check_fallback(graph, study, PARAMETERS, **arguments)
    failed = check_fallback(graph, study, {**PARAMETERS, "learning_rate": 1e30}, **arguments)
    assert failed["verdict"] == "not decided by these data"
    assert failed["evidence"].startswith("fallback None: diverged")


def test_an_auxiliary_model_that_saw_other_triples_is_found(graph: SchemaDataset, tmp_path: Path) -> None:
    def trained(name: str, triples: torch.Tensor) -> Path:
        training = CoreTriplesFactory(triples, graph.num_entities, graph.num_relations)
        model, record = train_auxiliary(training, graph.validation, model_kwargs={"embedding_dim": 4}, epochs=1)
        save_model(tmp_path / name, model, record)
        return tmp_path / name

    right = trained("right.safetensors", graph.training.mapped_triples)
    assert check_auxiliary(graph, right)["verdict"] == PASSES
    leaky = torch.cat([graph.training.mapped_triples, graph.testing.mapped_triples[:1]])
    found = check_auxiliary(graph, trained("leaky.safetensors", leaky))
    assert found["verdict"] == FAILS
    assert "the digests of the triples differ" in found["evidence"]
    assert check_auxiliary(load_dataset("nations"), right)["verdict"] == FAILS
