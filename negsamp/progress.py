"""How far long work has come: a bar in a terminal, a line now and then in a log otherwise."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

__all__ = ["lines_alone", "progress"]

logger = logging.getLogger(__name__)

#: seconds before the first line, and between two
DELAY, INTERVAL = 10.0, 30.0

#: how many contexts ask for lines; of the process, since a training has a fork and a thread of its own
_in_lines = 0


class _Lines(tqdm):  # type: ignore[misc]
    """A bar that is written as lines of a log."""

    # no thread that watches for bars that stand still: processes are forked
    monitor_interval = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        form = "{desc}: {n_fmt} of {total_fmt}, {rate_fmt}, {remaining} left{postfix}"
        own = {"file": io.StringIO(), "bar_format": form, "mininterval": INTERVAL, "delay": DELAY, "miniters": 1}
        super().__init__(*args, **{**kwargs, **own})

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        # a message is what wipes a bar at its end, of which the work itself tells
        if msg is None:
            # as it is now: a handler may keep records, and write them later
            logger.info("%s", str(self))


@contextmanager
def lines_alone() -> Iterator[None]:
    """Show no bars in what is called: several jobs share the terminal."""
    global _in_lines
    _in_lines += 1
    try:
        yield
    finally:
        _in_lines -= 1


def progress(
    items: Iterable[Any] | None = None, *, description: str, unit: str, total: int | None = None, **options: Any
) -> tqdm:
    """Show how far work has come, with its rate and the time that is left.

    In a terminal this is tqdm's bar, gone once it is full. Otherwise, and in :func:`lines_alone`, it is a line of the
    log after ten seconds and every thirty from then on; work that takes less has none.

    :param items: what is gone through; None: :meth:`tqdm.update` is called
    :param description: the work
    :param unit: what is counted, in the singular
    :param total: how many there are; None: the length of ``items``
    :param options: others of tqdm's
    """
    is_shown = sys.stderr.isatty() and not _in_lines
    cls = tqdm if is_shown else _Lines
    return cls(items, **{"desc": description, "unit": unit, "total": total, "leave": False, **options})
