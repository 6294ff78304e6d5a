"""No room, damaged files, trials that fail, results of another making: a clear line, nothing half made, and a rerun."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from faulty import ARGUMENTS, CONFIG, copy
from repository import planned, results, snakemake

pytestmark = pytest.mark.faults

Undisturbed = tuple[dict[str, bytes], float]
STUDY = "results/faults/hpo/nations/TransE/random/3"
FINAL = "results/faults/final/nations/TransE/random/3/seed-0.json"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, undisturbed: Undisturbed) -> Path:
    folder = copy(tmp_path_factory.mktemp("finished") / "run")
    assert snakemake(folder, *ARGUMENTS).returncode == 0
    return folder


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """A finished run of one's own: files keep their times."""
    return Path(shutil.copytree(finished, tmp_path / "run", symlinks=True))


def fails(folder: Path, *arguments: str) -> str:
    result = snakemake(folder, *ARGUMENTS, *arguments)
    assert result.returncode != 0
    output = result.stdout + result.stderr
    assert "Traceback" not in output
    # no write was left half done
    assert not list(folder.glob("results/**/.[0-9]*"))
    assert not list(folder.glob("resources/**/.[0-9]*"))
    return output


def recovers(folder: Path, expected: dict[str, bytes]) -> None:
    result = snakemake(folder, *ARGUMENTS)
    assert result.returncode == 0, result.stdout + result.stderr
    assert results(folder, "faults") == expected
    assert planned(folder, *ARGUMENTS) == {}


@contextmanager
def file_system(folder: Path, options: str) -> Iterator[None]:
    """A file system of its own, in memory."""
    folder.mkdir(parents=True)
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


@pytest.mark.parametrize(
    ("bad", "good", "message"),
    [
        ("size=200k", "size=100m", "cannot be written (No space left on device); make room"),
        ("ro", "rw", "Read-only file system"),
    ],
    ids=["full disk", "read only"],
)
def test_results_that_cannot_be_written(
    bad: str, good: str, message: str, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    copy(tmp_path)
    with file_system(tmp_path / "results", bad):
        assert message in fails(tmp_path)
        remount(tmp_path / "results", good)
        recovers(tmp_path, undisturbed[0])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[: len(content) // 2], "expected"),
        (lambda content: content[:-1] + b"!", "expected"),
        (lambda content: b"<!DOCTYPE html><html>404</html>", "a web page, not the archive"),
    ],
    ids=["cut off", "another", "a page"],
)
def test_a_mirror_with_a_damaged_archive(damage, message: str, mirror: Path, tmp_path: Path) -> None:
    copy(tmp_path)
    archive, good = tmp_path / "mirror/CODEX-S.zip", mirror / "CODEX-S.zip"
    archive.parent.mkdir()
    archive.write_bytes(damage(good.read_bytes()))
    arguments = ("--config", "datasets=[codex-s]", f"mirror={archive.parent}")
    target = ("--", "resources/datasets/codex-s/report.json")
    output = fails(tmp_path, *arguments, *target)
    assert str(archive) in output
    assert message in output
    assert not list(tmp_path.glob("resources/archives/*"))
    shutil.copy(good, archive)
    assert snakemake(tmp_path, *ARGUMENTS, *arguments, *target).returncode == 0
    assert json.loads((tmp_path / target[1]).read_text())["splits"]["training"]["lines"] == 32888


@pytest.mark.parametrize(
    "file", [FINAL, f"{STUDY}/trials-0.jsonl", "results/faults/pools/nations/random.statistics.json"]
)
def test_a_file_cut_in_half(file: str, folder: Path, undisturbed: Undisturbed) -> None:
    path = folder / file
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert file in fails(folder)
    path.unlink()
    recovers(folder, undisturbed[0])


def test_a_kept_trial_cut_in_half_is_trained_again(folder: Path, undisturbed: Undisturbed) -> None:
    parts = sorted(folder.glob(f"{STUDY}/parts/*.json"))
    for path in parts:
        path.write_bytes(path.read_bytes()[:100])
    for path in folder.glob(f"{STUDY}/trials-*"):
        path.unlink()
    recovers(folder, undisturbed[0])
    assert [json.loads(path.read_text())[0]["state"] for path in parts] == ["complete"] * len(parts)


def test_trials_that_diverge_are_results(tmp_path: Path) -> None:
    copy(tmp_path)
    (tmp_path / "faults.yaml").write_text(
        CONFIG.replace("trials: 4,", "trials: 4, space: {learning_rate: [1.0e+30], margin: [1.0], l2_weight: [1.0]},")
    )
    result = snakemake(tmp_path, *ARGUMENTS)
    assert result.returncode == 0, result.stdout + result.stderr
    (line, *_) = (tmp_path / STUDY / "trials-0.jsonl").read_text().splitlines()
    assert json.loads(line)["state"] == "failed"
    assert "diverged" in json.loads(line)["reason"]
    assert "NaN" not in "".join(path.read_text() for path in tmp_path.glob("results/faults/**/*.json*"))


def test_results_without_snakemakes_notes_are_known_by_their_logs(folder: Path, undisturbed: Undisturbed) -> None:
    shutil.rmtree(folder / ".snakemake/metadata")
    before = (folder / STUDY / "trials-0.jsonl").stat().st_mtime_ns
    (folder / FINAL).unlink()
    recovers(folder, undisturbed[0])
    assert (folder / STUDY / "trials-0.jsonl").stat().st_mtime_ns == before


@pytest.mark.parametrize("change", ["config", "code", "logs"])
def test_results_of_unknown_making_are_not_mixed_in(change: str, folder: Path, undisturbed: Undisturbed) -> None:
    shutil.rmtree(folder / ".snakemake/metadata")
    match change:
        case "config":
            (folder / "faults.yaml").write_text(CONFIG.replace("epochs: 20", "epochs: 21"))
        case "code":
            another_version(folder)
        case "logs":
            shutil.rmtree(folder / "results/faults/logs")
    (folder / FINAL).unlink()
    assert "nothing tells how it was made" in fails(folder)
    (folder / "faults.yaml").write_text(CONFIG)
    shutil.rmtree(folder / "results")
    shutil.rmtree(folder / "resources")
    recovers(folder, undisturbed[0])


def another_version(folder: Path) -> None:
    rules = folder / "rules/common.smk"
    changed = rules.read_text().replace("name: version_of(name)", "name: f'{version_of(name)}.1'")
    assert changed != rules.read_text()
    rules.write_text(changed)


def test_results_of_another_version_are_made_again(folder: Path) -> None:
    another_version(folder)
    assert planned(folder, *ARGUMENTS).keys() >= {"run_trials", "retrain", "build_pools", "make_table"}


def test_results_of_another_config_are_made_again(folder: Path) -> None:
    (folder / "faults.yaml").write_text(CONFIG.replace("epochs: 20", "epochs: 21"))
    jobs = planned(folder, *ARGUMENTS)
    assert (jobs["run_trials"], jobs["retrain"]) == (4, 2)
    assert "build_pools" not in jobs
