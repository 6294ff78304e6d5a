"""The exchange format: a folder of TSV files, with or without mapping and metadata, or the same inside an archive."""

from __future__ import annotations

import reprlib
import shutil
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Sequence
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from negsamp.errors import InputError
from negsamp.io import parse_json, write_json
from negsamp.schema import MISSING, Schema

if TYPE_CHECKING:
    from pykeen.datasets.base import Dataset
    from pykeen.typing import LongTensor

__all__ = [
    "NEGATIVES",
    "SPLITS",
    "Negative",
    "Triple",
    "read_mapping",
    "read_metadata",
    "read_negatives",
    "read_triples",
    "stray_files",
    "write_folder",
]

#: a folder on disk, or one inside an archive: both are read by the same code
Folder: TypeAlias = Path | zipfile.Path

#: head, relation, tail
Triple: TypeAlias = tuple[str, str, str]

#: anchor, relation, candidate, side
Negative: TypeAlias = tuple[str, str, str, str]

#: the file of each split
SPLITS = {"training": "train.txt", "validation": "valid.txt", "testing": "test.txt"}

_ENTITY_IDS, _RELATION_IDS = "mapping/entity_to_id.json", "mapping/relation_to_id.json"
_ENTITY_CLASSES = "metadata/entity_classes.json"
_DOMAIN_RANGE = "metadata/relation_domain_range.json"
_SUBCLASS_OF = "metadata/subclass_of.json"
NEGATIVES = "negatives.tsv"
_FORMAT = {*SPLITS.values(), NEGATIVES, _ENTITY_IDS, _RELATION_IDS, _ENTITY_CLASSES, _DOMAIN_RANGE, _SUBCLASS_OF}


def read_triples(folder: Folder) -> dict[str, list[Triple]]:
    """Read the lines of the three splits as they stand, repeats included.

    :param folder: the data set's folder

    :returns: ``training``, ``validation`` and ``testing``; element i is line i + 1 of the file

    :raises InputError: if a file is missing or empty, or a line is not three names separated by tabs
    """
    splits = {split: _read_rows(folder / file, ("head", "relation", "tail")) for split, file in SPLITS.items()}
    return cast("dict[str, list[Triple]]", splits)


def read_negatives(path: Folder) -> list[Negative]:
    """Read the lines of a file of negatives as they stand.

    :param path: the file

    :returns: anchor, relation, candidate, side; element i is line i + 1 of the file

    :raises InputError: if the file is missing or empty, or a line is not of this form
    """
    rows = _read_rows(path, ("entity that stays", "relation", "candidate", "side"))
    for number, row in enumerate(rows, start=1):
        if row[3] not in ("head", "tail"):
            raise InputError(f"{path} line {number}: the side is {row[3]!r}; it must be head or tail")
    return cast("list[Negative]", rows)


def _read_rows(path: Folder, columns: Sequence[str]) -> list[tuple[str, ...]]:
    # names may hold any other separator that str.splitlines knows, so a line ends at \n or \r\n alone
    lines = _read_text(path).replace("\r\n", "\n").removesuffix("\n").split("\n")
    if lines == [""]:
        raise InputError(f"{path}: empty; it needs at least one line")
    rows = [tuple(line.split("\t")) for line in lines]
    for number, row in enumerate(rows, start=1):
        if len(row) != len(columns):
            count = f"{len(row)} column{'s' * (len(row) != 1)}"
            raise InputError(
                f"{path} line {number}: {count}, expected {len(columns)} separated by tabs; correct the line"
            )
        if not all(row):
            wanted = f"{', '.join(columns[:-1])} and {columns[-1]}"
            raise InputError(f"{path} line {number}: an empty name; give {wanted}, or remove the line")
    return rows


def read_mapping(folder: Folder) -> tuple[dict[str, int], dict[str, int]] | None:
    """Read the ids of entities and relations.

    :param folder: the data set's folder

    :returns: ids by name, in the order of the ids; None where the folder numbers nothing

    :raises InputError: if only one of the two files is there, or the ids are not 0 to n − 1
    """
    paths = [folder / _ENTITY_IDS, folder / _RELATION_IDS]
    if not any(path.is_file() for path in paths):
        return None
    entity_to_id, relation_to_id = map(_read_ids, paths)
    return entity_to_id, relation_to_id


def _read_ids(path: Folder) -> dict[str, int]:
    ids = _read_object(path)
    seen = set()
    for name, number in ids.items():
        if type(number) is not int or not 0 <= number < len(ids) or number in seen:
            raise InputError(
                f"{path}: {name!r} has the id {reprlib.repr(number)}, expected each of 0 to {len(ids) - 1} once; "
                "number the names anew, or delete mapping/"
            )
        seen.add(number)
    return dict(sorted(ids.items(), key=itemgetter(1)))


def read_metadata(folder: Folder) -> dict[str, dict[str, Any]] | None:
    """Read classes, domains, ranges and the hierarchy, as :meth:`negsamp.Schema.from_names` takes them.

    :param folder: the data set's folder

    :returns: ``entity_classes``, ``domain_range`` and ``subclass_of``, empty where a file is missing; None where all
        three are

    :raises InputError: if a file does not have the shape of the format
    """
    if not any((folder / file).is_file() for file in (_ENTITY_CLASSES, _DOMAIN_RANGE, _SUBCLASS_OF)):
        return None
    return {
        "entity_classes": _read_class_lists(folder / _ENTITY_CLASSES),
        "domain_range": _read_domains_and_ranges(folder / _DOMAIN_RANGE),
        "subclass_of": _read_class_lists(folder / _SUBCLASS_OF),
    }


