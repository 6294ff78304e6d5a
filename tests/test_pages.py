"""What the pages show runs, prints what they say, and is valid."""

import contextlib
import copy
import importlib
import importlib.util
import io
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

import negsamp

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs"
#: language, content, and the output that follows it, if any
BLOCK = re.compile(r"^```(python|yaml)\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.DOTALL | re.MULTILINE)


def blocks_of(name: str, *languages: str) -> list[tuple[str, str, str]]:
    found = BLOCK.findall((PAGES / f"{name}.md").read_text(encoding="utf-8"))
    return [block for block in found if not languages or block[0] in languages]


#: what the page on own strategies shows has tests of its own, see test_docs.py
WITH_EXAMPLES = sorted(page.stem for page in PAGES.glob("*.md") if blocks_of(page.stem, "python"))
WITH_EXAMPLES.remove("own-strategies")


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_the_examples_of_a_page_run_one_after_another(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    # of experiments that have run
    (tmp_path / "docs").symlink_to(PAGES)
    namespace: dict[str, Any] = {}
    for language, content, shown in blocks_of(name):
        if language == "yaml":
            write_named(content)
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(content, f"{name}.md", "exec"), namespace)  # noqa: S102
        assert printed.getvalue() == shown


def write_named(content: str) -> None:
    """Write a block whose first line is a comment that names the file."""
    path = Path(content.split("\n")[0].removeprefix("# "))
    path.parent.mkdir(exist_ok=True)
    path.write_text(content, encoding="utf-8")


def overlays() -> list[str]:
    found = [block for page in sorted(PAGES.glob("*.md")) for block in blocks_of(page.stem)]
    return [content for language, content, _ in found if language == "yaml" and content.startswith("# configs/")]


@pytest.mark.parametrize("content", overlays(), ids=lambda content: content.split("\n")[0])
def test_configs_on_the_pages_are_valid_over_the_default(content: str) -> None:
    config = copy.deepcopy(yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8")))
    for key, value in yaml.safe_load(content).items():
        config[key] = {**config[key], **value} if isinstance(value, dict) else value
    schema = yaml.safe_load((ROOT / "rules/schemas/config.schema.yaml").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(config)


def test_every_page_is_in_the_table_of_contents() -> None:
    trees = re.findall(r"```\{toctree\}.*?\n\n(.*?)```", (PAGES / "index.md").read_text(encoding="utf-8"), re.DOTALL)
    listed = [page for tree in trees for page in tree.split()]
    pages = {path.stem for path in PAGES.iterdir() if path.suffix in (".md", ".rst", ".ipynb")}
    assert pages == {*listed, "index"}


def test_the_page_on_the_config_is_that_of_the_schema() -> None:
    """As ``python docs/config_page.py`` writes it."""
    spec = importlib.util.spec_from_file_location("config_page", ROOT / "docs/config_page.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.PAGE.read_text() == module.page(yaml.safe_load(module.SCHEMA.read_text()))


def test_all_that_the_package_hands_out_is_in_the_reference() -> None:
    page = (PAGES / "reference.rst").read_text(encoding="utf-8")
    named = {name.split(".")[-1] for name in re.findall(r"^\.\. (?:auto\w+|data):: (\S+)", page, re.MULTILINE)}
    for module in re.findall(r"^\.\. automodule:: (\S+)", page, re.MULTILINE):
        named |= {*importlib.import_module(module).__all__}
    assert {*negsamp.__all__} <= named
