"""Archives: read in place, never unpacked to disk, and refused where a member is not a plain file."""

import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PureWindowsPath

from negsamp.errors import InputError

__all__ = ["MAX_UNPACKED", "open_archive"]

#: how many bytes the members of an archive may have together. All names of a graph are held in memory, several times as
#: large as their text; the triples of Wikidata5M, larger than any graph here, are less than one GiB.
MAX_UNPACKED = 4 << 30

#: others unpack to more than a reader has asked for, in one step
_BOUNDED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@contextmanager
def open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open an archive whose members may all be read.

    A size that an archive declares may be a lie: no member gives more bytes than it declares, and one that has more, or
    fewer, fails its checksum.

    :param path: the file

    :raises InputError: if it is no zip archive, or has a member that it must not have
    """
    try:
        with zipfile.ZipFile(path) as file:
            _check(file, path)
            yield file
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise InputError(f"{path}: not a zip archive that can be read ({error}); download it again") from error


def _check(file: zipfile.ZipFile, path: Path) -> None:
    remedy = "use the registered archive, or pack its folder anew"
    seen: set[str] = set()
    for member in file.infolist():
        if found := _fault(member, seen):
            raise InputError(f"{path}: the member {member.filename!r} {found}; {remedy}")
        seen.add(member.filename)
    size = sum(member.file_size for member in file.infolist())
    if size > MAX_UNPACKED:
        raise InputError(f"{path}: unpacks to {size:,} bytes, more than the {MAX_UNPACKED:,} allowed; {remedy}")


def _fault(member: zipfile.ZipInfo, seen: set[str]) -> str | None:
    """Tell what is wrong with a member, if anything."""
    # Windows' paths know both slashes, and drives
    place = PureWindowsPath(member.filename)
    if place.anchor or ".." in place.parts:
        return "leads out of the archive's folder"
    if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or another special file"
    if member.flag_bits & 1:
        return "is encrypted"
    if member.compress_type not in _BOUNDED:
        return "is packed by another method than deflate"
    if member.filename in seen:
        return "is there twice"
    return None
