"""The table of data sets is complete."""

import re
from pathlib import Path

import pytest

from negsamp.datasets import SYNTHETIC, list_datasets, read_registry, resolve_name
from negsamp.errors import InputError

NAMES = {
    "wn18",
    "fb15k",
    "db50k",
    "yago4-20",
    "fb15k-public",
    "db50k-public",
    "fb15k-237",
    "yago14k",
    "codex-s",
}
BUILT_IN = {"kinships", "nations", "umls", SYNTHETIC}
#: published by the paper's authors; all others are in mirrors only
WITH_ADDRESS = {"wn18", "fb15k", "db50k", "yago4-20"}


def test_all_archives_are_registered_once() -> None:
    registry = read_registry()
    assert registry.keys() == NAMES | BUILT_IN
    assert all(entry.name == name for name, entry in registry.items())
    archives = [entry.archive for entry in registry.values() if entry.archive is not None]
    assert len(set(archives)) == len(archives) == len(NAMES)


def test_what_is_at_hand_is_told(mirror: Path) -> None:
    present = {row["dataset"]: row["present"] for row in list_datasets(mirror)}
    assert {name for name, where in present.items() if where == "mirror"} >= {"wn18", "fb15k-237", "codex-s"}
    assert {name for name, where in present.items() if where == "built in"} == BUILT_IN
    assert {row["present"] for row in list_datasets() if row["dataset"] == "codex-s"} <= {"mirror only", "cache"}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_an_entry_can_be_trusted(name: str) -> None:
    entry = read_registry()[name]
    assert entry.hashes
    for digest in entry.hashes:
        assert re.fullmatch(r"sha256:[0-9a-f]{64}|git-blob-sha1:[0-9a-f]{40}", digest)
    assert entry.archive == f"{entry.folder}.zip"
    assert entry.source
    if name in WITH_ADDRESS:
        assert entry.url is not None
        assert entry.url.startswith("https://")
        assert entry.url.endswith(f"/{entry.archive}")
    else:
        assert entry.url is None
    if entry.counts is not None:
        assert entry.counts.keys() == {"training", "validation", "testing", "entities", "relations"}


def test_wn18_is_known_by_both_kinds_of_hash() -> None:
    kinds = [digest.partition(":")[0] for digest in read_registry()["wn18"].hashes]
    assert sorted(kinds) == ["git-blob-sha1", "sha256"]


def test_claims_about_schemas() -> None:
    registry = read_registry()
    bundled = BUILT_IN - {SYNTHETIC}
    assert {name for name, entry in registry.items() if not entry.classes} == {"wn18", *bundled}
    assert {name for name, entry in registry.items() if not entry.domains_and_ranges} == {"wn18", "codex-s", *bundled}


@pytest.mark.parametrize(("given", "name"), [("WN18", "wn18"), ("FB15k-237", "fb15k-237"), ("Nations", "nations")])
def test_names_are_found_in_any_case(given: str, name: str) -> None:
    assert resolve_name(given) == name


def test_an_unknown_name_lists_the_known_ones_and_the_closest() -> None:
    with pytest.raises(InputError, match=r"^unknown data set 'FB15K237': did you mean 'fb15k-237'\?.*codex-s.*nations"):
        resolve_name("FB15K237")
    with pytest.raises(InputError, match=r"^unknown data set 'qqqq': known are"):
        resolve_name("qqqq")
