"""How long the readers are fuzzed, and a tally of what they were given."""

from collections import Counter

import pytest
from hypothesis import HealthCheck, settings

# make fuzz: new inputs each time
settings.register_profile(
    "fuzz", max_examples=20_000, derandomize=False, suppress_health_check=list(HealthCheck), database=None
)

TALLY = pytest.StashKey[Counter[tuple[str, str]]]()


@pytest.fixture(scope="session")
def tally(pytestconfig: pytest.Config) -> Counter[tuple[str, str]]:
    """How many inputs each reader has taken or refused."""
    return pytestconfig.stash.setdefault(TALLY, Counter())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    tally = config.stash.get(TALLY, None)
    if tally and config.get_verbosity() > 0:
        terminalreporter.section("inputs")
        for reader in sorted({name for name, _ in tally}):
            taken, refused = tally[reader, "taken"], tally[reader, "refused"]
            terminalreporter.line(f"{reader:12} {taken + refused:7,} tried, {taken:7,} taken, {refused:7,} refused")
        terminalreporter.line(f"{'all':12} {sum(tally.values()):7,} tried")
