"""One function that finds a data set by name or path."""

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pooch
from pykeen.datasets import dataset_resolver
from pykeen.datasets.base import PathDataset

from negsamp.datasets.archive import open_archive
from negsamp.datasets.dataset import SchemaDataset
from negsamp.datasets.download import default_mirror, find_in_mirror, obtain_archive, verify
from negsamp.datasets.folder import SPLITS, read_triples
from negsamp.datasets.registry import SYNTHETIC, RegistryEntry, read_registry, resolve_name
from negsamp.datasets.synthetic import generate
from negsamp.errors import InputError
from negsamp.io import file_hash

__all__ = ["archive_dataset", "load_dataset"]


def load_dataset(
    name_or_path: str | Path,
    *,
    mirror: str | Path | None = None,
    synthetic: Mapping[str, Any] | None = None,
    cache: Path | None = None,
    name: str | None = None,
) -> SchemaDataset:
    """Load a data set.

    :param name_or_path: a folder in the exchange format (anything with a slash in it, or a folder that holds a
        ``train.txt``), or the name of a registered, bundled or synthetic data set, in any case
    :param mirror: a folder that holds registered archives, looked in before their addresses; None: the environment
        variable ``NEGSAMP_MIRROR``, if set
    :param synthetic: options of :func:`negsamp.datasets.generate`, for the synthetic data set
    :param cache: where downloaded archives are kept; None: the user's cache folder
    :param name: what to call a folder in results; None: its own name

    :raises InputError: if there is no such data set, or it is not what it should be
    """
    path = Path(name_or_path)
    if "/" in str(name_or_path) or os.sep in str(name_or_path) or (path / SPLITS["training"]).is_file():
        return _folder_dataset(path, name)
    entry = read_registry()[resolve_name(str(name_or_path))]
    if entry.name == SYNTHETIC:
        return generate(**(synthetic or {}))
    if entry.archive is None:
        return _bundled_dataset(entry)
    archive = find_in_mirror(entry, Path(mirror) if mirror else default_mirror())
    if archive is None:
        archive = obtain_archive(entry, (cache or Path(pooch.os_cache("negsamp"))) / entry.archive)
    return archive_dataset(entry, archive)


def archive_dataset(entry: RegistryEntry, archive: Path) -> SchemaDataset:
    """Read a registered archive in place, and check that it is what the registry says.

    :param entry: the archive's entry in the registry
    :param archive: the file

    :raises InputError: if the archive is not the registered one, or does not hold what the registry says
    """
    verify(archive, entry.hashes)
    with open_archive(archive) as file:
        dataset = SchemaDataset.from_folder(
            zipfile.Path(file, f"{entry.folder}/"),
            entry.name,
            source=entry.source,
            licence=entry.licence,
            archive=f"sha256:{file_hash(archive, 'sha256')}",
        )
    _check(entry, dataset, archive)
    return dataset


def _check(entry: RegistryEntry, dataset: SchemaDataset, archive: Path) -> None:
    """Compare with what the registry says: rules decide by it which samplers a data set can have."""
    report, schema = dataset.report, dataset.schema
    expected = {
        **(entry.counts or {}),
        "classes": entry.classes,
        "domains_and_ranges": entry.domains_and_ranges,
    }
    found = {
        **{split: counts["lines"] for split, counts in report["splits"].items()},
        "entities": report["entities"],
        "relations": report["relations"],
        "classes": schema is not None and schema.has_classes,
        "domains_and_ranges": schema is not None and schema.has_domains_and_ranges,
    }
    for key, value in expected.items():
        if found[key] != value:
            raise InputError(
                f"{archive}: {key} is {found[key]}, the registry says {value} of {entry.name!r}; correct the entry in "
                "registry.toml, or replace the archive"
            )


def _folder_dataset(path: Path, name: str | None) -> SchemaDataset:
    if not path.is_dir():
        raise InputError(f"{path}: no such folder; give a folder that holds train.txt, valid.txt and test.txt")
    # the folder's name alone: where a user keeps it must not change the bytes of a report
    folder = path.resolve().name
    return SchemaDataset.from_folder(path, name or folder, source=f"the folder {folder}")


def _bundled_dataset(entry: RegistryEntry) -> SchemaDataset:
    bundled = cast(PathDataset, dataset_resolver.make(entry.name))
    return SchemaDataset.from_names(
        entry.name,
        read_triples(Path(bundled.training_path).parent),
        mapping=(bundled.entity_to_id, bundled.relation_to_id),
        source=entry.source,
        place=entry.name,
    )
