"""The real workflow on a real Slurm, by the profile that users take."""

import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from repository import ROOT, SMALL, command, copy_repository, environment, finished_trials, results, snakemake

pytestmark = pytest.mark.cluster

#: what differs from the profile: there is no accounting database, and nothing to be gained by patience
HERE = (
    "--slurm-no-account",
    "--slurm-status-command=squeue",
    "--slurm-init-seconds-before-status-checks=5",
    "--latency-wait=15",
)
#: CPU and GPU partitions side by side, as docs/cluster.md has them
PARTITIONS = """\
partitions:
  long:
    max_runtime: 2d
    max_gpu: 0
  accelerated:
    max_runtime: 2d
    max_gpu: 1
"""
TRAIN = {"train_auxiliary", "run_trials", "retrain"}


@pytest.fixture
def folder(slurm: None, tmp_path: Path) -> Iterator[Path]:
    copy_repository(tmp_path)
    yield tmp_path
    # a run that a test gave up would submit again what is cancelled
    for process in psutil.process_iter(["cwd"]):
        if process.info["cwd"] == str(tmp_path):
            process.kill()
    subprocess.run(["scancel", "--user=root"], check=False)


def start(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    with (folder / "output.txt").open("wb") as output:
        return subprocess.Popen(
            command("--profile", "profiles/slurm", *HERE, *arguments),
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
            # the working directory is the one place that may be written to
            env=environment(HOME="/proc/nowhere", XDG_CACHE_HOME=str(folder / ".snakemake/cache")),
            start_new_session=True,
        )


def output_of(folder: Path) -> str:
    return (folder / "output.txt").read_text()


def run(folder: Path, *arguments: str) -> str:
    code = start(folder, *arguments).wait()
    assert code == 0, output_of(folder)
    return output_of(folder)


def local_results(folder: Path, name: str, *arguments: str) -> dict[str, bytes]:
    copy_repository(folder)
    result = snakemake(folder, *arguments)
    assert result.returncode == 0, result.stdout + result.stderr
    return results(folder, name)


def submitted(folder: Path) -> dict[str, list[dict[str, str]]]:
    """Return what Slurm knows of the jobs of each rule that were submitted from a folder."""
    told = subprocess.run(["scontrol", "--oneliner", "show", "job"], capture_output=True, text=True, check=True).stdout
    jobs: dict[str, list[dict[str, str]]] = {}
    for line in told.splitlines():
        fields = dict(part.partition("=")[::2] for part in line.split() if "=" in part)
        if fields["WorkDir"] == str(folder):
            jobs.setdefault(re.match(r"rule_([a-z_]+?)(_wildcards|$)", fields["Comment"])[1], []).append(fields)
    return jobs


def squeue(*arguments: str) -> list[str]:
    told = subprocess.run(["squeue", "--noheader", "--array", *arguments], capture_output=True, text=True, check=True)
    return told.stdout.split("\n")[:-1]


def killed(folder: Path) -> list[dict[str, str]]:
    # jobs fail for no other reason here; Slurm calls the steps of a job that gets a signal cancelled
    return [job for jobs in submitted(folder).values() for job in jobs if job["JobState"] in {"FAILED", "CANCELLED"}]


@pytest.mark.parametrize(
    "name", [pytest.param("small"), pytest.param("default", marks=pytest.mark.slow, id="the embedded default")]
)
def test_the_results_are_those_of_a_local_run(
    name: str, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    overlay = folder / "small.yaml"
    overlay.write_text(SMALL)
    arguments = ("--configfile", str(overlay)) if name == "small" else ()
    run(folder, *arguments)
    found = results(folder, name)
    assert {f"tables/link_prediction/{dataset}.md" for dataset in ("nations", "synthetic")} <= found.keys()
    expected = local_results(tmp_path_factory.mktemp("local"), name, *arguments)
    assert found.keys() == expected.keys()
    assert [path for path in found if found[path] != expected[path]] == []


def test_trainings_go_to_gpus_and_the_rest_does_not(folder: Path) -> None:
    (folder / "partitions.yaml").write_text(PARTITIONS)
    assert PARTITIONS in (ROOT / "docs/cluster.md").read_text()
    (folder / "small.yaml").write_text(SMALL + "compute: {gpu: 1}\n")
    output = run(folder, "--configfile", "small.yaml", "--slurm-partition-config", "partitions.yaml")
    jobs = submitted(folder)
    assert jobs.keys() >= {*TRAIN, "build_pools", "make_table"}
    for rule, of_rule in jobs.items():
        for job in of_rule:
            assert job["Partition"] == ("accelerated" if rule in TRAIN else "long")
            assert ("gres:gpu:1" in job.get("TresPerJob", "")) is (rule in TRAIN)
    # jobs that are ready together are one submission
    assert output.count("Submitted array job") < sum("ArrayTaskId" in job for jobs in jobs.values() for job in jobs)


@pytest.mark.slow
def test_a_killed_job_is_submitted_again(folder: Path, tmp_path_factory: pytest.TempPathFactory, kills: int) -> None:
    """Jobs are killed at random moments; the run goes on, and its results are those of a run that nothing disturbed."""
    # two trials a job: one may be finished as the other is killed
    (folder / "small.yaml").write_text(SMALL.replace("trials: 2, trials_per_job: 1", "trials: 4, trials_per_job: 2"))
    moments, kept = random.Random(0), {}
    process = start(folder, "--configfile", "small.yaml", "--retries=10")
    while process.poll() is None:
        time.sleep(moments.uniform(2, 15))
        now = finished_trials(folder)
        assert kept.items() <= now.items()
        kept = now
        running = squeue("--states=R", "--format=%i")
        # what has ended before the signal came was not killed
        if running and len(killed(folder)) < kills:
            subprocess.run(["scancel", "--signal=KILL", "--full", moments.choice(sorted(running))], check=False)
    assert process.returncode == 0, output_of(folder)
    assert kept.items() <= finished_trials(folder).items()
    assert len(killed(folder)) >= kills, output_of(folder)
    expected = local_results(tmp_path_factory.mktemp("local"), "small", "--configfile", str(folder / "small.yaml"))
    assert results(folder, "small") == expected


@pytest.mark.slow
def test_a_killed_workflow_goes_on(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    (folder / "small.yaml").write_text(SMALL)
    process = start(folder, "--configfile", "small.yaml")
    while not list(folder.glob("results/small/hpo/**/trials-0.jsonl")):
        assert process.poll() is None, output_of(folder)
        time.sleep(1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    # its jobs go on in Slurm, and are waited for as a user would
    while squeue():
        time.sleep(1)
    assert snakemake(folder, "--unlock").returncode == 0
    run(folder, "--configfile", "small.yaml")
    expected = local_results(tmp_path_factory.mktemp("local"), "small", "--configfile", str(folder / "small.yaml"))
    assert results(folder, "small") == expected
