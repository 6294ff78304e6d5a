"""Commands that are run in an empty folder, and graphs for them."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from graphs import graph_named

import negsamp.models
from negsamp.advice import read_evidence
from negsamp.cli import main
from negsamp.datasets import SchemaDataset, generate, write_folder
from negsamp.triples import triples_digest

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def nothing_at_hand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Start in an empty folder, with no mirror and nothing downloaded."""
    monkeypatch.delenv("NEGSAMP_MIRROR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run() -> Run:
    """Run a command that succeeds."""

    def run(*arguments: str) -> Result:
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 0, result.output
        return result

    return run


@pytest.fixture
def mygraph(tmp_path: Path) -> SchemaDataset:
    """A typed graph, in the folder ``mygraph`` with metadata and in ``bare`` without."""
    dataset = generate(num_entities=40, num_relations=4, num_triples=200, depth=2, seed=3)
    write_folder(dataset, tmp_path / "mygraph")
    (tmp_path / "bare").mkdir()
    for file in ("train.txt", "valid.txt", "test.txt"):
        (tmp_path / "bare" / file).write_bytes((tmp_path / "mygraph" / file).read_bytes())
    return dataset


@pytest.fixture
def evidence(tmp_path: Path) -> Path:
    """Evidence in which every sampler doubles the MRR on all graphs."""
    read_evidence().assign(gain=1.0).to_csv(tmp_path / "evidence.csv", index=False)
    return tmp_path / "evidence.csv"


@pytest.fixture
def auxiliary(tmp_path: Path) -> str:
    """A saved auxiliary model of Nations."""
    graph = graph_named("nations")
    settings = {"model": "TransE", "model_kwargs": {"embedding_dim": 2}, "l2_weight": None}
    path = tmp_path / "auxiliary.safetensors"
    negsamp.models.save_model(path, graph.model, {**settings, "triples_digest": triples_digest(graph.lines)})
    return str(path)
