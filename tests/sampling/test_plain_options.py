"""All options as plain values: from YAML, as paths, and back into the files that PyKEEN writes."""

import csv
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from graphs import total
from pykeen.datasets import UMLS, Nations
from pykeen.datasets.base import Dataset
from pykeen.hpo import hpo_pipeline
from pykeen.models import ERModel, TransE
from pykeen.pipeline import PipelineResult, pipeline, pipeline_from_config
from pykeen.triples import TriplesFactory

from negsamp import SAMPLERS, GivenNegatives, PoolNegativeSampler, SamplerHandle, make_sampler
from negsamp.datasets import SchemaDataset, write_folder
from negsamp.errors import InputError
from negsamp.models import save_model, with_l2
from negsamp.pools import save_stage
from negsamp.triples import triples_digest


@dataclass
class Stored:
    """What a user has in files, and the same in memory."""

    folder: Path
    negatives: Path
    auxiliary: Path
    pools: Path
    dataset: SchemaDataset
    model: ERModel


def schema_dataset(dataset: Dataset, name: str) -> SchemaDataset:
    """Type a data set of PyKEEN's, and give negatives for some of its pairs; its ids stay as they are."""
    training: TriplesFactory = dataset.training
    entities, relations = list(training.entity_to_id), list(training.relation_to_id)
    heads = training.mapped_triples[training.mapped_triples[:, 1] == 0][:, 0].tolist()
    known = {(int(h), int(r)): int(t) for h, r, t in training.mapped_triples.tolist()}
    return SchemaDataset.from_names(
        name,
        {
            split: [
                (entities[h], relations[r], entities[t]) for h, r, t in getattr(dataset, split).mapped_triples.tolist()
            ]
            for split in ("training", "validation", "testing")
        },
        mapping=(training.entity_to_id, training.relation_to_id),
        metadata={
            # whatever is a head of the first relation is one of a kind, and nothing says so of the relation
            "entity_classes": {
                entity: ["first" if i in heads else ("even", "odd")[i % 2]] for i, entity in enumerate(entities)
            },
            "domain_range": {relation: {"domain": "even", "range": "odd"} for relation in relations[1:]},
            "subclass_of": {"even": ["all"], "odd": ["all"], "first": ["all"]},
        },
        negatives=[
            (entities[head], relations[relation], entities[(tail + step) % len(entities)], side)
            for (head, relation), tail in list(known.items())[:200]
            for step, side in ((1, "tail"), (2, "tail"), (3, "head"))
        ],
        source="test",
    )


