"""kill -9 at random moments: the next run goes on, repeats no finished trial, and comes to the same bytes."""

import itertools
import os
import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest
from faulty import ARGUMENTS, copy
from repository import command, environment, finished_trials, planned, results, snakemake

pytestmark = pytest.mark.faults


def started(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command("--cores", "2", *ARGUMENTS),
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(),
        start_new_session=True,
    )


def trainings_of(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Find the processes that train: forks of a process that runs a script."""
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            line = child.cmdline()
            if any(".snakemake/scripts" in part for part in line) and child.parent().cmdline() == line:
                found.append(child)
        except (psutil.NoSuchProcess, AttributeError):
            continue
    return found


def kill_workflow(process: subprocess.Popen[bytes]) -> bool:
    """Kill Snakemake with all its jobs."""
    if process.poll() is not None:
        return False
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return True


def kill_snakemake(process: subprocess.Popen[bytes]) -> bool:
    """Kill Snakemake alone, and let its jobs come to their end."""
    if process.poll() is not None:
        return False
    jobs = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    psutil.wait_procs(jobs)
    return True


def kill_training(process: subprocess.Popen[bytes]) -> bool:
    """Kill the first training that is seen, and let the workflow come to its end."""
    while process.poll() is None:
        for training in trainings_of(process):
            training.kill()
            process.wait()
            return True
        time.sleep(0.02)
    return False


def test_killed_at_random_moments(undisturbed: tuple[dict[str, bytes], float], tmp_path: Path, kills: int) -> None:
    expected, seconds = undisturbed
    moments = random.Random(kills)
    killed: Counter[str] = Counter()
    for number in itertools.count():
        if killed.total() >= kills:
            break
        folder, kept = copy(tmp_path / f"run-{number}"), {}
        # at every stage of a run: several times, each later than the one before
        for _ in range(min(moments.randint(1, 4), kills - killed.total())):
            process = started(folder)
            time.sleep(moments.uniform(0, seconds / 2))
            kill = moments.choice([kill_workflow, kill_workflow, kill_snakemake, kill_training, kill_training])
            killed[kill.__name__] += kill(process)
            now = finished_trials(folder)
            assert kept.items() <= now.items()
            kept = now
            # what a user is told to do after a crash
            assert snakemake(folder, "--unlock", *ARGUMENTS).returncode == 0
        result = snakemake(folder, *ARGUMENTS)
        assert result.returncode == 0, result.stdout + result.stderr
        assert results(folder, "faults") == expected
        assert kept.items() <= finished_trials(folder).items()
        assert planned(folder, *ARGUMENTS) == {}
        print(f"killed {dict(killed)}")  # noqa: T201


def test_a_killed_training_is_told_in_a_line(undisturbed: tuple[dict[str, bytes], float], tmp_path: Path) -> None:
    folder = copy(tmp_path / "told")
    process = started(folder)
    assert kill_training(process)
    assert process.returncode != 0
    logs = "".join(path.read_text() for path in folder.glob("results/faults/logs/**/*.log"))
    assert "was killed by SIGKILL (out of memory?); what is finished is kept: run again, with more memory" in logs
    assert snakemake(folder, *ARGUMENTS).returncode == 0
    assert results(folder, "faults") == undisturbed[0]


@pytest.mark.parametrize("cores", [1, 2])
def test_neither_time_nor_cores_change_a_byte(
    cores: int, undisturbed: tuple[dict[str, bytes], float], tmp_path: Path
) -> None:
    folder = copy(tmp_path / "again")
    result = snakemake(folder, *ARGUMENTS, cores=cores)
    assert result.returncode == 0, result.stdout + result.stderr
    assert results(folder, "faults") == undisturbed[0]
