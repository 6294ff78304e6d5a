"""A GPU of its own for each job on a machine: Snakemake counts GPUs, and does not say which one is free."""

import contextlib
import itertools
import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from filelock import BaseFileLock, FileLock, Timeout

from negsamp.errors import InputError

__all__ = ["own_gpu"]

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def own_gpu(wanted: int) -> Iterator[None]:
    """Keep a GPU for this process and those it forks: the first of those it sees that is free, or else the next.

    The others are hidden (``CUDA_VISIBLE_DEVICES``), so this comes before anything uses a GPU. A process that sees one
    or none, as a scheduler such as Slurm sees to, keeps what it has. A job that is killed leaves its GPU to others.

    :param wanted: how many GPUs the job asks for: with 0, nothing is kept or hidden
    """
    visible = _visible() if wanted else []
    if len(visible) < 2:
        yield
        return
    gpu, lock = _take(visible, Path(tempfile.gettempdir()) / f"negsamp-gpus-{os.getuid()}")
    logger.info("this job has the GPU %s of %s", gpu, ", ".join(visible))
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    try:
        yield
    finally:
        if before is None:
            del os.environ["CUDA_VISIBLE_DEVICES"]
        else:
            os.environ["CUDA_VISIBLE_DEVICES"] = before
        lock.release()


def _visible() -> Sequence[str]:
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return [gpu.strip() for gpu in given.split(",") if gpu.strip()]
    # asks the driver; a process that had used CUDA itself could not fork any more
    return [str(number) for number in range(torch.cuda.device_count())]


def _take(gpus: Sequence[str], folder: Path) -> tuple[str, BaseFileLock]:
    """Lock the first free place of the GPUs: each GPU has a first place, then each a second one, and so on."""
    folder.mkdir(mode=0o700, exist_ok=True)
    # the place is known to all users of the machine
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise InputError(f"{folder}: belongs to another user; set TMPDIR to a folder of your own")
    for place in itertools.count():
        for gpu in gpus:
            # the system gives a lock back when its process ends, however it ends
            lock = FileLock(folder / f"{gpu}-{place}.lock", blocking=False)
            with contextlib.suppress(Timeout):
                lock.acquire()
                return gpu, lock
    raise AssertionError
