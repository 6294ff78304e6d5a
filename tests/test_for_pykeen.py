"""What PyKEEN knows of negsamp without an import of it, in fresh processes: entry points invite import cycles."""

import json
import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from pykeen.datasets import dataset_resolver

import negsamp_for_pykeen
from negsamp.datasets import load_dataset, read_registry

#: those that lead to PyKEEN's data sets by ways of their own, and ours
MODULES = [
    *(f"pykeen.{name}" for name in ("datasets", "hpo", "models", "nn", "pipeline", "sampling", "training")),
    *("pykeen.triples.leakage", "negsamp", "negsamp.datasets", "negsamp_for_pykeen"),
]
NAMES = sorted(entry_points(group="pykeen.datasets").names)


def fresh(code: str, folder: Path) -> Any:
    """Run some code in a process that has imported nothing, and read what it prints."""
    home = {**os.environ, "PYSTOW_HOME": str(folder), "XDG_CACHE_HOME": str(folder)}
    result = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, env=home)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_the_names_are_those_that_pykeen_lacks() -> None:
    ours = {name for name, cls in dataset_resolver.lookup_dict.items() if cls.__module__ == "negsamp_for_pykeen"}
    assert {dataset_resolver.normalize(name) for name in NAMES} == ours
    theirs = dataset_resolver.lookup_dict.keys() - ours
    assert sorted(name for name in read_registry() if dataset_resolver.normalize(name) not in theirs) == NAMES
    for point in entry_points(group="pykeen.datasets"):
        assert dataset_resolver.lookup(point.name) is point.load()
        assert point.load().registered == point.name


@pytest.mark.parametrize("module", MODULES)
def test_whatever_is_imported_first(module: str, tmp_path: Path) -> None:
    code = f"""
import importlib, json, sys
importlib.import_module({module!r})
import pykeen.datasets
is_light = "negsamp" not in sys.modules
from pykeen.sampling import negative_sampler_resolver as samplers
names = [samplers.lookup(name).__name__ for name in ("basic", "corrupt", "nearestneighbour")]
print(json.dumps([is_light, names, [pykeen.datasets.dataset_resolver.lookup(name).__name__ for name in {NAMES}]]))
"""
    is_light, samplers, datasets = fresh(code, tmp_path)
    assert is_light is (module not in ("negsamp", "negsamp.datasets"))
    assert samplers == ["BasicNegativeSampler", "CorruptNegativeSampler", "NearestNeighborNegativeSampler"]
    assert datasets == [dataset_resolver.lookup(name).__name__ for name in NAMES]


def test_a_pipeline_that_imports_pykeen_alone(tmp_path: Path) -> None:
    code = """
import json
from pykeen.pipeline import pipeline
result = pipeline(
    dataset="synthetic", dataset_kwargs={"num_triples": 500, "num_entities": 60},
    model="TransE", model_kwargs={"embedding_dim": 4}, negative_sampler="relational", epochs=1, use_tqdm=False,
    training_kwargs={"use_tqdm": False}, evaluation_kwargs={"use_tqdm": False}, random_seed=0,
)
print(json.dumps([result.training_loop.negative_sampler.__name__, result.training.num_triples]))
"""
    name, num_triples = fresh(code, tmp_path)
    assert name == "RelationalNegativeSampler"
    assert 0 < num_triples <= 500


def test_a_schema_by_name(tmp_path: Path) -> None:
    code = """
import json
from pykeen.datasets import get_dataset
from pykeen.sampling import negative_sampler_resolver
dataset = get_dataset(dataset="synthetic")
sampler = negative_sampler_resolver.make(
    "typed", mapped_triples=dataset.training.mapped_triples, num_entities=dataset.num_entities,
    num_relations=dataset.num_relations, schema="synthetic",
)
print(json.dumps(sampler.schema.has_domains_and_ranges))
"""
    assert fresh(code, tmp_path) is True


def test_what_is_loaded_is_what_negsamp_loads(mirror: Path) -> None:
    """Every archive at hand, with its schema; counts are those that PyKEEN shows."""
    at_hand = [name for name, entry in read_registry().items() if entry.archive and (mirror / entry.archive).exists()]
    for name in set(at_hand).intersection(NAMES):
        found = dataset_resolver.make(name, mirror=mirror)
        expected = load_dataset(name, mirror=mirror)
        for split in ("training", "validation", "testing"):
            assert (getattr(found, split).mapped_triples == getattr(expected, split).mapped_triples).all()
        assert found.entity_to_id == expected.entity_to_id
        assert found.schema is not None
        assert found.docdata("statistics", "entities") == found.num_entities
        assert found.docdata("statistics", "validation") >= found.validation.num_triples


def test_inverse_triples_are_of_training_alone() -> None:
    found = negsamp_for_pykeen.Synthetic(create_inverse_triples=True, num_triples=200, num_entities=40)
    plain = negsamp_for_pykeen.Synthetic(num_triples=200, num_entities=40)
    assert found.training.num_relations == 2 * plain.training.num_relations
    assert found.validation.num_relations == plain.validation.num_relations
    assert (found.training.mapped_triples == plain.training.mapped_triples).all()


def test_pykeens_list_of_data_sets(tmp_path: Path) -> None:
    code = "import json; from pykeen.cli import _help_datasets; print(json.dumps(_help_datasets('plain')))"
    listed = fresh(code, tmp_path)
    assert "YAGO14K" in listed
    assert "WordNet-18" in listed
