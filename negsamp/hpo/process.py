"""A training in a process of its own, so that one that is killed does not take the others with it."""

import multiprocessing
import os
import signal
import tempfile
import threading
import time
from pathlib import Path

import torch

# the first optimizer imports this, for a second: once here, instead of in every fork
import torch._dynamo

from negsamp.hpo.training import Outcome, Training
from negsamp.io import read_json, write_json

__all__ = ["run_isolated", "was_killed"]

_KILLED = "killed by "


def run_isolated(training: Training, threads: int) -> Outcome:
    """Run a training in a forked process; one that is killed is recorded by this, its parent.

    The fork inherits what was imported, and costs milliseconds. This process must not have used a GPU before.

    :param training: the training
    :param threads: torch threads; sums differ between thread counts, so results do too

    :raises RuntimeError: if the training ends in an error that is no result
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "outcome.json"
        process = multiprocessing.get_context("fork").Process(target=_run, args=(training, threads, path))
        process.start()
        process.join()
        if process.exitcode == 0:
            record, cost = read_json(path)
            return record, cost
    if process.exitcode is None or process.exitcode > 0:
        raise RuntimeError(f"{training.study}: the training ended in an error, see above")
    name = signal.Signals(-process.exitcode).name
    reason = f"{_KILLED}{name}" + (" (out of memory?)" if name == "SIGKILL" else "")
    cost = dict.fromkeys(("training_s", "evaluation_s", "peak_memory_mb"))
    return training.record(None, reason, None), cost


def was_killed(outcome: Outcome) -> bool:
    """Tell whether the training was cut off from outside, and may well finish another time."""
    return (outcome[0]["reason"] or "").startswith(_KILLED)


def _run(training: Training, threads: int, path: Path) -> None:
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    torch.set_num_threads(threads)
    write_json(path, training.run())


def _end_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGKILL)