def store(dataset: SchemaDataset, folder: Path) -> Stored:
    """Write all that samplers read."""
    training = dataset.training
    write_folder(dataset, folder / dataset.name)
    settings = {"model": "TransE", "model_kwargs": {"embedding_dim": 2}, "l2_weight": None}
    model = TransE(
        triples_factory=training, random_seed=0, **with_l2("TransE", settings["model_kwargs"], settings["l2_weight"])
    )
    digest = triples_digest(training.mapped_triples)
    save_model(folder / "auxiliary.safetensors", model, {**settings, "triples_digest": digest})
    sampler = make_sampler("nearestneighbor", dataset, auxiliary=model, num_neighbors=3)
    save_stage(folder / "pools.safetensors", sampler.stages[0], sampler.triples, filtered=True)
    return Stored(
        folder=folder / dataset.name,
        negatives=folder / dataset.name / "negatives.tsv",
        auxiliary=folder / "auxiliary.safetensors",
        pools=folder / "pools.safetensors",
        dataset=dataset,
        model=model,
    )


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    return store(schema_dataset(Nations(), "nations"), tmp_path_factory.mktemp("stored"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    """The same of another data set."""
    return store(schema_dataset(UMLS(), "umls"), tmp_path_factory.mktemp("other"))


# From YAML

CONFIG = """
metadata:
  title: plain
pipeline:
  dataset: nations
  model: TransE
  model_kwargs: {{embedding_dim: 4}}
  loss: marginranking
  training_loop_kwargs: {{automatic_memory_optimization: false}}
  training_kwargs: {{num_epochs: 1, batch_size: 500, use_tqdm: false, callbacks: usage}}
  evaluation_kwargs: {{batch_size: 256, use_tqdm: false}}
  random_seed: 0
  negative_sampler: {sampler}
  negative_sampler_kwargs:
    num_negs_per_pos: 3
    {options}
"""

#: what a sampler is given, as YAML; several for some
OPTIONS: dict[str, list[str]] = {
    "random": ["corruption: bernoulli", "filtered: false\n    filterer: python-set"],
    "corrupt": ["fallback: null", "fallback: random", "fallback: [relational, everything]"],
    "typed": [
        "schema: {folder}\n    fallback: semantic",
        "schema: {folder}\n    infer_schema: 0.9\n    fallback: [ancestors, corrupt, everything]",
        "schema: {folder}\n    infer_schema: 1",
    ],
    "typedbyclass": ["schema: {folder}\n    fallback: [typed, random]"],
    "relational": ["corruption: tail\n    filtered: true"],
    "nearestneighbor": [
        "auxiliary: {auxiliary}\n    num_neighbors: 3",
        "auxiliary: {auxiliary}\n    num_neighbors: 3\n    grow: true\n    metric: cosine\n    search: exact",
        "pools: {pools}",
    ],
    "adversarial": ["auxiliary: {auxiliary}\n    num_neighbors: 3\n    fallback: semantic\n    schema: {folder}"],
    "adaptiveadversarial": ["num_neighbors: 3\n    metric: dot"],
    "given": ["negatives: {negatives}\n    fallback: random", "negatives: {folder}"],
}

CASES = [(name, options) for name, several in OPTIONS.items() for options in several]


def config_of(name: str, options: str, stored: Stored) -> dict[str, Any]:
    paths = {key: json.dumps(str(getattr(stored, key))) for key in ("folder", "negatives", "auxiliary", "pools")}
    return yaml.safe_load(CONFIG.format(sampler=name, options=options.format(**paths)))


def in_memory(options: dict[str, Any], stored: Stored) -> dict[str, Any]:
    """Put objects in the place of paths."""
    objects = {
        "schema": stored.dataset.schema,
        "auxiliary": stored.model,
        "negatives": stored.dataset.negatives,
        "pools": make_sampler("nearestneighbor", stored.dataset, auxiliary=stored.model, num_neighbors=3).pools,
    }
    return {key: objects.get(key, value) for key, value in options.items()}


def sampler_of(result: PipelineResult) -> PoolNegativeSampler:
    """Return the sampler that the callback has met."""
    return result.training_loop.negative_sampler_kwargs["handle"].sampler


def test_every_sampler_has_a_case():
    assert set(OPTIONS) == set(SAMPLERS)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_a_configuration_in_yaml_trains_as_objects_do(name: str, options: str, stored: Stored):
    config = config_of(name, options, stored)
    result = pipeline_from_config(config)
    assert all(map(math.isfinite, result.losses))
    sampler = sampler_of(result)
    assert type(sampler) is SAMPLERS[name]
    assert [total(epoch) for epoch in sampler.usage.epochs] == [3 * stored.dataset.training.num_triples]
    assert sampler.usage.total()["pool"] > 0
    by_objects = in_memory(config["pipeline"]["negative_sampler_kwargs"], stored)
    again = pipeline(**{**config["pipeline"], "negative_sampler_kwargs": by_objects})
    assert again.losses == result.losses


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("typed", "schema: {folder}"),
        ("nearestneighbor", "auxiliary: {auxiliary}"),
        ("nearestneighbor", "pools: {pools}"),
        ("given", "negatives: {negatives}"),
    ],
)
def test_paths_may_be_objects_too(name: str, options: str, stored: Stored):
    config = config_of(name, options, stored)
    kwargs = config["pipeline"]["negative_sampler_kwargs"]
    kwargs.update({key: Path(kwargs[key]) for key in ("schema", "auxiliary", "negatives", "pools") if key in kwargs})
    assert any(isinstance(value, Path) for value in kwargs.values())
    assert all(map(math.isfinite, pipeline_from_config(config).losses))


