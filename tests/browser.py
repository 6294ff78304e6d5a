"""A real browser without a screen, to open pages in."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


class Opened(NamedTuple):
    """A page once its scripts have run."""

    #: its elements
    html: str
    #: what its scripts have told, errors among it
    console: list[str]
    #: what is to be seen of it, a PNG
    screenshot: Path


def open_page(page: Path, folder: Path, size: tuple[int, int] = (1250, 4000)) -> Opened:
    """Open a page, and wait until its scripts are done.

    :param page: the file
    :param folder: an empty one, for the browser and the screenshot
    :param size: of the window, in pixels
    """
    browser = next(filter(None, map(shutil.which, NAMES)), None)
    if browser is None:
        pytest.skip("no Chromium: apt-get install chromium")
    screenshot = folder / "page.png"
    common = [
        *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr"),
        *(f"--user-data-dir={folder}", f"--window-size={size[0]},{size[1]}", "--virtual-time-budget=30000"),
    ]
    told = [
        subprocess.run([*common, what, page.as_uri()], capture_output=True, text=True, check=True, timeout=300)
        for what in ("--dump-dom", f"--screenshot={screenshot}")
    ]
    return Opened(told[0].stdout, re.findall(r'CONSOLE.*?\] "(.*)", source', told[0].stderr), screenshot)
