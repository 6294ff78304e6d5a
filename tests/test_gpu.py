"""Each job on a machine has a GPU of its own: jobs are processes here, and GPUs are numbers."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import torch

from negsamp.errors import InputError
from negsamp.gpu import own_gpu

JOB = """\
import os, sys
from negsamp.gpu import own_gpu
with own_gpu(1):
    print(os.environ["CUDA_VISIBLE_DEVICES"], flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _three_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4, 5,GPU-6")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)


@contextmanager
def job() -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A job that runs until it is left, and the GPU that it was given."""
    with subprocess.Popen(
        [sys.executable, "-c", JOB], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip(), process


def test_jobs_at_the_same_time_have_gpus_of_their_own() -> None:
    with ExitStack() as stack:
        assert [stack.enter_context(job())[0] for _ in range(3)] == ["4", "5", "GPU-6"]


def test_more_jobs_than_gpus_are_spread() -> None:
    with ExitStack() as stack:
        assert [stack.enter_context(job())[0] for _ in range(5)] == ["4", "5", "GPU-6", "4", "5"]


def test_a_killed_job_leaves_its_gpu() -> None:
    with job() as (first, process), job() as (second, _):
        assert (first, second) == ("4", "5")
        process.send_signal(signal.SIGKILL)
        process.wait()
        with job() as (third, _):
            assert third == "4"


def test_what_was_visible_is_visible_again() -> None:
    with own_gpu(1):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "4"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "4, 5,GPU-6"
    with own_gpu(1):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "4"


def test_a_job_that_asks_for_none_sees_what_there_is() -> None:
    with own_gpu(0):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "4, 5,GPU-6"


@pytest.mark.parametrize("given", ["", "3"])
def test_what_a_scheduler_has_given_is_kept(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    with own_gpu(1):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == given


def test_without_a_word_all_of_the_machine_are_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with own_gpu(1), job() as (other, _):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"
        # the other job inherits what this one sees
        assert other == "0"
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


def test_a_folder_of_another_user_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / f"negsamp-gpus-{os.getuid()}").symlink_to(tmp_path / "theirs")
    with pytest.raises(InputError, match="belongs to another user; set TMPDIR"), own_gpu(1):
        pass
    assert list((tmp_path / "theirs").iterdir()) == []
