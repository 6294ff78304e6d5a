"""Files: atomic, byte-stable, checked when read; and the log of a job."""

import errno
import hashlib
import json
import logging
import os
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from negsamp.errors import InputError
from negsamp.io import (
    atomic_path,
    digest,
    file_hash,
    job_log,
    load_tensors,
    read_json,
    read_jsonl,
    save_tensors,
    stable_seed,
    tensors_digest,
    write_json,
    write_jsonl,
)

TENSORS = {
    "b": torch.arange(6).view(2, 3),
    "a": torch.tensor([0.5, -1.0]),
    "flags": torch.tensor([True, False]),
    "empty": torch.empty(0, 3, dtype=torch.long),
}


# Atomic files


@pytest.mark.parametrize("name", ["table.csv", "pools.safetensors", "noending"])
def test_a_file_appears_whole(tmp_path: Path, name: str) -> None:
    path = tmp_path / "new" / "folders" / name
    with atomic_path(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.name != path.name
        # some writers choose the format by the suffix
        assert temporary.suffix == path.suffix
        temporary.write_text("content")
        assert not path.exists()
    assert path.read_text() == "content"
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")

    def interrupted() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_before_anything_is_written_is_the_one_that_is_seen(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), atomic_path(tmp_path / "file.txt"):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


# JSON


def test_json_is_the_same_bytes_in_any_order_of_keys(tmp_path: Path) -> None:
    write_json(tmp_path / "one.json", {"b": [1, 2.5, None], "a": {"y": "ü", "x": True}})
    write_json(tmp_path / "two.json", {"a": {"x": True, "y": "ü"}, "b": (1, 2.5, None)})
    content = (tmp_path / "one.json").read_bytes()
    assert content == (tmp_path / "two.json").read_bytes()
    assert content.endswith(b"}\n")
    assert read_json(tmp_path / "one.json") == {"a": {"x": True, "y": "ü"}, "b": [1, 2.5, None]}


def test_records_are_one_a_line(tmp_path: Path) -> None:
    # U+2028 ends a line for str.splitlines, and a raw one would too
    records = [{"b": 1, "a": "x\n\u2028y"}, {"a": None}]
    write_jsonl(tmp_path / "records.jsonl", records)
    assert (tmp_path / "records.jsonl").read_bytes().count(b"\n") == 2
    assert (tmp_path / "records.jsonl").read_bytes().startswith(b'{"a"')
    assert read_jsonl(tmp_path / "records.jsonl") == records
    write_jsonl(tmp_path / "none.jsonl", [])
    assert read_jsonl(tmp_path / "none.jsonl") == []


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_json_number_is_not_written(tmp_path: Path, number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "file.json", {"metric": number})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_jsonl(tmp_path / "file.jsonl", [{"metric": 1.0}, {"metric": number}])
    assert list(tmp_path.iterdir()) == []


def test_damaged_json_is_named(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text('{\n"a": 1,\n"b" 2}')
    with pytest.raises(InputError, match=rf"^{path}: not valid JSON \(.*line 3.*\); restore or delete the file$"):
        read_json(path)
    with pytest.raises(InputError, match=rf"^{tmp_path}/absent\.json: cannot be read \(.*No such file"):
        read_json(tmp_path / "absent.json")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=rf"^{path}: cannot be read \(.*utf-8"):
        read_json(path)


def test_a_damaged_record_is_named_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "file.jsonl"
    path.write_text('{"a": 1}\n\n{"a": 2\n{"a": 3}\n')
    with pytest.raises(InputError, match=rf"^{path} line 3: not valid JSON"):
        read_jsonl(path)
    with pytest.raises(InputError, match=r"absent\.jsonl: cannot be read"):
        read_jsonl(tmp_path / "absent.jsonl")


# Tensors


def test_tensors_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "file.safetensors"
    metadata = {"name": "ü", "sizes": [1, 2], "nothing": None, "nested": {"z": 1, "a": 2.5}}
    # a transposed tensor is not contiguous
    save_tensors(path, {**TENSORS, "turned": TENSORS["b"].T}, metadata)
    tensors, found = load_tensors(path)
    assert found == metadata
    assert tensors.keys() == {*TENSORS, "turned"}
    for name, tensor in {**TENSORS, "turned": TENSORS["b"].T}.items():
        assert tensors[name].dtype == tensor.dtype
        assert torch.equal(tensors[name], tensor)
    assert list(tmp_path.iterdir()) == [path]


SAVE = """
import sys, torch
from negsamp.io import save_tensors
names = {"alpha", "beta", "gamma", "delta"}
metadata = {name: name for name in names}
save_tensors(sys.argv[1], {name: torch.full((3,), float(len(name))) for name in names}, metadata)
sys.stdout.write(" ".join(names))
"""


def test_tensors_are_the_same_bytes_in_any_process(tmp_path: Path) -> None:
    paths, orders = [], set()
    for seed in ("1", "2"):
        paths.append(tmp_path / f"{seed}.safetensors")
        result = subprocess.run(
            [sys.executable, "-c", SAVE, str(paths[-1])],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        orders.add(result.stdout)
    # else the two processes would show nothing
    assert len(orders) == 2
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_metadata_is_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    save_tensors(tmp_path / "one", TENSORS, {"x": 1, "y": {"b": 2, "a": 3}})
    save_tensors(tmp_path / "two", dict(reversed(TENSORS.items())), {"y": {"a": 3, "b": 2}, "x": 1})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[:-1], "cannot be read as safetensors"),
        (lambda content: content[:20], "cannot be read as safetensors"),
        (lambda content: b"", "cannot be read as safetensors"),
        (lambda content: b"\xff" * 8 + content[8:], "cannot be read as safetensors"),
        (lambda content: content.replace(b"negsamp", b"another"), "not written by negsamp"),
        (lambda content: content.replace(b'{\\"one', b'(\\"one'), "not valid JSON"),
    ],
    ids=["short", "header only", "empty", "not safetensors", "foreign key", "broken description"],
)
def test_damaged_tensors_are_named(tmp_path: Path, damage, message: str) -> None:
    path = tmp_path / "file.safetensors"
    save_tensors(path, TENSORS, {"one": 1})
    content = path.read_bytes()
    assert damage(content) != content
    path.write_bytes(damage(content))
    with pytest.raises(InputError, match=rf"^{path}: {message}") as caught:
        load_tensors(path)
    assert "\n" not in str(caught.value)


