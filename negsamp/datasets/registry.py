"""Which data sets are known by name. Standard library only: the Snakefile reads this in every job."""

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from negsamp.errors import InputError

__all__ = ["BUNDLED", "SYNTHETIC", "RegistryEntry", "read_registry", "resolve_name"]

#: data sets that PyKEEN brings along
BUNDLED = ("kinships", "nations", "umls")

#: the name of the graph that :func:`negsamp.datasets.synthetic.generate` makes
SYNTHETIC = "synthetic"

_REGISTRY = Path(__file__).with_name("registry.toml")


@dataclass(frozen=True)
class RegistryEntry:
    """A published archive: where it comes from, how to know it, and what it must hold."""

    #: the name in lower case
    name: str
    #: the file name of the archive; its stem is the folder inside
    archive: str
    #: provenance, a sentence
    source: str
    #: ``sha256:…`` or ``git-blob-sha1:…``; every one of them is checked
    hashes: tuple[str, ...]
    #: whether any entity has a class
    classes: bool
    #: whether any relation has a domain, and any a range
    domains_and_ranges: bool
    #: None: unknown
    licence: str | None = None
    #: None: only a mirror has the archive
    url: str | None = None
    #: lines of ``training``, ``validation`` and ``testing``, ``entities`` and ``relations``; None: unknown
    counts: Mapping[str, int] | None = None

    @property
    def folder(self) -> str:
        """The folder inside the archive."""
        return Path(self.archive).stem


def read_registry() -> dict[str, RegistryEntry]:
    """Return the registered archives by name."""
    table = tomllib.loads(_REGISTRY.read_text(encoding="utf-8"))
    return {name: RegistryEntry(name=name, **{**row, "hashes": tuple(row["hashes"])}) for name, row in table.items()}


def resolve_name(name: str) -> str:
    """Return the known name that is meant, whatever its case.

    :param name: a registered, bundled or synthetic data set

    :raises InputError: if there is none
    """
    known = sorted([*read_registry(), *BUNDLED, SYNTHETIC])
    if name.lower() in known:
        return name.lower()
    close = difflib.get_close_matches(name.lower(), known, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise InputError(
        f"unknown data set {name!r}: {hint}Known are {', '.join(known)}; a graph of your own is given as a path with "
        "a slash, such as ./mygraph"
    )
