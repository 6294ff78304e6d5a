"""A stored data set whose files do not fit together is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch

from negsamp.datasets import SchemaDataset, generate
from negsamp.errors import InputError
from negsamp.io import load_tensors, save_tensors, write_json

GRAPH = generate(num_entities=12, num_relations=3, num_triples=40, depth=2, seed=1)


def put(key: str, place: tuple[int, ...], value: int) -> Any:
    def change(tensors: dict[str, torch.Tensor]) -> None:
        tensors[key] = tensors[key].clone()
        tensors[key][place] = value

    return change


def turned(tensors: dict[str, torch.Tensor]) -> None:
    tensors["testing"] = tensors["testing"].flip(0)


def narrow(tensors: dict[str, torch.Tensor]) -> None:
    tensors["training"] = tensors["training"].int()


def lacking(tensors: dict[str, torch.Tensor]) -> None:
    del tensors["validation"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("training", (0, 0), -1), "training name ids that there are not"),
        (put("training", (0, 2), 12), "training name ids"),
        (put("validation", (0, 1), 3), "validation name ids"),
        (put("schema.entity_classes", (0, 0), 12), "entity_classes name ids"),
        (put("schema.domains", (1, 0), 10**6), "domains name ids"),
        (put("schema.ranges", (0, 0), -1), "ranges name ids"),
        (put("schema.superclasses", (1, 0), 10**6), "superclasses name ids"),
        (turned, "testing is not in order"),
        (narrow, r"training are torch\.int32"),
        (lacking, "KeyError: 'validation'"),
    ],
)
def test_ids_that_there_are_not_are_refused(change: Any, message: str, tmp_path: Path) -> None:
    GRAPH.save(tmp_path)
    tensors, rest = load_tensors(tmp_path / "dataset.safetensors")
    change(tensors)
    save_tensors(tmp_path / "dataset.safetensors", tensors, rest)
    with pytest.raises(InputError, match=rf"dataset\.safetensors: no stored data set .*{message}.*; rebuild"):
        SchemaDataset.load(tmp_path)


@pytest.mark.parametrize("report", [[], 3, "none"])
def test_a_report_that_is_none_is_refused(report: Any, tmp_path: Path) -> None:
    GRAPH.save(tmp_path)
    write_json(tmp_path / "report.json", report)
    with pytest.raises(InputError, match=r"report\.json: no report of a data set; rebuild"):
        SchemaDataset.load(tmp_path)