def test_tensors_of_others_and_missing_ones_are_named(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "bare.safetensors")
    with pytest.raises(InputError, match=r"bare\.safetensors: not written by negsamp .*; rebuild it"):
        load_tensors(tmp_path / "bare.safetensors")
    with pytest.raises(InputError, match=r"absent\.safetensors: cannot be read .*; delete and rebuild it"):
        load_tensors(tmp_path / "absent.safetensors")
    with pytest.raises(InputError, match="cannot be read"):
        load_tensors(tmp_path)


# Hashes and seeds


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        # git's own: the empty blob, and the example of its book
        (b"", "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"),
        (b"what is up, doc?", "bd9dbf5aae1a3862dd1526723246b20206e5fc37"),
        (b"test content\n", "d670460b4b4aece5915caf5c68d12f560a9fe3e4"),
    ],
)
def test_gits_hash_of_a_file(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert file_hash(path, "git-blob-sha1") == expected


def test_hashes_of_a_file_of_several_blocks(tmp_path: Path) -> None:
    content = bytes(range(256)) * 10_000 + b"rest"
    path = tmp_path / "file"
    path.write_bytes(content)
    assert file_hash(path, "sha256") == hashlib.sha256(content).hexdigest()
    blob = b"blob %d\0%b" % (len(content), content)
    assert file_hash(str(path), "git-blob-sha1") == hashlib.sha1(blob, usedforsecurity=False).hexdigest()


def test_an_unknown_hash_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="unknown hash 'md5': use sha256 or git-blob-sha1"):
        file_hash(tmp_path / "file", "md5")


def test_digests_name_content() -> None:
    assert digest({"a": 1, "b": [2, None]}) == digest({"b": (2, None), "a": 1}) == "c8caf5ad035ad1d6"
    assert digest({"a": 1}) != digest({"a": "1"})


def test_seeds_are_stable_and_in_the_range_of_numpy() -> None:
    assert stable_seed() == 1330892193
    assert stable_seed(0) == 3502022929
    assert stable_seed(0, "nations", "TransE", 3, "parameters") == 4256498467
    seeds = [stable_seed(0, i) for i in range(2000)]
    assert len(set(seeds)) == 2000
    assert 0 <= min(seeds) < 2**24
    assert 2**32 - 2**24 < max(seeds) < 2**32


def test_seeds_tell_what_they_are_for() -> None:
    parts = [(1, 23), (12, 3), (123,), ("1", 23), ("123",), (1, 23, None)]
    assert len({stable_seed(*part) for part in parts}) == len(parts)


# The log of a job


def job(path: Path, **params: Any) -> SimpleNamespace:
    """What Snakemake calls ``snakemake`` in a script, of which a log is asked for."""
    return SimpleNamespace(log=[str(path)], rule="make", input=["in.json"], params=params)


