"""Which data sets are known by name; the Snakefile reads the same table."""

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from negsamp.errors import InputError

__all__ = ["SYNTHETIC", "RegistryEntry", "read_registry", "resolve_name"]

#: the name of the graph that :func:`negsamp.datasets.synthetic.generate` makes
SYNTHETIC = "synthetic"

_REGISTRY = Path(__file__).with_name("registry.toml")


@dataclass(frozen=True)
class RegistryEntry:
    """A data set known by name; for a published archive: where it comes from, how to know it, what it must hold."""

    #: the name in lower case
    name: str
    #: provenance, a sentence
    source: str
    #: whether any entity has a class
    classes: bool
    #: whether any relation has a domain or a range
    domains_and_ranges: bool
    #: the file name of the archive; None: brought along by PyKEEN, or made here
    archive: str | None = None
    #: ``sha256:…`` or ``git-blob-sha1:…``; every one of them is checked
    hashes: tuple[str, ...] = ()
    #: None: unknown
    licence: str | None = None
    #: None: only a mirror has the archive
    url: str | None = None
    #: lines of ``training``, ``validation`` and ``testing``, ``entities`` and ``relations``; None: unknown
    counts: Mapping[str, int] | None = None

    @property
    def folder(self) -> str:
        """The folder inside the archive."""
        return Path(self.archive or "").stem


def read_registry() -> dict[str, RegistryEntry]:
    """Return what is known, by name."""
    table = tomllib.loads(_REGISTRY.read_text(encoding="utf-8"))
    return {
        name: RegistryEntry(name=name, **{**row, "hashes": tuple(row.get("hashes", ()))}) for name, row in table.items()
    }


def resolve_name(name: str) -> str:
    """Return the known name that is meant, whatever its case.

    :param name: a data set's name, in any case

    :raises InputError: if there is none
    """
    known = sorted(read_registry())
    if name.lower() in known:
        return name.lower()
    close = difflib.get_close_matches(name.lower(), known, n=1)
    hint = f"did you mean {close[0]!r}? Known" if close else "known"
    raise InputError(
        f"unknown data set {name!r}: {hint} are {', '.join(known)}; a graph of your own is given as a path with "
        "a slash, such as ./mygraph"
    )
