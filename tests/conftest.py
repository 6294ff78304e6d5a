"""What all tests share."""

import os
from pathlib import Path

import pytest
import torch

#: a mirror beside the checkout is used as it is
NEIGHBOUR = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(autouse=True)
def _seed() -> None:
    """Draws are the same in every run, whatever ran before."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def mirror() -> Path:
    """The folder of benchmark archives; tests that need it are skipped where there is none."""
    folder = Path(os.environ.get("NEGSAMP_MIRROR", NEIGHBOUR))
    if not folder.is_dir():
        pytest.skip("no mirror of the benchmark archives: set NEGSAMP_MIRROR")
    return folder
