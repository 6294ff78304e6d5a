"""A training in a process of its own."""

import json
import multiprocessing
import os
import platform
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from negsamp import errors
from negsamp.bench.machine import memory
from negsamp.hpo import Training
from negsamp.hpo.process import run_isolated
from negsamp.hpo.training import Outcome
from negsamp.io import job_log

Make = Callable[..., Training]


class Killed(Training):
    """Ends as the system's out-of-memory killer would end it."""

    signal = signal.SIGKILL

    def run(self) -> Outcome:
        os.kill(os.getpid(), self.signal)
        time.sleep(60)
        raise AssertionError


class Terminated(Killed):
    signal = signal.SIGTERM


class Failing(Training):
    def run(self) -> Outcome:
        raise ZeroDivisionError("something unforeseen")


class Counting(Training):
    """Tells how many threads it has, and which process it is."""

    def run(self) -> Outcome:
        return Outcome(self.record(reason="none"), {"threads": torch.get_num_threads(), "pid": os.getpid()}, None)


class Freeing(Training):
    """Tells how much memory a tensor takes, and how much of it the process holds once it is freed, in MB."""

    def run(self) -> Outcome:
        before = memory()["resident_mb"]
        large = torch.ones(10_000_000)
        held = memory()["resident_mb"]
        del large
        return Outcome(
            self.record(reason="none"), {"held": held - before, "kept": memory()["resident_mb"] - before}, None
        )


class Sleeping(Training):
    def run(self) -> Outcome:
        time.sleep(60)
        raise AssertionError


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("cls", "reason"),
    [(Killed, r"killed by SIGKILL \(out of memory\?\)"), (Terminated, "killed by SIGTERM")],
)
def test_a_killed_training_is_no_result(cls: type[Training], reason: str, make_training: Make) -> None:
    with pytest.raises(errors.Killed, match=rf"^the training of Study\(dataset='nations', .*\) was {reason}$"):
        run_isolated(make_training(cls=cls), 1)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only the GNU C library is told to keep memory")
def test_freed_memory_is_kept_for_the_next_batch(make_training: Make) -> None:
    _, cost, _ = run_isolated(make_training(cls=Freeing), 1)
    assert cost["held"] == pytest.approx(40, rel=0.3)
    assert cost["kept"] > 0.9 * cost["held"]


def test_an_error_is_no_result(make_training: Make, capfd: pytest.CaptureFixture) -> None:
    with pytest.raises(RuntimeError, match=r"the training of .*TransE.* ended in an error, see above"):
        run_isolated(make_training(cls=Failing), 1)
    assert "ZeroDivisionError: something unforeseen" in capfd.readouterr().err


# Python 3.12 warns of it here, where the tests themselves have threads; a job has none when it forks
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_an_answer_that_finds_no_room_is_told_in_a_line(
    make_training: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: object) -> None:
        raise errors.InputError(f"{path}: cannot be written (No space left on device)")

    monkeypatch.setattr("negsamp.hpo.process.write_json", full)
    job = SimpleNamespace(log=[tmp_path / "job.log"], rule="retrain", input=[], params={})
    with pytest.raises(RuntimeError, match="ended in an error, see above"), job_log(job):
        run_isolated(make_training(cls=Counting), 1)
    told = (tmp_path / "job.log").read_text().splitlines()[1]
    assert told.endswith("outcome.json: cannot be written (No space left on device)")


def test_a_training_gets_its_threads_and_leaves_its_parents_alone(make_training: Make, two_threads: None) -> None:
    for threads in (1, 3):
        _, cost, _ = run_isolated(make_training(cls=Counting), threads)
        assert cost["threads"] == threads
        assert cost["pid"] != os.getpid()
    assert torch.get_num_threads() == 2


def test_a_process_of_its_own_changes_nothing_in_the_record(make_training: Make, two_threads: None) -> None:
    training = make_training("DistMult", "corrupt", sampling={"fallback": "random"})
    state = torch.get_rng_state()
    isolated, cost, _ = run_isolated(training, 1)
    # the generator of this process is not touched
    assert torch.equal(torch.get_rng_state(), state)
    torch.set_num_threads(1)
    assert json.dumps(isolated, sort_keys=True) == json.dumps(training.run()[0], sort_keys=True)
    assert cost["training_s"] > 0
    assert cost["peak_memory_mb"] > 0


def test_a_training_ends_with_its_parent_and_leaves_nothing(
    make_training: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    # the pipe is at its end when every process that can write to it is gone
    reading, writing = os.pipe()
    parent = multiprocessing.get_context("fork").Process(target=run_isolated, args=(make_training(cls=Sleeping), 1))
    parent.start()
    os.close(writing)
    time.sleep(1)
    assert select.select([reading], [], [], 0)[0] == []
    parent.kill()
    parent.join()
    try:
        assert select.select([reading], [], [], 10)[0] == [reading]
        assert os.read(reading, 1) == b""
    finally:
        os.close(reading)
    assert list(tmp_path.iterdir()) == []


THREADS = """
import sys, torch
from negsamp.hpo import Training
from negsamp.hpo.process import run_isolated

class Sorting(Training):
    def run(self):
        return {"sorted": len(torch.rand(1_000_000).sort().values)}, {}, None

torch.set_num_threads(2)
torch.rand(1_000_000).sort()  # as the reading of a large data set does
record, _, _ = run_isolated(Sorting(None, None, {}, 0, None, None, "validation"), 2)
sys.stdout.write(str(record["sorted"]))
"""


def test_several_threads_before_and_in_a_training_do_not_lock_up() -> None:
    result = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, text=True, timeout=120, check=True)
    assert result.stdout == "1000000"
