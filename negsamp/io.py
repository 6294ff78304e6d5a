"""Files: every write is atomic, every stored tensor is a safetensors file, every job has a log."""

import contextlib
import errno
import hashlib
import json
import logging
import math
import os
import re
import reprlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from negsamp.errors import InputError, Killed
from negsamp.progress import lines_alone

__all__ = [
    "atomic_path",
    "digest",
    "file_hash",
    "job_log",
    "load_tensors",
    "read_json",
    "read_jsonl",
    "save_tensors",
    "stable_seed",
    "told_as_unwritable",
    "write_json",
    "write_jsonl",
]

logger = logging.getLogger(__name__)

# one key only: safetensors writes several metadata keys in no fixed order, and equal content must give equal bytes
_METADATA_KEY = "negsamp"

_UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM}
_OS_ERROR = re.compile(r"\(os error (\d+)\)")


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a hidden sibling of a path to write to, renamed to the path on success and removed on failure.

    :param path: the file to make; missing parent folders are created

    :yields: the temporary path, with the same suffix

    :raises InputError: if there is no room for it, or it may not be written
    """
    path = Path(path)
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    with told_as_unwritable(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def told_as_unwritable(path: Path) -> Iterator[None]:
    """Tell in a line that a file cannot be written; what fails in reading another one is left as it is."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        place = Path(getattr(error, "filename", None) or path).absolute()
        is_here = place.is_relative_to(path.absolute().parent) or path.absolute().is_relative_to(place)
        if _number(error) not in _UNWRITABLE or not is_here:
            raise
        raise InputError(
            f"{path}: cannot be written ({os.strerror(_number(error))}); make room, or make its folder writable, and "
            "run again"
        ) from error


def _number(error: OSError | SafetensorError) -> int:
    """Return the system's number of an error, which safetensors names in its text alone; 0: none."""
    if isinstance(error, OSError):
        return error.errno or 0
    found = _OS_ERROR.search(str(error))
    return int(found[1]) if found else 0


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Write JSON that is the same bytes for the same content."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read JSON.

    :raises InputError: if the file is missing or is not JSON
    """
    return parse_json(_read_text(path), str(path))


def parse_json(text: str, place: str) -> Any:
    """Parse JSON text.

    :param place: the file (and line) that the text came from, for the error

    :raises InputError: if the text is not JSON
    """
    try:
        return json.loads(text, parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{place}: not valid JSON ({error}); restore or delete the file") from error


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]} is no JSON number")
    return number


def write_jsonl(path: str | os.PathLike[str], records: Iterable[Any]) -> None:
    """Write one JSON object a line."""
    with atomic_path(path) as temporary:
        lines = [json.dumps(record, sort_keys=True, allow_nan=False) + "\n" for record in records]
        temporary.write_text("".join(lines), encoding="utf-8")


def read_jsonl(path: str | os.PathLike[str]) -> list[Any]:
    """Read one JSON object a line.

    :raises InputError: if the file is missing or a line is not JSON
    """
    lines = _read_text(path).split("\n")
    return [parse_json(line, f"{path} line {number}") for number, line in enumerate(lines, start=1) if line]


def _read_text(path: str | os.PathLike[str]) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); restore it, or have it made again") from error


def save_tensors(
    path: str | os.PathLike[str], tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, Any]
) -> None:
    """Write tensors and a JSON-able description of them to one safetensors file."""
    with atomic_path(path) as temporary:
        # one tensor under two names is written twice: safetensors refuses tensors that share memory
        alone = {id(tensor): key for key, tensor in tensors.items()}
        copies = {
            key: tensor.contiguous() if alone[id(tensor)] == key else tensor.clone() for key, tensor in tensors.items()
        }
        save_file(copies, temporary, metadata={_METADATA_KEY: json.dumps(metadata, sort_keys=True)})


def load_tensors(path: str | os.PathLike[str]) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read what :func:`save_tensors` wrote.

    :returns: the tensors by name, and the description

    :raises InputError: if the file is missing, damaged, or not one of ours
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: cannot be read as safetensors ({error}); delete and rebuild it") from error
    if _METADATA_KEY not in metadata:
        raise InputError(f"{path}: not written by negsamp (no {_METADATA_KEY!r} in its header); rebuild it")
    description = parse_json(metadata[_METADATA_KEY], str(path))
    if not isinstance(description, dict):
        raise InputError(f"{path}: its description is {reprlib.repr(description)}, expected an object; rebuild it")
    return tensors, description


def file_hash(path: str | os.PathLike[str], algorithm: str) -> str:
    """Hash a file.

    :param algorithm: ``"sha256"``, or ``"git-blob-sha1"``: the SHA-1 of ``blob <size>``, a zero byte, and the content

    :returns: the hash in hexadecimal

    :raises ValueError: for any other algorithm
    """
    path = Path(path)
    if algorithm == "sha256":
        state = hashlib.sha256()
    elif algorithm == "git-blob-sha1":
        state = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    else:
        raise ValueError(f"unknown hash {algorithm!r}: use sha256 or git-blob-sha1")
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            state.update(block)
    return state.hexdigest()


def digest(content: Any) -> str:
    """Return a short name for JSON-able content: equal content, equal name."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def tensors_digest(tensors: Mapping[str, torch.Tensor]) -> str:
    """Return a short name for tensors: the same names and values, the same digest."""
    state = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        array = tensor.detach().cpu().contiguous().numpy()
        state.update(f"{name} {array.dtype} {array.shape}\n".encode() + array.tobytes())
    return state.hexdigest()[:16]


def stable_seed(*parts: Any) -> int:
    """Derive a seed from what it is for, the same on every machine and in any order of jobs.

    :returns: an integer in [0, 2**32), the range that NumPy accepts too
    """
    return int(hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:8], 16)


@contextlib.contextmanager
def job_log(job: Any) -> Iterator[None]:
    """Send records, warnings and the traceback of a failure to a job's log file.

    The first line tells by a digest what the job makes its files from. Where the notes are gone that Snakemake itself
    keeps, or it was killed before it could write them, ``rules/common.smk`` knows the files again by this line.

    An :class:`negsamp.errors.InputError` or :class:`negsamp.errors.Killed` is written as its one line, to the log and
    to the terminal, and ends the job.

    :param job: what Snakemake calls ``snakemake`` in a script
    """
    handler: logging.Handler = logging.NullHandler()
    root = logging.getLogger()
    try:
        handler = _log_file(Path(job.log[0]))
        root.addHandler(handler)
        root.setLevel(logging.INFO)
        logging.captureWarnings(True)
        logger.info("making %s", digest([job.rule, list(job.input), dict(job.params.items())]))
        # the terminal is Snakemake's
        with lines_alone():
            yield
    except InputError as error:
        _end(str(error))
    except Killed as killed:
        _end(f"{killed}; what is finished is kept: run again, with more memory if it was for that")
    except BaseException:
        logger.exception("the job failed")
        raise
    finally:
        logging.captureWarnings(False)
        root.removeHandler(handler)
        with contextlib.suppress(OSError):
            handler.close()


def _log_file(path: Path) -> logging.Handler:
    with told_as_unwritable(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = _QuietFileHandler(path, mode="w", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    return handler


class _QuietFileHandler(logging.FileHandler):
    """A log without which a job goes on: where there is no room for it, the job's results will tell."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 logging's name
        pass


def _end(line: str) -> NoReturn:
    # without a log file, logging would write to the terminal, too
    if logging.getLogger().hasHandlers():
        logger.error("%s", line)
    sys.stderr.write(f"error: {line}\n")
    sys.exit(1)
