"""What is installed: environments agree with pyproject.toml, and what is built works in an empty environment."""

import subprocess
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from repository import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DEPENDENCIES = {requirement.name: requirement for requirement in map(Requirement, PROJECT["dependencies"])}
PINNED = {
    requirement.name.lower().replace("_", "-"): requirement
    for requirement in map(Requirement, (ROOT / "constraints.txt").read_text().splitlines()[1:])
}


def test_the_environment_of_the_scripts_holds_the_dependencies() -> None:
    """Those that the command line and Snakemake itself need are not among them, and neither is the package."""
    packages = yaml.safe_load((ROOT / "envs/negsamp.yaml").read_text())["dependencies"]
    (found,) = (entry["pip"] for entry in packages if isinstance(entry, dict))
    pinned = {requirement.name: requirement for requirement in map(Requirement, found)}
    assert pinned.keys() == DEPENDENCIES.keys() - {"click", "snakemake"}
    for name, requirement in pinned.items():
        assert requirement.specifier == PINNED[name].specifier
        (version,) = (specifier.version for specifier in requirement.specifier)
        assert version in DEPENDENCIES[name].specifier


def test_what_was_tested_together_is_allowed() -> None:
    extras = [requirement for extra in PROJECT["optional-dependencies"].values() for requirement in extra]
    for requirement in map(Requirement, [*PROJECT["dependencies"], *extras]):
        if requirement.name != "negsamp":
            (version,) = (specifier.version for specifier in PINNED[requirement.name.lower()].specifier)
            assert version in requirement.specifier


def test_versions_agree() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]


def test_every_config_is_listed() -> None:
    page = (ROOT / "configs/README.md").read_text()
    for config in (ROOT / "configs").glob("*.yaml"):
        assert f"| `{config.name}` |" in page


def built(pattern: str) -> Path:
    (found,) = (ROOT / "dist").glob(pattern)
    return found


#: run in an empty folder, so that nothing of the repository is in reach
SMOKE = """
from pykeen.datasets import get_dataset
from pykeen.pipeline import pipeline
from negsamp.results.page import index_page

result = pipeline(
    dataset="synthetic",
    model="TransE",
    negative_sampler="typed",
    negative_sampler_kwargs={"schema": "synthetic", "fallback": "semantic"},
    training_kwargs={"num_epochs": 1, "batch_size": 500},
)
assert result.get_metric("mrr") > 0
assert get_dataset(dataset="nations").num_entities == 14
assert "<title>empty</title>" in index_page([], [], title="empty", chapters={}, samplers=[])
"""


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Path:
    """An environment that holds torch, which the README tells to install first and by itself."""
    environment = tmp_path_factory.mktemp("environment")
    subprocess.run([pytestconfig.getoption("interpreter"), "-m", "venv", environment], check=True)
    install(environment, "torch")
    return environment


def install(environment: Path, wanted: str | Path) -> None:
    command = ["pip", "install", "--quiet", "--constraint", ROOT / "constraints.txt", wanted]
    subprocess.run([environment / "bin/python", "-m", *command], check=True)


@pytest.mark.package
@pytest.mark.parametrize("pattern", ["negsamp-*.whl", "negsamp-*.tar.gz"])
def test_what_is_built_works_in_an_empty_environment(pattern: str, empty: Path, tmp_path: Path) -> None:
    subprocess.run([empty / "bin/python", "-m", "pip", "uninstall", "--quiet", "--yes", "negsamp"], check=True)
    install(empty, built(pattern))
    for command in (
        ["python", "-m", "pip", "check"],
        ["negsamp", "--version"],
        ["negsamp", "pools", "synthetic"],
        ["negsamp", "sample", "nations", "--sampler", "relational"],
        ["negsamp", "advise", "nations"],
        ["python", "-c", SMOKE],
    ):
        subprocess.run([empty / "bin" / command[0], *command[1:]], check=True, cwd=tmp_path)


@pytest.mark.package
def test_the_wheel_holds_the_package_alone_and_the_sdist_its_licence() -> None:
    with zipfile.ZipFile(built("negsamp-*.whl")) as wheel:
        names = wheel.namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"negsamp", "negsamp_for_pykeen.py"}
    # all that git has in the package, data among it
    tracked = subprocess.run(["git", "ls-files", "negsamp"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {*tracked.stdout.split()} <= {*names}
    with tarfile.open(built("negsamp-*.tar.gz")) as sdist:
        files = {name.partition("/")[2] for name in sdist.getnames()}
    assert {"LICENSE", "README.md", "pyproject.toml", "negsamp/py.typed"} <= files
