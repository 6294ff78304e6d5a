"""What the README shows is what comes out."""

import contextlib
import io
import re
from pathlib import Path

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_example_prints_what_is_shown() -> None:
    code, shown = re.search(r"```python\n(.*?)```\n\n```\n(.*?)```", README, re.DOTALL).groups()
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, {})  # noqa: S102
    name, value = printed.getvalue().strip().rsplit(" ", 1)
    expected_name, expected = shown.strip().rsplit(" ", 1)
    assert name == expected_name
    # sums differ a little between processors and numbers of threads
    assert abs(float(value) - float(expected)) < 0.02
