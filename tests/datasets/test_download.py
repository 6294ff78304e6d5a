"""Archives arrive whole and checked, or not at all."""

import hashlib
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme

from negsamp.datasets import RegistryEntry, obtain_archive, read_registry, verify
from negsamp.errors import InputError

CONTENT = b"not really an archive\n" * 5000
SHA256 = "sha256:" + hashlib.sha256(CONTENT).hexdigest()
GIT = "git-blob-sha1:" + hashlib.sha1(b"blob %d\0" % len(CONTENT) + CONTENT, usedforsecurity=False).hexdigest()
WRONG_SHA256 = "sha256:" + "0" * 64
WRONG_GIT = "git-blob-sha1:" + "0" * 40
PAGE = b"\n<!DOCTYPE html><html><body>Moved</body></html>"


class Server(ThreadingHTTPServer):
    """Serves CONTENT at every address but those below, after failing as often as it is told to."""

    #: those that are stalled are not waited for
    daemon_threads = True
    block_on_close = False

    def __init__(self, certificate: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        if certificate is not None:
            self.socket = certificate.wrap_socket(self.socket, server_side=True)
        self.scheme = "http" if certificate is None else "https"
        self.failures = 0
        self.requests = 0
        self.closing = threading.Event()
        #: where /elsewhere leads to
        self.elsewhere = ""

    def url(self, path: str = "TINY.zip") -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_port}/{path}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests += 1
        if self.server.failures > 0:
            self.server.failures -= 1
            self.send_error(503)
        elif self.path == "/absent":
            self.send_error(404)
        elif self.path == "/elsewhere":
            self.send_response(302)
            self.send_header("Location", self.server.elsewhere)
            self.end_headers()
        elif self.path == "/stalls":
            self.server.closing.wait(30)
        elif self.path == "/drips":
            self.answer(b"", len(CONTENT))
            while not self.server.closing.wait(0.05):
                self.wfile.write(b"x")
        elif self.path == "/breaks-off":
            self.answer(CONTENT[:5000], len(CONTENT))
        elif self.path == "/page":
            self.answer(PAGE, len(PAGE))
        elif self.path == "/odd-size":
            self.answer(CONTENT, "many")
        else:
            self.answer(CONTENT, len(CONTENT))

    def answer(self, content: bytes, size: int | str) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def certificate(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory, monkeypatch) -> ssl.SSLContext:
    """Let this process trust the server's certificate."""
    path = tmp_path_factory.mktemp("authority") / "authority.pem"
    authority.cert_pem.write_to_path(str(path))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def serving(server: Server) -> Iterator[Server]:
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.closing.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("pooch.core.time.sleep", lambda seconds: None)


@pytest.fixture
def server(certificate: ssl.SSLContext, _at_once: None) -> Iterator[Server]:
    yield from serving(Server(certificate))


@pytest.fixture
def open_server(_at_once: None) -> Iterator[Server]:
    """One without encryption."""
    yield from serving(Server(None))


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


def test_a_file_of_which_no_hash_is_known_is_refused(mirror_folder: Path) -> None:
    with pytest.raises(InputError, match=r"TINY\.zip: no hash of it is registered; add one"):
        verify(mirror_folder / "TINY.zip", [])


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
    url = server.url().replace(str(server.server_port), "1")
    with pytest.raises(InputError, match="cannot be downloaded") as info:
        obtain_archive(entry(url=url), tmp_path / "TINY.zip")
    assert "\n" not in str(info.value)
    assert everything_in(tmp_path) == []


@pytest.mark.parametrize("wrong", [WRONG_SHA256, WRONG_GIT])
def test_a_wrong_download_leaves_nothing_behind(tmp_path: Path, server: Server, wrong: str) -> None:
    with pytest.raises(InputError, match=rf"^http.*TINY\.zip: found .*, expected {wrong}"):
        obtain_archive(entry(wrong, url=server.url()), tmp_path / "TINY.zip")
    assert everything_in(tmp_path) == []


# Servers that are slow, or send something else


