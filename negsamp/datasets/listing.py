"""Which known data sets are at hand."""

from pathlib import Path
from typing import Any

import pooch

from negsamp.datasets.download import find_in_mirror
from negsamp.datasets.registry import RegistryEntry, read_registry

__all__ = ["list_datasets"]


def list_datasets(mirror: Path | None = None) -> list[dict[str, Any]]:
    """List the registry, and where each data set is.

    :param mirror: a folder that holds registered archives

    :returns: ``dataset``, ``present`` (``"built in"``, ``"mirror"``, ``"cache"``, ``"to download"`` or
        ``"mirror only"``), ``classes``, ``domains_and_ranges``, ``url``, ``source``

    :raises InputError: if the mirror is not a folder
    """
    return [
        {
            "dataset": entry.name,
            "present": _present(entry, mirror),
            "classes": entry.classes,
            "domains_and_ranges": entry.domains_and_ranges,
            "url": entry.url,
            "source": entry.source,
        }
        for entry in read_registry().values()
    ]


def _present(entry: RegistryEntry, mirror: Path | None) -> str:
    if entry.archive is None:
        return "built in"
    if find_in_mirror(entry, mirror) is not None:
        return "mirror"
    if (Path(pooch.os_cache("negsamp")) / entry.archive).is_file():
        return "cache"
    return "mirror only" if entry.url is None else "to download"
