"""What all tests share."""

import gc
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

# what torch imports in the first step of an optimizer: frozen too
import torch._dynamo

pytest.register_assert_rewrite("negsamp.testing")

#: a mirror beside the checkout is used as it is
NEIGHBOUR = Path(__file__).parents[2] / "shared" / "data"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=20, help="how often tests of faults and of a cluster kill something")
    parser.addoption("--interpreter", default=sys.executable, help="the Python that what is built is tried with")


@pytest.fixture(scope="session")
def kills(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--kills"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the files that take longest: each is run by one worker, in the order of the collection."""
    sizes = Counter(item.path for item in items)
    items.sort(key=lambda item: (item.get_closest_marker("workflow") is None, -sizes[item.path], item.path))


@pytest.fixture(scope="session", autouse=True)
def _what_is_imported_stays() -> Iterator[None]:
    """Spare PyKEEN's collection of garbage, once an epoch, the walk through all modules."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def _seed() -> None:
    """Draws are the same in every run, whatever ran before."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def mirror() -> Path:
    """The folder of benchmark archives; tests that need it are skipped where there is none."""
    folder = Path(os.environ.get("NEGSAMP_MIRROR", NEIGHBOUR))
    if "NEGSAMP_MIRROR" in os.environ and not folder.is_dir():
        pytest.fail(f"NEGSAMP_MIRROR is {folder}, which is no folder")
    if not folder.is_dir():
        pytest.skip("no mirror of the benchmark archives: set NEGSAMP_MIRROR")
    return folder
