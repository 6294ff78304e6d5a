"""The synthetic graph is typed, learnable, and the same for the same seed."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pykeen.pipeline import pipeline

from negsamp.datasets import SchemaDataset, generate
from negsamp.errors import InputError

SMALL = {"num_entities": 40, "num_relations": 4, "num_triples": 200, "depth": 2}


@pytest.fixture(scope="module")
def default() -> SchemaDataset:
    return generate()


def all_triples(dataset: SchemaDataset) -> torch.Tensor:
    return torch.cat(
        [dataset.training.mapped_triples, dataset.validation.mapped_triples, dataset.testing.mapped_triples]
    )


def test_sizes_are_as_asked(default: SchemaDataset) -> None:
    assert (default.num_entities, default.num_relations) == (300, 10)
    assert default.training.num_triples == 2400
    assert default.validation.num_triples == default.testing.num_triples == 300
    assert len(torch.unique(all_triples(default), dim=0)) == 3000
    assert default.report["notes"] == []


@pytest.mark.parametrize("seed", range(5))
def test_training_holds_every_entity_and_relation(seed: int) -> None:
    dataset = generate(seed=seed)
    training = dataset.training.mapped_triples
    assert len(training[:, [0, 2]].unique()) == dataset.num_entities
    assert len(training[:, 1].unique()) == dataset.num_relations
    assert sum(split["unseen"] for split in dataset.report["splits"].values()) == 0


def test_triples_keep_to_domains_and_ranges(default: SchemaDataset) -> None:
    assert default.schema is not None
    members = default.schema.members().toarray()
    sides = default.schema.relation_classes().toarray()
    assert (sides.sum(axis=1) == 1).all()
    heads, relations, tails = all_triples(default).numpy().T
    assert members[sides[2 * relations].argmax(axis=1), heads].all()
    assert members[sides[2 * relations + 1].argmax(axis=1), tails].all()
    assert (heads != tails).all()


def test_classes_form_a_tree_and_entities_list_leaves_only(default: SchemaDataset) -> None:
    schema = default.schema
    assert schema is not None
    assert len(schema.classes) == 1 + 2 + 4 + 8
    leaves = {name for name in schema.classes if name.count("_") == 4}
    assert len(leaves) == 8
    assert {schema.classes[i] for i in schema.entity_classes[1].tolist()} == leaves
    assert schema.entity_classes[0].tolist() == list(range(300))
    parents = {schema.classes[c]: schema.classes[p] for c, p in schema.superclasses.T.tolist()}
    assert parents.keys() == set(schema.classes) - {"class_0"}
    assert all(child.rpartition("_")[0] == parent for child, parent in parents.items())
    # inner classes as well as leaves are domains or ranges
    used = {schema.classes[i] for i in torch.cat([schema.domains[1], schema.ranges[1]]).tolist()}
    assert used & leaves
    assert used - leaves - {"class_0"}


def test_some_heads_have_many_tails(default: SchemaDataset) -> None:
    _, counts = default.training.mapped_triples[:, :2].unique(dim=0, return_counts=True)
    assert counts.max() >= 5
    degrees = default.training.mapped_triples[:, 0].bincount(minlength=300).float()
    assert degrees.max() > 3 * degrees.median()


def test_names_sort_as_ids_do(default: SchemaDataset) -> None:
    assert list(default.entity_to_id)[12] == "entity_0012"
    assert list(default.relation_to_id)[3] == "relation_03"
    assert sorted(default.entity_to_id) == list(default.entity_to_id)


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(tmp_path: Path) -> None:
    for name, seed in (("one", 1), ("again", 1), ("two", 2)):
        torch.manual_seed(len(name))  # the global generator plays no part
        generate(**SMALL, seed=seed).save(tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()
    tensors = "dataset.safetensors"
    assert (tmp_path / "one" / tensors).read_bytes() != (tmp_path / "two" / tensors).read_bytes()


def test_the_global_generator_is_left_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    generate(**SMALL)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_triples": 100_000}, "100000 triples asked for, [0-9]+ are possible; lower num_triples"),
        ({"num_triples": 30}, "30 triples are too few, [0-9]+ are needed"),
        ({"num_entities": 7}, "7 entities, .*two entities for each of the 4 leaf classes"),
        ({"depth": 0}, "depth 0, .*all must be positive"),
        ({"nearest": 0}, "nearest 0; all must be positive"),
        ({"num_relations": 0}, " 0 relations, .*all must be positive"),
    ],
)
def test_what_cannot_be_made_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"^synthetic: .*{message}|^synthetic: {message}"):
        generate(**{**SMALL, **options})


def test_a_model_learns_it(default: SchemaDataset) -> None:
    result = pipeline(
        dataset=default,
        model="TransE",
        model_kwargs={"embedding_dim": 32},
        optimizer_kwargs={"lr": 0.01},
        training_kwargs={"num_epochs": 50, "batch_size": 256, "use_tqdm": False},
        evaluation_kwargs={"use_tqdm": False},
        random_seed=0,
        device="cpu",
    )
    random_ranking = sum(1 / rank for rank in range(1, 301)) / 300
    assert result.get_metric("both.realistic.inverse_harmonic_mean_rank") > 4 * random_ranking
