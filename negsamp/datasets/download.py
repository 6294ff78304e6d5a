"""Fetching an archive: the mirror first, then its address; nothing unchecked ever gets its final name."""

import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

import pooch
import requests

from negsamp.datasets.registry import RegistryEntry
from negsamp.errors import InputError
from negsamp.io import atomic_path, file_hash

__all__ = ["default_mirror", "find_in_mirror", "obtain_archive", "verify"]


def verify(path: Path, hashes: Iterable[str], origin: str | None = None) -> None:
    """Check a file against every hash that is known of it.

    :param path: the file
    :param hashes: ``algorithm:hexadecimal``, the algorithms of :func:`negsamp.io.file_hash`
    :param origin: what to call the file in the error; None: its path

    :raises InputError: if the file is missing, or any hash differs
    """
    if not path.is_file():
        raise InputError(f"{origin or path}: no such file; download it again")
    for expected in hashes:
        algorithm = expected.partition(":")[0]
        found = f"{algorithm}:{file_hash(path, algorithm)}"
        if found != expected:
            raise InputError(
                f"{origin or path}: found {found}, expected {expected}; the file is damaged or another version, "
                "replace it by the registered one"
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
    # pooch cannot check git's hash, and keeps what it fetched: so it gets a folder of its own, gone afterwards
    with tempfile.TemporaryDirectory(dir=destination.parent, prefix=".download-") as folder:
        fetcher = pooch.create(
            path=folder, base_url="", registry={destination.name: None}, urls={destination.name: url}, retry_if_failed=3
        )
        try:
            downloader = pooch.HTTPDownloader(progressbar=True, chunk_size=1 << 16)
            fetched = fetcher.fetch(destination.name, downloader=downloader)
        except requests.RequestException as error:
            reason = " ".join(str(error).split())
            raise InputError(
                f"{url}: cannot be downloaded ({reason}); check the network, or get the file elsewhere, put it into a "
                "folder and set mirror: in the config, or NEGSAMP_MIRROR, to that folder"
            ) from error
        Path(fetched).replace(destination)