def _read_class_lists(path: Folder) -> dict[str, list[str]]:
    content = _read_object(path) if path.is_file() else {}
    for key, value in content.items():
        if not _are_names(value):
            raise InputError(f"{path}: {key!r} has {reprlib.repr(value)}, expected a list of class names")
    return content


def _read_domains_and_ranges(path: Folder) -> dict[str, dict[str, Any]]:
    content = _read_object(path) if path.is_file() else {}
    for key, entry in content.items():
        if not isinstance(entry, dict) or not entry.keys() <= {"domain", "range", "inferred"}:
            raise InputError(
                f'{path}: {key!r} has {reprlib.repr(entry)}, expected {{"domain": class, "range": class}}, '
                f'"{MISSING}" for one that is missing'
            )
        if not set(_as_names(entry.get("inferred", []))) <= {"domain", "range"}:
            found = reprlib.repr(entry["inferred"])
            raise InputError(f'{path}: {key!r} has {found} inferred, expected some of ["domain", "range"]')
        for side in ("domain", "range"):
            value = entry.get(side)
            if not (value is None or isinstance(value, str) or _are_names(value)):
                raise InputError(
                    f"{path}: the {side} of {key!r} is {reprlib.repr(value)}, expected a class, a list of classes, or "
                    f'"{MISSING}"'
                )
    return content


def _as_names(value: Any) -> list[str]:
    return value if _are_names(value) else [repr(value)]


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def stray_files(folder: Folder) -> list[str]:
    """Return the files beside those of the format, such as a desktop leaves behind; they are ignored."""
    places = {"": folder, "mapping/": folder / "mapping", "metadata/": folder / "metadata"}
    found = {
        prefix + path.name
        for prefix, place in places.items()
        if place.is_dir()
        for path in place.iterdir()
        if path.is_file()
    }
    return sorted(found - _FORMAT)


def _read_object(path: Folder) -> dict[str, Any]:
    content = parse_json(_read_text(path), str(path))
    if not isinstance(content, dict):
        raise InputError(f"{path}: {reprlib.repr(content)}, expected an object by name")
    return content


def _read_text(path: Folder) -> str:
    if not path.is_file():
        raise InputError(
            f"{path}: no such file; a data set has train.txt, valid.txt and test.txt, and both files of "
            "mapping/ or none"
        )
    try:
        # block by block: asked for all at once, zipfile would unpack far more than a member declares
        with path.open("rb") as file:
            content = b"".join(iter(lambda: file.read(1 << 20), b""))
        # bytes first: text mode would also end a line at a lone \r; -sig drops the mark that Windows editors put first
        return content.decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path}: cannot be read ({error}); it must be UTF-8 text") from error


def write_folder(dataset: Dataset, path: Path) -> None:
    """Write a data set in the exchange format: the inverse of reading one, but for repeated lines.

    :param dataset: the data set, one of PyKEEN's too
    :param path: the folder to make; it appears whole or not at all

    :raises InputError: if there is something at the path already
    """
    if path.exists():
        raise InputError(f"{path}: exists already; remove it, or write to another path")
    temporary = path.with_name(f".{path.name}.partial")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        _write_files(dataset, temporary)
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_files(dataset: Dataset, folder: Path) -> None:
    write_json(folder / _ENTITY_IDS, dataset.entity_to_id)
    write_json(folder / _RELATION_IDS, dataset.relation_to_id)
    entities, relations = list(dataset.entity_to_id), list(dataset.relation_to_id)
    for split, file in SPLITS.items():
        rows = getattr(dataset, split).mapped_triples.tolist()
        lines = [f"{entities[head]}\t{relations[relation]}\t{entities[tail]}\n" for head, relation, tail in rows]
        (folder / file).write_text("".join(lines), encoding="utf-8", newline="\n")
    # PyKEEN's own data sets have neither
    schema, negatives = (getattr(dataset, name, None) for name in ("schema", "negatives"))
    if schema is not None:
        _write_schema(schema, entities, relations, folder)
    if negatives is not None:
        rows = negatives.rows.T.tolist()
        lines = [f"{entities[a]}\t{relations[r]}\t{entities[c]}\t{('head', 'tail')[side]}\n" for a, r, c, side in rows]
        (folder / NEGATIVES).write_text("".join(lines), encoding="utf-8", newline="\n")


def _write_schema(schema: Schema, entities: list[str], relations: list[str], folder: Path) -> None:
    domains, ranges = (_class_lists(pairs, relations, schema.classes) for pairs in (schema.domains, schema.ranges))
    domain_range: dict[str, dict[str, Any]] = {
        relation: {"domain": _one_or_list(domains[relation]), "range": _one_or_list(ranges[relation])}
        for relation in relations
    }
    for row in schema.inferred.tolist():
        domain_range[relations[row // 2]].setdefault("inferred", []).append(("domain", "range")[row % 2])
    write_json(folder / _ENTITY_CLASSES, _class_lists(schema.entity_classes, entities, schema.classes))
    write_json(folder / _DOMAIN_RANGE, domain_range)
    write_json(folder / _SUBCLASS_OF, _class_lists(schema.superclasses, schema.classes, schema.classes))


def _class_lists(pairs: LongTensor, names: Sequence[str], classes: Sequence[str]) -> dict[str, list[str]]:
    lists: defaultdict[str, list[str]] = defaultdict(list)
    for first, second in pairs.T.tolist():
        lists[names[first]].append(classes[second])
    return lists


def _one_or_list(names: list[str]) -> str | list[str]:
    return names if len(names) > 1 else names[0] if names else MISSING
