"""Work in a process of its own, so that one that is killed for memory can be told from one that fails."""

import ctypes
import logging
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

# the first optimizer imports this, for a second: once here, instead of in every fork
import torch._dynamo

from negsamp.errors import InputError, Killed
from negsamp.hpo.training import Outcome, Training
from negsamp.io import read_json, write_json

__all__ = ["NO_COST", "run_forked", "run_isolated"]

logger = logging.getLogger(__name__)

#: of a training that nobody could measure
NO_COST: dict[str, Any] = dict.fromkeys(("training_s", "sampling_s", "evaluation_s", "peak_memory_mb", "elapsed_s"))

#: options of the GNU C library's ``mallopt``, their numbers and values: keep what is freed, in one place for all
_KEEP = {"M_TRIM_THRESHOLD": (-1, 2**31 - 1), "M_MMAP_MAX": (-4, 0), "M_ARENA_MAX": (-8, 1)}


def run_isolated(training: Training, threads: int) -> Outcome:
    """Run a training in a forked process.

    :param training: the training
    :param threads: torch threads; sums differ between thread counts, so results do too

    :raises InputError: if the training cannot start from what it is given
    :raises Killed: if it is killed, which says nothing of its setting
    :raises RuntimeError: if it ends in an error that is no result
    """
    start = time.perf_counter()
    outcome = Outcome(*run_forked(f"the training of {training.study}", training.run, threads))
    return outcome._replace(cost={**outcome.cost, "elapsed_s": time.perf_counter() - start})


def run_forked(name: str, work: Callable[[], Any], threads: int) -> Any:
    """Do some work in a forked process.

    The fork inherits what was imported, and costs milliseconds. This process must not have used a GPU before.

    :param name: what it is, for the log
    :param work: returns what JSON can hold
    :param threads: torch threads

    :raises InputError: if the work raises one
    :raises Killed: if the process is killed
    :raises RuntimeError: if the work ends in another error
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "outcome.json"
        process = multiprocessing.get_context("fork").Process(target=_run, args=(name, work, threads, path))
        process.start()
        process.join()
        answer = read_json(path) if process.exitcode == 0 else None
    if answer is not None and answer["refused"] is not None:
        raise InputError(answer["refused"])
    if answer is not None:
        return answer["result"]
    if process.exitcode is None or process.exitcode > 0:
        raise RuntimeError(f"{name} ended in an error, see above")
    by = signal.Signals(-process.exitcode).name
    raise Killed(f"{name} was killed by {by}" + (" (out of memory?)" if by == "SIGKILL" else ""))


def _run(name: str, work: Callable[[], Any], threads: int, path: Path) -> None:
    _keep_freed_memory()
    # whatever PyKEEN writes in between goes with the folder, also where this process is killed
    tempfile.tempdir = str(path.parent)
    threading.Thread(target=_end_with_parent, args=(os.getppid(), path.parent), daemon=True).start()
    answer: dict[str, Any] = {"result": None, "refused": None}
    try:
        # in a new thread: OpenMP takes the one that forked for the master of a team that did not come along, and would
        # wait for it for ever
        with ThreadPoolExecutor(max_workers=1, initializer=torch.set_num_threads, initargs=(threads,)) as executor:
            answer["result"] = executor.submit(work).result()
    except InputError as error:
        answer["refused"] = str(error)
    except Exception:
        logger.exception("%s ended in an error", name)
        raise
    try:
        write_json(path, answer)
    except InputError as error:
        # the answer itself finds no room
        logger.error("%s: %s", name, error)
        sys.exit(1)


def _end_with_parent(parent: int, folder: Path) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    # who would have taken it away is gone
    shutil.rmtree(folder, ignore_errors=True)
    os.kill(os.getpid(), signal.SIGKILL)


def _keep_freed_memory() -> None:
    """Let the C library keep large blocks that are freed, which it would give back to the system and ask for again.

    Gradients as long as the entities come and go with each batch; to have their pages zeroed by the system each time is
    a fifth of an epoch of TransE on WN18. Blocks of more than 64 MB are kept only if no other thread of the parent has
    asked for memory.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        for option, value in _KEEP.values():
            mallopt(option, value)
