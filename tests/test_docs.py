"""What the page on own strategies shows is what comes out, and the strategy it shows keeps to the laws."""

import ast
import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from pykeen.sampling import negative_sampler_resolver

from negsamp import SAMPLERS, RandomNegativeSampler, register_sampler

PAGE = (Path(__file__).parents[1] / "docs" / "own-strategies.md").read_text(encoding="utf-8")

#: each block of Python, and the output that is shown below it
BLOCKS: list[tuple[str, str]] = re.findall(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", PAGE, re.DOTALL)


@contextlib.contextmanager
def registries_as_they_were() -> Iterator[None]:
    """Forget what is registered inside, so that no other test meets it."""
    with patch.dict(SAMPLERS), patch.dict(negative_sampler_resolver.lookup_dict):
        yield


def classes_of_the_page() -> dict[str, Any]:
    namespace: dict[str, Any] = {"__name__": __name__}
    with registries_as_they_were():
        for code, _ in BLOCKS:
            if re.search(r"^class ", code, re.MULTILINE):
                exec(code, namespace)  # noqa: S102
    return namespace


#: the laws over the page's strategy, collected from here
TestRare = classes_of_the_page()["TestRare"]


def test_the_page_prints_what_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": __name__}
    with registries_as_they_were():
        for code, shown in BLOCKS:
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(code, namespace)  # noqa: S102
            assert printed.getvalue() == shown
        assert negative_sampler_resolver.lookup("rare") is SAMPLERS["rare"] is namespace["RareNegativeSampler"]
    assert namespace["sampler"].get_normalized_name() == "rare"
    assert len(namespace["result"].study.trials) == 2


def test_the_strategy_takes_no_more_than_fifteen_lines() -> None:
    (strategy,) = (node for node in ast.parse(BLOCKS[0][0]).body if isinstance(node, ast.ClassDef))
    assert strategy.end_lineno - strategy.decorator_list[0].lineno + 1 <= 15


def test_a_name_is_taken_once_and_a_class_may_be_defined_again() -> None:
    class CorruptNegativeSampler(RandomNegativeSampler):
        pass

    with pytest.raises(ValueError, match="the name 'corrupt' is that of CorruptNegativeSampler already: rename"):
        register_sampler(CorruptNegativeSampler)
    again = classes_of_the_page()["RareNegativeSampler"]
    with registries_as_they_were():
        register_sampler(TestRare.sampler)
        assert register_sampler(again) is again
        assert negative_sampler_resolver.lookup("rare") is SAMPLERS["rare"] is again


def test_no_other_test_meets_the_strategy() -> None:
    assert "rare" not in SAMPLERS
    assert "rare" not in negative_sampler_resolver.options
