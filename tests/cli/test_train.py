"""``negsamp train``: one model, one sampler, ranked."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from repository import ROOT

from negsamp.cli import main
from negsamp.cli.training import MODELS
from negsamp.datasets import SchemaDataset
from negsamp.models import load_model
from negsamp.ranks import read_ranks

Run = Callable[..., Result]
SMALL = ("--epochs", "2", "--embedding-dim", "4", "--batch-size", "100")


@pytest.fixture
def train(run: Run) -> Callable[..., dict[str, Any]]:
    """Train on the typed graph, and read the record."""

    def train(*arguments: str) -> dict[str, Any]:
        return json.loads(run("train", "./mygraph", *SMALL, *arguments, "--json").stdout)

    return train


@pytest.mark.parametrize(
    ("sampler", "stages"),
    [
        ("basic", None),
        ("LCWA", None),
        ("random", {"pool"}),
        ("typed", {"pool", "everything"}),
        ("adversarial", {"pool", "everything"}),
        ("adaptiveadversarial", {"pool", "everything"}),
    ],
)
def test_a_sampler_of_any_kind(
    train: Callable[..., dict[str, Any]], mygraph: SchemaDataset, sampler: str, stages: set[str] | None
) -> None:
    record = train("--sampler", sampler, "-n", "5", "--fallback", "random", "-k", "3")
    assert (record["dataset"], record["sampler"], record["state"]) == ("mygraph", sampler.lower(), "complete")
    assert record["negatives"] == (0 if sampler == "LCWA" else 5)
    assert record["ranked_triples"] == mygraph.validation.num_triples
    assert 0 < record["metrics"]["inverse_harmonic_mean_rank"] <= 1
    if stages is None:
        assert record["slots"] is None
    else:
        assert sum(record["slots"].values()) == 2 * 5 * mygraph.training.num_triples
        assert stages >= {stage for stage, count in record["slots"].items() if count}
    if sampler in ("adversarial", "adaptiveadversarial"):
        assert record["options"]["sampling"]["num_neighbors"] == 3


def test_the_same_seed_gives_the_same_record(train: Callable[..., dict[str, Any]], mygraph: SchemaDataset) -> None:
    assert train("--seed", "1") == train("--seed", "1")
    assert train("--seed", "1")["metrics"] != train("--seed", "2")["metrics"]


def test_options_arrive(train: Callable[..., dict[str, Any]], mygraph: SchemaDataset) -> None:
    record = train(
        *("--model", "DistMult", "--loss", "softplus", "--sampler", "corrupt", "--unfiltered", "--testing"),
        *("--learning-rate", "0.1", "--l2-weight", "0.5", "--patience", "3", "--epochs", "20", "--device", "cpu"),
    )
    assert record["model"] == "DistMult"
    assert record["parameters"] == {"margin": None, "learning_rate": 0.1, "l2_weight": 0.5}
    assert record["ranked_triples"] == mygraph.testing.num_triples
    assert record["options"]["sampling"] == {"filtered": False, "fallback": None}
    assert [epoch for epoch, _ in record["evaluations"]] == [10, 20]
    options = record["options"]
    assert (options["loss"], options["epochs"], options["batch_size"], options["device"]) == (
        "softplus",
        20,
        100,
        "cpu",
    )


def test_models_are_those_that_a_config_may_name(mygraph: SchemaDataset) -> None:
    schema = yaml.safe_load((ROOT / "rules/schemas/config.schema.yaml").read_text())
    assert list(MODELS) == schema["properties"]["models"]["items"]["enum"]
    result = CliRunner().invoke(main, ["train", "./mygraph", "--model", "TransX"])
    assert result.exit_code == 2
    assert "'TransX' is not one of 'transe', " in result.stderr


@pytest.mark.parametrize("model", MODELS)
def test_each_model_is_trained_and_saved(run: Run, mygraph: SchemaDataset, model: str, tmp_path: Path) -> None:
    run("train", "./mygraph", *SMALL, "--model", model.lower(), "--output", "out")
    assert load_model(tmp_path / "out/model.safetensors")[1]["model"] == model


def test_domains_can_be_inferred(train: Callable[..., dict[str, Any]], mygraph: SchemaDataset, tmp_path: Path) -> None:
    (tmp_path / "mygraph/metadata/relation_domain_range.json").unlink()
    record = train("--sampler", "typed", "--infer-schema", "0.5", "--fallback", "random")
    assert record["inferred"]["domains"] > 0


def test_the_output(run: Run, mygraph: SchemaDataset, tmp_path: Path) -> None:
    told = run("train", "./mygraph", *SMALL, "--sampler", "relational", "--output", "out").stdout
    record = json.loads((tmp_path / "out/record.json").read_text())
    ranks = read_ranks(tmp_path / "out/ranks.csv.gz")
    mrr = (1 / ranks[["head_rank", "tail_rank"]]).to_numpy().mean()
    assert mrr == pytest.approx(record["metrics"]["inverse_harmonic_mean_rank"])
    assert f"MRR {mrr:.4f}" in " ".join(told.split())
    assert told.startswith(f"mygraph, TransE, relational: {mygraph.validation.num_triples} validation triples\n")
    assert json.loads((tmp_path / "out/timing.json").read_text())["training_s"] > 0
    model, settings = load_model(tmp_path / "out/model.safetensors")
    assert (model.num_entities, settings["model"], settings["sampler"]) == (40, "TransE", "relational")
    # what was trained can help the next one to its negatives
    shown = run("sample", "./mygraph", "--sampler", "adversarial", "--auxiliary", "out/model.safetensors")
    assert "was trained" not in shown.stderr


def test_a_failed_training_leaves_nothing(mygraph: SchemaDataset, tmp_path: Path) -> None:
    diverging = ("--model", "RESCAL", "--learning-rate", "1e30", "--epochs", "9", "--output", "out")
    assert CliRunner().invoke(main, ["train", "./mygraph", *SMALL, *diverging]).exit_code == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sampler", "corupt"], "unknown sampler 'corupt': known are "),
        (["--sampler", "typed"], "typed is not applicable: the data set has no domains and ranges"),
        (["--loss", "hinge2"], "unknown loss 'hinge2'; PyKEEN knows "),
        (["--fallback", "nothing", "--sampler", "random"], "no pool is called 'nothing'"),
        (["--model", "RESCAL", "--learning-rate", "1e30", "--epochs", "9"], "the training failed: diverged: "),
        (["--output", "taken"], "taken: holds the record of a training; give another --output, or delete it"),
    ],
)
def test_bad_input_ends_in_one_line(arguments: list[str], message: str, mygraph: SchemaDataset, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/record.json").write_text("{}")
    result = CliRunner().invoke(main, ["train", "./bare", *SMALL, *arguments])
    assert isinstance(result.exception, SystemExit)
    assert result.exit_code == 1
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"Error: {message}")
    assert (tmp_path / "taken/record.json").read_text() == "{}"
