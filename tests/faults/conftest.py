"""A run that nothing disturbs."""

import time

import pytest
from faulty import ARGUMENTS, copy
from repository import results, snakemake


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], float]:
    """The results of a run that nothing disturbs, and how many seconds it takes."""
    folder = copy(tmp_path_factory.mktemp("undisturbed"))
    start = time.perf_counter()
    result = snakemake(folder, *ARGUMENTS)
    assert result.returncode == 0, result.stdout + result.stderr
    return results(folder, "faults"), time.perf_counter() - start
