"""An archive is read as it is declared, and one that is odd is refused before anything of it is read."""

import dataclasses
import re
import stat
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from archives import register

from negsamp.datasets import SchemaDataset, archive_dataset, obtain_archive
from negsamp.datasets.archive import MAX_UNPACKED
from negsamp.errors import InputError

FILES = {
    "TINY/train.txt": "ann\tlikes\tbob\nbob\tlikes\tcat\n",
    "TINY/valid.txt": "ann\tlikes\tcat\n",
    "TINY/test.txt": "cat\tlikes\tann\n",
}


def pack(path: Path, more: Callable[[zipfile.ZipFile], object] = lambda file: None) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in FILES.items():
            file.writestr(name, content)
        more(file)
    return path


def read(archive: Path) -> SchemaDataset:
    return archive_dataset(register(archive), archive)


def refusal(archive: Path) -> str:
    """Return why an archive is refused, in one line; nothing is left in its folder."""
    before = sorted(archive.parent.rglob("*"))
    with pytest.raises(InputError, match=rf"^{re.escape(str(archive))}") as caught:
        read(archive)
    assert sorted(archive.parent.rglob("*")) == before
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_plain_archive_is_read(tmp_path: Path) -> None:
    assert read(pack(tmp_path / "TINY.zip")).num_entities == 3


@pytest.mark.parametrize(
    "name",
    [
        "../evil.txt",
        "TINY/../../evil.txt",
        "/etc/evil.txt",
        "TINY\\..\\..\\evil.txt",
        "C:\\evil.txt",
        "\\\\host\\share\\evil.txt",
    ],
)
def test_a_member_that_leads_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    archive = pack(tmp_path / "TINY.zip", lambda file: file.writestr(name, "evil"))
    assert f"the member {name!r} leads out of the archive's folder; use the registered archive" in refusal(archive)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_a_link_or_a_device_is_refused(tmp_path: Path, kind: int) -> None:
    link = zipfile.ZipInfo("TINY/mapping/entity_to_id.json")
    link.external_attr = (kind | 0o777) << 16
    archive = pack(tmp_path / "TINY.zip", lambda file: file.writestr(link, "/etc/passwd"))
    assert "'TINY/mapping/entity_to_id.json' is a link or another special file; " in refusal(archive)


def test_a_member_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        archive = pack(tmp_path / "TINY.zip", lambda file: file.writestr("TINY/train.txt", "other"))
    assert "the member 'TINY/train.txt' is there twice; " in refusal(archive)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_packing_that_unpacks_to_any_size_at_once_is_refused(tmp_path: Path, method: int) -> None:
    archive = pack(tmp_path / "TINY.zip", lambda file: file.writestr("TINY/more.txt", "x", compress_type=method))
    assert "'TINY/more.txt' is packed by another method than deflate; " in refusal(archive)


def directory_entry(archive: Path, name: str) -> int:
    """Return where the central directory tells of a member."""
    content = archive.read_bytes()
    return content.index(b"PK\1\2", content.rindex(name.encode()) - 46)


def patch(archive: Path, place: int, form: str, *values: int) -> None:
    content = bytearray(archive.read_bytes())
    struct.pack_into(form, content, place, *values)
    archive.write_bytes(content)


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    archive = pack(tmp_path / "TINY.zip")
    patch(archive, directory_entry(archive, "TINY/test.txt") + 8, "<H", 1)
    assert "the member 'TINY/test.txt' is encrypted; " in refusal(archive)


def test_an_archive_that_declares_too_much_is_refused(tmp_path: Path) -> None:
    archive = pack(tmp_path / "TINY.zip")
    # of two members, neither of which is too large by itself
    for name in ("TINY/test.txt", "TINY/valid.txt"):
        patch(archive, directory_entry(archive, name) + 24, "<I", 1 << 31)
    size = 2 * (1 << 31) + len(FILES["TINY/train.txt"])
    assert f"unpacks to {size:,} bytes, more than the {MAX_UNPACKED:,} allowed; " in refusal(archive)


def test_a_bomb_that_declares_little_is_not_unpacked(tmp_path: Path) -> None:
    large = 200 << 20
    archive = tmp_path / "TINY.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in FILES.items():
            file.writestr(name, bytes(large) if name == "TINY/train.txt" else content)
    assert archive.stat().st_size < large / 500
    patch(archive, directory_entry(archive, "TINY/train.txt") + 24, "<I", 1000)
    tracemalloc.start()
    try:
        message = refusal(archive)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "TINY.zip/TINY/train.txt: cannot be read (Bad CRC-32 for file 'TINY/train.txt')" in message
    assert peak < 20 << 20


@pytest.mark.parametrize("kept", [0, 1, 40, -1, -30, -200])
def test_a_truncated_archive_is_refused_and_fetched_anew(tmp_path: Path, kept: int) -> None:
    (tmp_path / "mirror").mkdir()
    archive = pack(tmp_path / "mirror" / "TINY.zip")
    whole = archive.read_bytes()
    entry = register(archive)
    destination = tmp_path / "archives" / "TINY.zip"
    destination.parent.mkdir()
    destination.write_bytes(whole[:kept])
    with pytest.raises(InputError, match=r"TINY\.zip: found sha256:.*, expected sha256:.*; .*replace it"):
        archive_dataset(entry, destination)
    # and where its hash is right all the same
    refusal(destination)
    obtain_archive(entry, destination, tmp_path / "mirror")
    assert archive_dataset(entry, destination).num_entities == 3
    assert list(destination.parent.iterdir()) == [destination]


def test_a_damaged_member_is_named(tmp_path: Path) -> None:
    archive = pack(tmp_path / "TINY.zip")
    place = archive.read_bytes().index(b"TINY/test.txt") + len("TINY/test.txt")
    patch(archive, place, "<Q", 2**64 - 1)
    assert "TINY.zip/TINY/test.txt: cannot be read (" in refusal(archive)


def test_a_registered_name_does_not_help_another_archive(tmp_path: Path) -> None:
    archive = pack(tmp_path / "TINY.zip")
    with pytest.raises(InputError, match="no hash of it is registered"):
        archive_dataset(dataclasses.replace(register(archive), hashes=()), archive)
