"""Every command that the README and the pages show is understood, and prints what is shown below it."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner
from repository import ROOT, copy_repository, environment, snakemake

from negsamp.cli import main
from negsamp.datasets import load_dataset, write_folder

PAGES = [ROOT / "README.md", ROOT / "configs/README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\S*).*?\n(.*?)^```", re.DOTALL | re.MULTILINE)
#: what a command line may name that is not in the repository
GRAPH, ARCHIVES = "my-graph", "path/to/archives"
#: the rest of an output is left out
AND_SO_ON = "…"
#: not run here, and why
ELSEWHERE = {
    "pip": "make package installs, and so does CI",
    "python3.11": "likewise",
    "export": "a shell's own",
    "source": "likewise",
    "eval": "completion has tests of its own, in tests/cli",
    "negsamp | source": "likewise",
    "optuna-dashboard": "another project's",
    "snakemake --report": "tests/workflow opens the report",
}


#: understood here, and run elsewhere
HEAVY = {"bench": "tests/bench", "plan": "tests/test_plan.py"}


class Shown(NamedTuple):
    page: str
    #: its words, without variables of the environment
    words: tuple[str, ...]
    #: the lines below it
    output: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join([self.page, *self.words])


def commands() -> list[Shown]:
    found = {}
    for page in PAGES:
        for language, content in BLOCK.findall(page.read_text(encoding="utf-8")):
            if language != "console":
                continue
            for part in re.split(r"^\$ ", content, flags=re.MULTILINE)[1:]:
                line, *output = part.splitlines()
                words = [word for word in shlex.split(line, comments=True) if not re.fullmatch(r"_?[A-Z_]+=.*", word)]
                shown = Shown(page.stem, tuple(words), tuple(output))
                found[shown.words, shown.output] = shown
    return list(found.values())


def starting_with(*names: str) -> list[Shown]:
    return [shown for shown in commands() if shown.words[0] in names and " ".join(shown.words) not in ELSEWHERE]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository with what the pages tell to put there."""
    folder = tmp_path_factory.mktemp("repository")
    copy_repository(folder)
    shutil.copytree(ROOT / "configs", folder / "configs")
    shutil.copytree(ROOT / "benchmarks", folder / "benchmarks", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "docs/results", folder / "docs/results")
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    (folder / ARCHIVES).mkdir(parents=True)
    # as the target graph_structure writes it
    evidence = folder / "results/graph-structure/open_questions/evidence.csv"
    evidence.parent.mkdir(parents=True)
    shutil.copy(ROOT / "negsamp/advice/generated.csv", evidence)
    write_folder(load_dataset("synthetic"), folder / GRAPH)
    for page in PAGES:
        for language, content in BLOCK.findall(page.read_text(encoding="utf-8")):
            if language == "yaml" and (name := re.match(r"# (configs/\S+)", content)):
                (folder / name[1]).write_text(content)
            elif language == "yaml" and content.startswith("partitions:"):
                (folder / "partitions.yaml").write_text(content)
    return folder


def test_every_command_is_looked_at() -> None:
    known = {"negsamp", "snakemake", "make", "python", *(name.split()[0] for name in ELSEWHERE)}
    assert {shown.words[0] for shown in commands()} <= known


def test_every_block_has_a_language_that_is_looked_at() -> None:
    """Python and YAML by test_pages.py and test_readme.py; one without a language is a drawing or an output."""
    found = {language for page in PAGES for language, _ in BLOCK.findall(page.read_text(encoding="utf-8"))}
    assert found <= {"", "python", "yaml", "console", "text", "{include}", "{toctree}", "{note}"}


def paths_expanded(words: tuple[str, ...], folder: Path) -> list[str]:
    """Expand patterns of files as a shell does."""
    expanded = []
    for word in words:
        expanded += sorted(str(path.relative_to(folder)) for path in folder.glob(word)) if "*" in word else [word]
    return expanded


@pytest.mark.parametrize("shown", starting_with("negsamp"), ids=str)
def test_negsamp_understands(shown: Shown, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workspace)
    name, *arguments = paths_expanded(shown.words[1:], workspace)
    # raises for options that there are not, and for files that are missing
    main.commands[name].make_context(name, arguments)


def light() -> list[Any]:
    found = [shown for shown in starting_with("negsamp") if shown.words[1] not in HEAVY]
    return [pytest.param(shown, marks=[pytest.mark.mirror] * ("wn18" in shown.words)) for shown in found]


@pytest.mark.parametrize("shown", light(), ids=str)
def test_negsamp_prints(shown: Shown, workspace: Path, request: pytest.FixtureRequest) -> None:
    at_hand = f"{request.getfixturevalue('mirror')}" if "wn18" in shown.words else ""
    request.getfixturevalue("monkeypatch").chdir(workspace)
    name, *arguments = paths_expanded(shown.words[1:], workspace)
    result = CliRunner(env={"NEGSAMP_MIRROR": at_hand}).invoke(main, [name, *arguments])
    assert result.exit_code == 0, result.output
    if shown.output:
        printed = [line.rstrip() for line in result.stdout.splitlines()]
        expected = [line.rstrip() for line in shown.output]
        if expected[-1] == AND_SO_ON:
            expected = expected[:-1]
            printed = printed[: len(expected)]
        assert printed == expected


@pytest.mark.parametrize(
    "shown", [shown for shown in starting_with("snakemake") if "--report" not in shown.words], ids=str
)
def test_snakemake(shown: Shown, workspace: Path) -> None:
    _, *arguments = shown.words
    result = snakemake(workspace, "--dry-run", "--quiet", "all", *arguments)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("shown", starting_with("make", "python"), ids=str)
def test_make_and_python(shown: Shown, workspace: Path) -> None:
    program, *arguments = shown.words
    command = ["make", "--dry-run", *arguments] if program == "make" else [sys.executable, *arguments, "--help"]
    result = subprocess.run(command, cwd=workspace, capture_output=True, text=True, check=False, env=environment())
    assert result.returncode == 0, result.stderr