def test_the_first_line_tells_what_a_job_makes_its_files_from(tmp_path: Path) -> None:
    """As ``rules/common.smk`` reads it."""
    lines = []
    for params in ({"a": 1, "b": [2]}, {"b": (2,), "a": 1}, {"a": 1, "b": [3]}):
        with job_log(job(tmp_path / "job.log", **params)):
            pass
        lines.append((tmp_path / "job.log").read_text().partition("making ")[2])
    assert lines[0] == digest(["make", ["in.json"], {"a": 1, "b": [2]}]) + "\n"
    assert lines[0] == lines[1] != lines[2]


def test_bad_input_is_one_line_in_the_log_and_on_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = tmp_path / "logs" / "job.log"
    with pytest.raises(SystemExit) as caught, job_log(job(path)):
        raise InputError("train.txt line 1: 2 columns; correct the line")
    assert caught.value.code == 1
    lines = path.read_text().splitlines()
    assert len(lines) == 2
    assert lines[1].endswith("train.txt line 1: 2 columns; correct the line")
    output = capsys.readouterr()
    assert output.err == "error: train.txt line 1: 2 columns; correct the line\n"
    assert output.out == ""


@pytest.mark.parametrize("error", [ValueError("unforeseen"), KeyboardInterrupt("unforeseen")])
def test_any_other_error_leaves_its_traceback_and_goes_on(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error), match="unforeseen") as caught, job_log(job(tmp_path / "job.log")):
        raise error
    assert caught.value is error
    log = (tmp_path / "job.log").read_text()
    assert "Traceback (most recent call last)" in log
    assert f"{type(error).__name__}: unforeseen" in log
    assert "raise error" in log


def test_records_and_warnings_go_to_the_log(tmp_path: Path) -> None:
    path = tmp_path / "job.log"
    path.write_text("an earlier run\n")
    before = list(logging.getLogger().handlers)
    shown = warnings.showwarning
    with warnings.catch_warnings(), job_log(job(path)):
        warnings.simplefilter("always")
        logging.getLogger("some.module").info("built %d pools", 3)
        logging.getLogger("some.module").debug("a detail")
        warnings.warn("mind this", UserWarning, stacklevel=1)
    log = path.read_text()
    assert "INFO some.module: built 3 pools" in log
    assert "UserWarning: mind this" in log
    assert "a detail" not in log
    assert "an earlier run" not in log
    logging.getLogger("some.module").warning("afterwards")
    assert "afterwards" not in path.read_text()
    assert logging.getLogger().handlers == before
    assert warnings.showwarning is shown


def test_json_of_a_job_can_be_read_by_others(tmp_path: Path) -> None:
    write_json(tmp_path / "file.json", {"a": 1})
    assert json.loads((tmp_path / "file.json").read_text(encoding="utf-8")) == {"a": 1}


def test_tensors_are_named_by_what_they_hold() -> None:
    one = {"a": torch.arange(6).view(2, 3), "b": torch.zeros(0)}
    assert tensors_digest(one) == tensors_digest({"b": torch.zeros(0), "a": torch.arange(6).view(2, 3)})
    others = [
        {"a": torch.arange(6).view(3, 2), "b": torch.zeros(0)},
        {"a": torch.arange(6).view(2, 3).float(), "b": torch.zeros(0)},
        {"a": torch.arange(6).view(2, 3)},
        {"a": torch.arange(6).view(2, 3).flip(0), "b": torch.zeros(0)},
        {"c": torch.arange(6).view(2, 3), "b": torch.zeros(0)},
    ]
    assert len({tensors_digest(content) for content in (one, *others)}) == 1 + len(others)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EROFS, "Read-only file system", "{folder}"),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
)
def test_what_cannot_be_written_is_told_in_a_line(error: Exception, tmp_path: Path) -> None:
    if isinstance(error, OSError) and error.filename:
        error.filename = str(tmp_path)

    def write_half() -> None:
        with atomic_path(tmp_path / "made/file.json") as path:
            path.write_text("half")
            raise error

    with pytest.raises(InputError, match=r"made/file\.json: cannot be written \(.*\); make room, or make its folder"):
        write_half()
    assert list((tmp_path / "made").iterdir()) == []


@pytest.mark.parametrize(
    "error",
    [PermissionError(errno.EACCES, "Permission denied", "/elsewhere/archive.zip"), OSError(errno.EIO, "I/O error")],
)
def test_what_cannot_be_read_elsewhere_is_another_error(error: Exception, tmp_path: Path) -> None:
    with pytest.raises(type(error)) as raised, atomic_path(tmp_path / "file.json"):
        raise error
    assert raised.value is error


def test_a_log_without_room_stops_no_job(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "job.log").symlink_to("/dev/full")
    with job_log(job(tmp_path / "job.log")):
        logging.getLogger("a job").info("a line")
    assert capsys.readouterr().err == ""
