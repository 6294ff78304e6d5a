"""The synthetic graph is typed, learnable, and the same for the same seed."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pykeen.pipeline import pipeline

from negsamp.datasets import SchemaDataset, generate
from negsamp.descriptors import CARDINALITIES, describe_dataset
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


# One property at a time

BASE = {"num_entities": 200, "num_relations": 20, "num_triples": 1500, "depth": 2}


def described(**options: Any) -> dict[str, Any]:
    dataset = generate(**{**BASE, **options})
    assert sum(split["distinct"] for split in dataset.report["splits"].values()) == {**BASE, **options}["num_triples"]
    return describe_dataset(dataset)


@pytest.mark.parametrize(
    ("option", "values", "descriptor", "tolerance"),
    [
        ("inverse", (0.0, 0.4, 0.8), "inverse", 0.15),
        ("duplicate", (0.0, 0.4, 0.8), "duplicate", 0.25),
        # heads are kept as they are
        ("noise", (0.0, 0.2, 0.4), "violations", None),
        ("untyped", (0.0, 0.3, 0.6), "untyped", 0.01),
        ("undeclared", (0.0, 0.3, 0.6), "undeclared", 0.01),
        ("skew", (0.0, 1.0, 2.0), "degree_gini", None),
        ("num_triples", (1000, 1500, 2000), "triples_per_entity", None),
        ("depth", (1, 2, 3), "class_depth", 0.01),
    ],
)
def test_an_option_moves_its_descriptor(
    option: str, values: tuple[float, ...], descriptor: str, tolerance: float | None
) -> None:
    found = [described(**{option: value})[descriptor] for value in values]
    assert found[0] < found[1] < found[2]
    if tolerance is not None:
        assert found == pytest.approx(values, abs=tolerance)


def test_what_is_known_of_the_triples_does_not_change_them() -> None:
    known, hidden = generate(**BASE), generate(**BASE, untyped=0.4, undeclared=0.6)
    for split in ("training", "validation", "testing"):
        assert torch.equal(getattr(known, split).mapped_triples, getattr(hidden, split).mapped_triples)


def test_mixed_relations_take_the_cardinalities_in_turns() -> None:
    dataset = generate(num_entities=200, num_relations=40, num_triples=700, depth=1, cardinality="mixed")
    triples = all_triples(dataset)
    for column, kinds in ((0, (0, 2)), (2, (0, 1))):
        pairs, counts = triples[:, [1, column]].unique(dim=0, return_counts=True)
        limited = torch.isin(pairs[:, 0] % 4, torch.tensor(kinds))
        assert counts[limited].max() == 1 < counts[~limited].max()


def test_one_to_one_relations_give_an_entity_that_is_left_its_next_best() -> None:
    one_to_one = {"num_entities": 200, "num_relations": 30, "depth": 2, "nearest": 5, "cardinality": "one_to_one"}
    # pairs that are each other's best are fewer
    assert generate(**one_to_one, num_triples=700).training.num_triples == 560


@pytest.mark.parametrize("cardinality", CARDINALITIES)
def test_relations_are_of_the_cardinality(cardinality: str) -> None:
    dataset = generate(num_entities=200, num_relations=40, num_triples=700, depth=1, cardinality=cardinality)
    heads_of_tail, tails_of_head = cardinality.split("_to_")
    triples = all_triples(dataset)
    for columns, number in (((0, 1), tails_of_head), ((1, 2), heads_of_tail)):
        _, counts = triples[:, columns].unique(dim=0, return_counts=True)
        assert (counts.max() == 1) == (number == "one")


def test_noise_breaks_ranges_alone() -> None:
    found = generate(**BASE, noise=0.2)
    assert found.schema is not None
    members = found.schema.members().toarray()
    heads, relations, tails = all_triples(found).numpy().T
    sides = found.schema.relation_classes().toarray()
    assert members[sides[2 * relations].argmax(axis=1), heads].all()
    assert (~members[sides[2 * relations + 1].argmax(axis=1), tails]).sum() == 300
    assert (heads != tails).all()


def test_twins_link_the_same_entities() -> None:
    triples = set(map(tuple, all_triples(generate(**BASE, inverse=0.5, duplicate=0.5)).tolist()))
    # relations 0 to 4 have the inverses 10 to 14, 5 to 9 the duplicates 15 to 19
    twins = [(t, r + 10, h) if r < 5 else (h, r + 10, t) for h, r, t in triples if r < 10]
    assert sum(twin in triples for twin in twins) > 0.99 * len(twins)
    assert len(twins) == pytest.approx(len(triples) / 2, abs=3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"noise": 1.5}, "noise is 1.5; it must be a share"),
        ({"untyped": -0.1}, "untyped is -0.1; it must be a share"),
        ({"inverse": 0.6, "duplicate": 0.6}, "must be at most 1 together"),
        ({"cardinality": "many"}, "cardinality 'many' one of one_to_one, one_to_many"),
        (
            {"noise": 0.9, "num_triples": 600, "num_entities": 20, "num_relations": 2, "depth": 1},
            "can break a range, not 540; lower noise",
        ),
    ],
)
def test_properties_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        generate(**{**BASE, **options})
