"""What is installed: environments agree with pyproject.toml, and what is built works in an empty environment."""

import tomllib

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
