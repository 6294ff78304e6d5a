"""Archives arrive whole and checked, or not at all."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from negsamp.datasets import RegistryEntry, obtain_archive, verify
from negsamp.errors import InputError

CONTENT = b"not really an archive\n" * 5000
SHA256 = "sha256:" + hashlib.sha256(CONTENT).hexdigest()
GIT = "git-blob-sha1:" + hashlib.sha1(b"blob %d\0" % len(CONTENT) + CONTENT, usedforsecurity=False).hexdigest()
WRONG_SHA256 = "sha256:" + "0" * 64
WRONG_GIT = "git-blob-sha1:" + "0" * 40


class Server(ThreadingHTTPServer):
    """Serves CONTENT at every address but /absent, after failing as often as it is told to."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.failures = 0
        self.requests = 0

    def url(self, path: str = "TINY.zip") -> str:
        return f"http://127.0.0.1:{self.server_port}/{path}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests += 1
        if self.server.failures > 0:
            self.server.failures -= 1
            self.send_error(503)
        elif self.path == "/absent":
            self.send_error(404)
        else:
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("pooch.core.time.sleep", lambda seconds: None)
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def mirror_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "mirror"
    folder.mkdir()
    (folder / "TINY.zip").write_bytes(CONTENT)
    return folder


def entry(*hashes: str, url: str | None = None) -> RegistryEntry:
    return RegistryEntry(
        name="tiny",
        archive="TINY.zip",
        source="test",
        hashes=hashes or (SHA256, GIT),
        classes=False,
        domains_and_ranges=False,
        url=url,
    )


def everything_in(folder: Path) -> list[Path]:
    return list(folder.rglob("*"))


def test_git_names_the_empty_file_as_we_do(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    verify(tmp_path / "empty", ["git-blob-sha1:e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"])


def test_right_hashes_of_both_kinds_pass(mirror_folder: Path) -> None:
    verify(mirror_folder / "TINY.zip", [SHA256])
    verify(mirror_folder / "TINY.zip", [GIT])


@pytest.mark.parametrize(("wrong", "right"), [(WRONG_SHA256, SHA256), (WRONG_GIT, GIT)])
def test_a_wrong_hash_of_either_kind_is_named(mirror_folder: Path, wrong: str, right: str) -> None:
    with pytest.raises(InputError, match=rf"TINY\.zip: found {right}, expected {wrong}; .*replace it"):
        verify(mirror_folder / "TINY.zip", [wrong])


def test_every_listed_hash_is_checked(mirror_folder: Path) -> None:
    with pytest.raises(InputError, match=WRONG_GIT):
        verify(mirror_folder / "TINY.zip", [SHA256, WRONG_GIT])


def test_a_missing_file_has_no_hash(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"TINY\.zip: no such file"):
        verify(tmp_path / "TINY.zip", [SHA256])


def test_the_mirror_is_looked_in_before_the_address(mirror_folder: Path, tmp_path: Path, server: Server) -> None:
    destination = tmp_path / "archives" / "TINY.zip"
    assert obtain_archive(entry(url=server.url()), destination, mirror_folder) == destination
    assert destination.read_bytes() == CONTENT
    assert server.requests == 0
    assert everything_in(destination.parent) == [destination]


@pytest.mark.parametrize("wrong", [WRONG_SHA256, WRONG_GIT])
def test_a_wrong_mirror_file_is_refused(mirror_folder: Path, tmp_path: Path, wrong: str) -> None:
    destination = tmp_path / "archives" / "TINY.zip"
    with pytest.raises(InputError, match=rf"mirror.TINY\.zip: found .*, expected {wrong}"):
        obtain_archive(entry(wrong), destination, mirror_folder)
    assert everything_in(destination.parent) == []


def test_what_the_mirror_lacks_comes_from_the_address(tmp_path: Path, server: Server) -> None:
    (tmp_path / "mirror").mkdir()
    destination = obtain_archive(entry(url=server.url()), tmp_path / "archives" / "TINY.zip", tmp_path / "mirror")
    assert destination.read_bytes() == CONTENT
    assert server.requests == 1
    assert everything_in(destination.parent) == [destination]


def test_a_right_file_is_kept(tmp_path: Path, server: Server) -> None:
    destination = tmp_path / "TINY.zip"
    destination.write_bytes(CONTENT)
    before = destination.stat()
    obtain_archive(entry(url=server.url()), destination)
    assert server.requests == 0
    assert (destination.stat().st_ino, destination.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_wrong_file_is_replaced(tmp_path: Path, server: Server) -> None:
    destination = tmp_path / "TINY.zip"
    destination.write_bytes(b"an older version")
    obtain_archive(entry(url=server.url()), destination)
    assert destination.read_bytes() == CONTENT


def test_a_mirror_must_exist(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent: no such mirror folder; .*NEGSAMP_MIRROR"):
        obtain_archive(entry(), tmp_path / "TINY.zip", tmp_path / "absent")


def test_an_archive_without_address_needs_a_mirror(tmp_path: Path) -> None:
    message = r"^tiny: TINY\.zip has no address and is not in {}; set mirror: in the config, or NEGSAMP_MIRROR"
    with pytest.raises(InputError, match=message.format("a mirror folder")):
        obtain_archive(entry(), tmp_path / "TINY.zip")
    with pytest.raises(InputError, match=message.format(tmp_path)):
        obtain_archive(entry(), tmp_path / "archives" / "TINY.zip", tmp_path)
    assert everything_in(tmp_path) == []


def test_a_server_that_fails_twice_is_asked_again(tmp_path: Path, server: Server) -> None:
    server.failures = 2
    destination = obtain_archive(entry(url=server.url()), tmp_path / "TINY.zip")
    assert destination.read_bytes() == CONTENT
    assert server.requests == 3
    assert everything_in(tmp_path) == [destination]


def test_a_server_that_keeps_failing_is_given_up(tmp_path: Path, server: Server) -> None:
    server.failures = 100
    with pytest.raises(InputError, match=r"^http.*TINY\.zip: cannot be downloaded \(503.*set mirror:") as info:
        obtain_archive(entry(url=server.url()), tmp_path / "TINY.zip")
    assert "\n" not in str(info.value)
    assert server.requests == 4
    assert everything_in(tmp_path) == []


def test_an_address_that_is_gone_is_named(tmp_path: Path, server: Server) -> None:
    with pytest.raises(InputError, match=r"absent: cannot be downloaded \(404"):
        obtain_archive(entry(url=server.url("absent")), tmp_path / "TINY.zip")


def test_no_network_is_one_line(tmp_path: Path, server: Server) -> None:
    with Server() as closed:
        url = closed.url()
    with pytest.raises(InputError, match="cannot be downloaded") as info:
        obtain_archive(entry(url=url), tmp_path / "TINY.zip")
    assert "\n" not in str(info.value)
    assert everything_in(tmp_path) == []


@pytest.mark.parametrize("wrong", [WRONG_SHA256, WRONG_GIT])
def test_a_wrong_download_leaves_nothing_behind(tmp_path: Path, server: Server, wrong: str) -> None:
    with pytest.raises(InputError, match=rf"^http.*TINY\.zip: found .*, expected {wrong}"):
        obtain_archive(entry(wrong, url=server.url()), tmp_path / "TINY.zip")
    assert everything_in(tmp_path) == []
