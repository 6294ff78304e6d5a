"""Data sets: what is registered, how an archive is fetched and checked, how a folder is read, how a graph is made.

Names are looked up when they are used: the Snakefile reads the registry again in every job, and importing torch or
PyKEEN for that would cost seconds each time.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from negsamp.datasets.registry import BUNDLED, SYNTHETIC, RegistryEntry, read_registry, resolve_name

if TYPE_CHECKING:
    from negsamp.datasets.dataset import SchemaDataset
    from negsamp.datasets.download import obtain_archive, verify
    from negsamp.datasets.folder import read_mapping, read_metadata, read_triples, write_folder
    from negsamp.datasets.load import archive_dataset, load_dataset
    from negsamp.datasets.synthetic import generate

__all__ = [
    "BUNDLED",
    "SYNTHETIC",
    "RegistryEntry",
    "SchemaDataset",
    "archive_dataset",
    "generate",
    "load_dataset",
    "obtain_archive",
    "read_mapping",
    "read_metadata",
    "read_registry",
    "read_triples",
    "resolve_name",
    "verify",
    "write_folder",
]

#: the module that each heavy name is imported from on its first use
_MODULES = {
    "SchemaDataset": "dataset",
    "archive_dataset": "load",
    "generate": "synthetic",
    "load_dataset": "load",
    "obtain_archive": "download",
    "read_mapping": "folder",
    "read_metadata": "folder",
    "read_triples": "folder",
    "verify": "download",
    "write_folder": "folder",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
