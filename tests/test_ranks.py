"""Ranks of test triples, written and read again."""

import gzip
from pathlib import Path

import pytest

from negsamp.datasets import load_dataset
from negsamp.errors import InputError
from negsamp.ranks import read_ranks, write_ranks

TESTING = load_dataset("nations").testing


def some_ranks(count: int) -> dict[str, list[float]]:
    return {"head": [1 + i / 2 for i in range(count)], "tail": [float(count - i) for i in range(count)]}


@pytest.mark.parametrize("max_triples", [None, 30])
def test_what_is_written_is_read(max_triples: int | None, tmp_path: Path) -> None:
    count = max_triples or TESTING.num_triples
    for name in ("one", "two"):
        write_ranks(tmp_path / f"{name}.csv.gz", TESTING, max_triples, some_ranks(count))
    frame = read_ranks(tmp_path / "one.csv.gz")
    assert frame["head_rank"].tolist() == some_ranks(count)["head"]
    assert frame["tail_rank"].tolist() == some_ranks(count)["tail"]
    triples = set(map(tuple, TESTING.mapped_triples.tolist()))
    assert set(frame[["head", "relation", "tail"]].itertuples(index=False, name=None)) <= triples
    assert len(frame) == count
    # the same bytes, whenever they are written
    assert (tmp_path / "one.csv.gz").read_bytes() == (tmp_path / "two.csv.gz").read_bytes()


def test_nothing_ranked_is_a_file_without_rows(tmp_path: Path) -> None:
    write_ranks(tmp_path / "none.csv.gz", TESTING, None, None)
    frame = read_ranks(tmp_path / "none.csv.gz")
    assert frame.empty
    assert list(frame) == ["head", "relation", "tail", "head_rank", "tail_rank"]


@pytest.mark.parametrize(
    "content", [b"no gzip", gzip.compress(b"head,relation\n1,2\n", mtime=0), gzip.compress(b"", mtime=0), b""]
)
def test_a_damaged_file_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv.gz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.csv\.gz: not the ranks of a retraining \(.*\); delete it and run"):
        read_ranks(path)
    with pytest.raises(InputError, match="missing"):
        read_ranks(tmp_path / "missing.csv.gz")


@pytest.mark.parametrize(
    "row",
    [
        "0,0,1.5,1,1",
        "-1,0,1,1,1",
        "0,0,1,nan,1",
        "0,0,1,,1",
        "0,0,1,inf,1",
        "0,0,1,0,1",
        f"{10**30},0,1,1,1",
        "x,0,1,1,1",
    ],
)
def test_a_row_that_is_no_rank_is_refused(row: str, tmp_path: Path) -> None:
    path = tmp_path / "ranks.csv.gz"
    path.write_bytes(gzip.compress(f"head,relation,tail,head_rank,tail_rank\n{row}\n".encode()))
    with pytest.raises(InputError, match=r"ranks\.csv\.gz: not the ranks of a retraining .*delete it and run its job"):
        read_ranks(path)


def test_ranks_that_unpack_without_end_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("negsamp.ranks._LARGEST", 1000)
    path = tmp_path / "ranks.csv.gz"
    path.write_bytes(gzip.compress(bytes(1001)))
    with pytest.raises(InputError, match="unpacks to more than 1,000 bytes"):
        read_ranks(path)
