"""Data sets: what is registered, how an archive is fetched and checked, how a folder is read, how a graph is made."""

from negsamp.datasets.dataset import SchemaDataset
from negsamp.datasets.download import default_mirror, obtain_archive, verify
from negsamp.datasets.folder import read_mapping, read_metadata, read_triples, write_folder
from negsamp.datasets.listing import list_datasets
from negsamp.datasets.load import archive_dataset, load_dataset
from negsamp.datasets.registry import SYNTHETIC, RegistryEntry, read_registry, resolve_name
from negsamp.datasets.synthetic import generate

__all__ = [
    "SYNTHETIC",
    "RegistryEntry",
    "SchemaDataset",
    "archive_dataset",
    "default_mirror",
    "generate",
    "list_datasets",
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