@pytest.mark.parametrize("path", ["stalls", "drips"])
def test_a_server_that_comes_to_no_end_is_given_up(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr("negsamp.datasets.download._LONGEST_S", 1)
    start = time.monotonic()
    with pytest.raises(InputError, match=rf"^http.*{path}: cannot be downloaded \(not finished after 1 s\); .*mirror:"):
        obtain_archive(entry(url=server.url(path)), tmp_path / "TINY.zip")
    assert time.monotonic() - start < 5
    assert everything_in(tmp_path) == []
    # once it is well again, a rerun recovers
    assert obtain_archive(entry(url=server.url()), tmp_path / "TINY.zip").read_bytes() == CONTENT


def test_a_server_that_says_nothing_is_asked_again_and_given_up(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("negsamp.datasets.download._SILENCE_S", 0.1)
    with pytest.raises(InputError, match=r"stalls: cannot be downloaded \(.*timed out"):
        obtain_archive(entry(url=server.url("stalls")), tmp_path / "TINY.zip")
    assert server.requests == 4
    assert everything_in(tmp_path) == []


def test_a_download_that_breaks_off_is_no_archive(tmp_path: Path, server: Server) -> None:
    with pytest.raises(InputError, match=r"breaks-off: cannot be downloaded \(.*5000 bytes read") as info:
        obtain_archive(entry(url=server.url("breaks-off")), tmp_path / "TINY.zip")
    assert "\n" not in str(info.value)
    assert everything_in(tmp_path) == []


def test_a_download_without_end_does_not_fill_the_disk(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("negsamp.datasets.download._LARGEST", len(CONTENT) - 1)
    with pytest.raises(InputError, match=rf"cannot be downloaded \(more than {len(CONTENT) - 1:,} bytes\)"):
        obtain_archive(entry(url=server.url()), tmp_path / "TINY.zip")
    assert everything_in(tmp_path) == []


def test_a_size_that_is_no_number_does_not_matter(tmp_path: Path, server: Server) -> None:
    assert obtain_archive(entry(url=server.url("odd-size")), tmp_path / "TINY.zip").read_bytes() == CONTENT


def test_a_page_in_place_of_an_archive_is_told_as_such(tmp_path: Path, server: Server) -> None:
    with pytest.raises(InputError, match=rf"^http.*page: found .*, expected {SHA256}; .* a web page, not the archive"):
        obtain_archive(entry(url=server.url("page")), tmp_path / "TINY.zip")
    assert everything_in(tmp_path) == []
    # likewise one that was put into a mirror
    (tmp_path / "TINY.zip").write_bytes(PAGE)
    with pytest.raises(InputError, match="a web page, not the archive"):
        obtain_archive(entry(), tmp_path / "archives" / "TINY.zip", tmp_path)


# Addresses


def test_an_address_without_encryption_is_not_asked(tmp_path: Path, open_server: Server) -> None:
    with pytest.raises(InputError, match=r"^http://.*TINY\.zip: not an https address; get the file elsewhere"):
        obtain_archive(entry(url=open_server.url()), tmp_path / "TINY.zip")
    assert open_server.requests == 0
    assert everything_in(tmp_path) == []


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/TINY.zip", "TINY.zip"])
def test_other_kinds_of_addresses_are_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(InputError, match="not an https address"):
        obtain_archive(entry(url=url), tmp_path / "archives" / "TINY.zip")


def test_an_address_may_lead_on_but_not_out_of_https(tmp_path: Path, server: Server, open_server: Server) -> None:
    server.elsewhere = server.url()
    obtain_archive(entry(url=server.url("elsewhere")), tmp_path / "one.zip")
    assert (tmp_path / "one.zip").read_bytes() == CONTENT
    server.elsewhere = open_server.url()
    with pytest.raises(InputError, match=r"elsewhere: cannot be downloaded \(No connection adapters .* 'http://"):
        obtain_archive(entry(url=server.url("elsewhere")), tmp_path / "two.zip")
    assert open_server.requests == 0
    assert everything_in(tmp_path) == [tmp_path / "one.zip"]


def test_a_certificate_that_nobody_vouches_for_is_refused(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with pytest.raises(InputError, match=r"cannot be downloaded .*certificate verify failed"):
        obtain_archive(entry(url=server.url()), tmp_path / "TINY.zip")
    assert everything_in(tmp_path) == []


def test_every_registered_archive_is_pinned_and_fetched_by_https() -> None:
    archives = [known for known in read_registry().values() if known.archive is not None]
    assert len(archives) == 9
    for known in archives:
        assert any(digest.startswith(("sha256:", "git-blob-sha1:")) for digest in known.hashes), known.name
        assert known.url is None or known.url.startswith("https://"), known.name
        # no folder, so that a mirror or a cache is not left
        assert Path(known.archive).name == known.archive, known.name