@pytest.mark.parametrize(("share", "inferred"), [(0.9, {"domains": 1, "ranges": 1}), (None, None)])
def test_inferred_domains_are_told(share: float | None, inferred: dict[str, int] | None, stored: Stored):
    options = f"schema: {{folder}}\n    infer_schema: {json.dumps(share)}"
    sampler = sampler_of(pipeline_from_config(config_of("typed", options, stored)))
    assert sampler.inferred == inferred


def test_callbacks_and_their_options_are_plain(stored: Stored, tmp_path: Path):
    config = config_of("adaptiveadversarial", "num_neighbors: 3", stored)
    config["pipeline"].update(
        yaml.safe_load(
            f"""
            training_kwargs:
              num_epochs: 2
              batch_size: 500
              use_tqdm: false
              callbacks: [usage, refresh]
              callbacks_kwargs: [null, {{refresh_every: 1, max_pairs: 100}}]
            result_tracker: csv
            result_tracker_kwargs: {{path: {json.dumps(str(tmp_path / "metrics.csv"))}}}
            """
        )
    )
    result = pipeline_from_config(config)
    with (tmp_path / "metrics.csv").open(newline="") as file:
        keys = {row["key"] for row in csv.DictReader(file)}
    assert {"slots.pool", "slots.masked", "refresh.pairs", "refresh.seconds"} <= keys
    assert sampler_of(result).pools.members is not None


# What does not fit


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("typed", "schema: {folder}", "the schema belongs to other triples: it has 135 entities"),
        ("given", "negatives: {negatives}", "the negatives belong to other triples"),
        ("nearestneighbor", "auxiliary: {auxiliary}", r"auxiliary\.safetensors: trained on other triples than these"),
        ("corrupt", "pools: {pools}", r"pools\.safetensors: built from other triples"),
    ],
)
def test_what_belongs_to_other_triples_is_refused_in_one_line(name: str, options: str, message: str, other: Stored):
    with pytest.raises(InputError, match=message) as caught:
        pipeline_from_config(config_of(name, options, other))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("typed", "schema: {folder}", "nothing: no such folder"),
        ("given", "negatives: {folder}/negatives.tsv", r"nothing/train\.txt: no such file"),
        ("nearestneighbor", "auxiliary: {folder}", "nothing: cannot be read"),
        ("corrupt", "pools: {folder}", "nothing: cannot be read"),
    ],
)
def test_a_path_that_leads_nowhere_is_named(name: str, options: str, message: str, stored: Stored, tmp_path: Path):
    options = options.format(folder=tmp_path / "nothing")
    with pytest.raises(InputError, match=message):
        pipeline_from_config(config_of(name, options, stored))


def test_a_folder_that_types_nothing_is_no_schema(stored: Stored, tmp_path: Path):
    dataset = SchemaDataset.load(saved(stored.dataset, tmp_path / "saved"))
    dataset.schema = None
    write_folder(dataset, tmp_path / "untyped")
    with pytest.raises(InputError, match=r"untyped: no metadata/ that types anything; add it, or leave out schema"):
        pipeline_from_config(config_of("typed", f"schema: {json.dumps(str(tmp_path / 'untyped'))}", stored))


def saved(dataset: SchemaDataset, folder: Path) -> Path:
    dataset.save(folder)
    return folder


@pytest.mark.parametrize("share", ["0", "1.5", "-0.1"])
def test_a_share_out_of_bounds_is_refused(share: str, stored: Stored):
    with pytest.raises(ValueError, match=f"infer_schema is {share}"):
        pipeline_from_config(config_of("typed", f"schema: {{folder}}\n    infer_schema: {share}", stored))


def test_a_share_without_a_schema_is_refused(stored: Stored):
    with pytest.raises(InputError, match=r"infer_schema needs a schema with classes: give schema=\.\.\."):
        pipeline_from_config(config_of("corrupt", "infer_schema: 0.5", stored))


# Back into files


