"""Fetching an archive: the mirror first, then its address; nothing unchecked ever gets its final name."""

import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pooch
import requests

from negsamp.datasets.registry import RegistryEntry
from negsamp.errors import InputError
from negsamp.io import atomic_path, file_hash
from negsamp.progress import progress

__all__ = ["default_mirror", "find_in_mirror", "obtain_archive", "verify"]

#: seconds without a byte after which a server is asked again
_SILENCE_S = 30

#: seconds after which a download is given up, all tries together: a server may send a byte now and then for ever
_LONGEST_S = 1800

#: bytes after which a download is given up: a hundred times the largest registered archive, and no full disk
_LARGEST = 1 << 30

#: how a page begins that a server sends in place of an archive
_WEB_PAGE = (b"<!doctype html", b"<html")


def verify(path: Path, hashes: Iterable[str], origin: str | None = None) -> None:
    """Check a file against every hash that is known of it.

    :param path: the file
    :param hashes: ``algorithm:hexadecimal``, the algorithms of :func:`negsamp.io.file_hash`
    :param origin: what to call the file in the error; None: its path

    :raises InputError: if the file is missing, any hash differs, or none is known
    """
    if not path.is_file():
        raise InputError(f"{origin or path}: no such file; download it again")
    hashes = list(hashes)
    if not hashes:
        raise InputError(f"{origin or path}: no hash of it is registered; add one to the entry in registry.toml")
    for expected in hashes:
        algorithm = expected.partition(":")[0]
        found = f"{algorithm}:{file_hash(path, algorithm)}"
        if found != expected:
            with path.open("rb") as file:
                is_page = file.read(1 << 10).lstrip().lower().startswith(_WEB_PAGE)
            what = "a web page, not the archive" if is_page else "damaged or another version"
            raise InputError(
                f"{origin or path}: found {found}, expected {expected}; the file is {what}, replace it by the "
                "registered one"
            )


def default_mirror() -> Path | None:
    """Return the mirror folder that the environment variable ``NEGSAMP_MIRROR`` names, if it is set."""
    folder = os.environ.get("NEGSAMP_MIRROR")
    return Path(folder) if folder else None


def find_in_mirror(entry: RegistryEntry, mirror: Path | None) -> Path | None:
    """Return where a mirror folder has an archive, None where it does not.

    :raises InputError: if the mirror is not a folder
    """
    if mirror is None:
        return None
    if not mirror.is_dir():
        raise InputError(f"{mirror}: no such mirror folder; correct mirror: in the config, or NEGSAMP_MIRROR")
    archive = mirror / str(entry.archive)
    return archive if archive.is_file() else None


def obtain_archive(entry: RegistryEntry, destination: Path, mirror: Path | None = None) -> Path:
    """Put a registered archive, checked, where it is wanted; one that is there already and right is kept as it is.

    :param entry: the archive
    :param destination: the file to make
    :param mirror: a folder that is looked in before the archive's address

    :returns: the destination

    :raises InputError: if the archive cannot be found or fetched, or is not the registered one
    """
    original = find_in_mirror(entry, mirror)
    if destination.is_file() and _is_right(destination, entry):
        return destination
    if original is None and entry.url is None:
        raise InputError(
            f"{entry.name}: {entry.archive} has no address and is not in {mirror or 'a mirror folder'}; set mirror: "
            "in the config, or NEGSAMP_MIRROR, to a folder that holds it"
        )
    with atomic_path(destination) as temporary:
        if original is not None:
            shutil.copyfile(original, temporary)
        elif entry.url is not None:
            _download(entry.url, temporary)
        verify(temporary, entry.hashes, origin=str(original or entry.url))
    return destination


def _is_right(path: Path, entry: RegistryEntry) -> bool:
    try:
        verify(path, entry.hashes)
    except InputError:
        return False
    return True


def _download(url: str, destination: Path) -> None:
    elsewhere = (
        "get the file elsewhere, put it into a folder and set mirror: in the config, or NEGSAMP_MIRROR, to that folder"
    )
    if urlsplit(url).scheme != "https":
        raise InputError(f"{url}: not an https address; {elsewhere}")
    # pooch cannot check git's hash, and keeps what it fetched: so it gets a folder of its own, gone afterwards
    with tempfile.TemporaryDirectory(dir=destination.parent, prefix=".download-", ignore_cleanup_errors=True) as folder:
        fetcher = pooch.create(
            path=folder, base_url="", registry={destination.name: None}, urls={destination.name: url}, retry_if_failed=3
        )
        try:
            fetched = _within(_LONGEST_S, lambda: fetcher.fetch(destination.name, downloader=_fetch))
        except (requests.RequestException, TimeoutError) as error:
            reason = " ".join(str(error).split()) or f"not finished after {_LONGEST_S} s"
            raise InputError(f"{url}: cannot be downloaded ({reason}); check the network, or {elsewhere}") from error
        Path(fetched).replace(destination)


def _fetch(url: str, output_file: str, fetcher: pooch.Pooch) -> None:
    """Download over https alone, wherever the address leads on to; pooch's own downloader goes anywhere."""
    with requests.Session() as session:
        del session.adapters["http://"]
        with session.get(url, stream=True, timeout=_SILENCE_S) as response:
            response.raise_for_status()
            size = response.headers.get("Content-Length", "")
            with (
                Path(output_file).open("wb") as file,
                progress(
                    description=Path(output_file).name,
                    unit="B",
                    unit_scale=True,
                    total=int(size) if size.isdecimal() else None,
                ) as bar,
            ):
                for block in response.iter_content(1 << 16):
                    bar.update(file.write(block))
                    if file.tell() > _LARGEST:
                        raise requests.RequestException(f"more than {_LARGEST:,} bytes")


def _within(seconds: float, work: Callable[[], Any]) -> Any:
    """Do some work, and wait no longer than this: each step of a connection has a limit of its own, all have none.

    :raises TimeoutError: if it takes longer; it goes on, and ends with the process
    """
    answer: Future[Any] = Future()

    def run() -> None:
        try:
            answer.set_result(work())
        except BaseException as error:  # for the thread that waits
            answer.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return answer.result(timeout=seconds)