def search(name: str, options: dict[str, Any], **kwargs: Any) -> Any:
    return hpo_pipeline(
        dataset="nations",
        model="TransE",
        model_kwargs={"embedding_dim": 4},
        model_kwargs_ranges={},
        loss="marginranking",
        negative_sampler=name,
        negative_sampler_kwargs=options,
        training_kwargs={"num_epochs": 1, "batch_size": 500, "use_tqdm": False, "callbacks": "usage"},
        evaluation_kwargs={"batch_size": 256, "use_tqdm": False},
        n_trials=1,
        **{"negative_sampler_kwargs_ranges": {"num_negs_per_pos": {"type": int, "low": 1, "high": 4}}, **kwargs},
    )


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("typed", "schema: {folder}\n    infer_schema: 0.9\n    fallback: [ancestors, everything]"),
        ("nearestneighbor", "auxiliary: {auxiliary}\n    num_neighbors: 3"),
        ("nearestneighbor", "pools: {pools}"),
        ("given", "negatives: {negatives}\n    fallback: random"),
    ],
)
def test_a_search_with_paths_is_saved_and_its_best_trial_runs_again(
    name: str, options: str, stored: Stored, tmp_path: Path
):
    kwargs = config_of(name, options, stored)["pipeline"]["negative_sampler_kwargs"]
    del kwargs["num_negs_per_pos"]
    # upstream: to save the best trial writes its values into the dictionary that was given
    result = search(name, dict(kwargs))
    result.save_to_directory(tmp_path)
    config = json.loads((tmp_path / "best_pipeline" / "pipeline_config.json").read_text())
    best = config["pipeline"]
    assert best["negative_sampler"] == name
    count = best["negative_sampler_kwargs"].pop("num_negs_per_pos")
    assert 1 <= count <= 4
    assert best["negative_sampler_kwargs"] == kwargs
    best["negative_sampler_kwargs"]["num_negs_per_pos"] = count
    again = pipeline_from_config(config)
    assert sampler_of(again).usage.epochs[0].keys() >= {"pool", "masked"}
    assert total(sampler_of(again).usage.epochs[0]) == count * stored.dataset.training.num_triples


def test_a_search_goes_through_options_of_ours(stored: Stored, tmp_path: Path):
    ranges = {
        "fallback": {"type": "categorical", "choices": ["random", "semantic"]},
        "corruption": {"type": "categorical", "choices": ["balanced", "bernoulli"]},
        "infer_schema": {"type": float, "low": 0.5, "high": 1.0},
        "num_negs_per_pos": {"type": int, "low": 1, "high": 4},
    }
    result = search("typed", {"schema": str(stored.folder)}, negative_sampler_kwargs_ranges=ranges)
    (trial,) = result.study.trials
    assert {f"negative_sampler.{key}" for key in ranges} <= trial.params.keys()
    result.save_to_directory(tmp_path)


@pytest.mark.parametrize("key", ["schema", "auxiliary", "negatives", "pools", "handle", "path"])
def test_a_search_with_objects_runs_but_cannot_be_saved(key: str, stored: Stored, tmp_path: Path):
    """Upstream: options go into a JSON file, which takes plain values only, not even a path as an object."""
    name, options = {
        "schema": ("typed", {"schema": stored.dataset.schema}),
        "auxiliary": ("nearestneighbor", {"auxiliary": stored.model, "num_neighbors": 3}),
        "negatives": ("given", {"negatives": stored.dataset.negatives}),
        "pools": ("corrupt", {"pools": make_sampler("corrupt", stored.dataset).pools}),
        "handle": ("corrupt", {"handle": SamplerHandle()}),
        "path": ("typed", {"schema": stored.folder}),
    }[key]
    result = search(name, {**options, "fallback": "random"})
    assert math.isfinite(result.study.best_value)
    with pytest.raises(TypeError, match="is not JSON serializable"):
        result.save_to_directory(tmp_path)


def test_a_pipeline_with_paths_is_saved(stored: Stored, tmp_path: Path):
    result = pipeline_from_config(config_of("typed", "schema: {folder}", stored))
    result.save_to_directory(tmp_path)
    assert (tmp_path / "results.json").is_file()
    assert GivenNegatives.from_file(stored.negatives, result.training).identity == stored.dataset.negatives.identity


def test_a_tracker_writes_paths_down(stored: Stored, tmp_path: Path):
    config = config_of("typed", "schema: {folder}", stored)
    path = tmp_path / "log.csv"
    pipeline_from_config(config, result_tracker="csv", result_tracker_kwargs={"path": str(path)})
    assert str(stored.folder) in path.read_text()
