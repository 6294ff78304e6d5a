"""How far long work has come: bars in a terminal, lines of a log otherwise."""

import io
import logging
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from pykeen.datasets import Nations

from negsamp import progress as module
from negsamp.als import factorize
from negsamp.auxiliary import train_quickly
from negsamp.io import job_log
from negsamp.progress import lines_alone, progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def open_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    # not in a fixture: pytest takes the standard streams for itself between setup and test
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    return terminal


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    """Each step is a line of the log."""
    monkeypatch.setattr(module, "DELAY", 0.0)
    monkeypatch.setattr(module, "INTERVAL", 0.0)
    caplog.set_level(logging.INFO, "negsamp.progress")
    return caplog


def work() -> list[int]:
    return list(progress([3, 1, 4], description="counting", unit="step"))


def test_a_terminal_shows_a_bar_and_wipes_it(lines: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    assert work() == [3, 1, 4]
    shown = terminal.getvalue().split("\r")
    assert any("counting:   0%" in text and "0/3" in text for text in shown)
    assert shown[-2].strip() == shown[-1] == ""
    assert lines.messages == []


def test_elsewhere_it_is_lines_of_the_log(lines: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
    assert work() == [3, 1, 4]
    assert [message.split(",")[0] for message in lines.messages[-3:]] == [f"counting: {n} of 3" for n in (1, 2, 3)]
    assert lines.messages[-1].endswith("00:00 left")
    assert "step/s" in lines.messages[-1]
    assert capsys.readouterr().err == ""


def test_short_work_has_no_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "negsamp.progress")
    work()
    assert caplog.messages == []


def test_jobs_share_a_terminal_and_show_no_bars(
    lines: pytest.LogCaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = open_terminal(monkeypatch)
    with job_log(SimpleNamespace(log=[tmp_path / "job.log"], rule="make", input=[], params={})):
        work()
    assert terminal.getvalue() == ""
    assert "counting: 3 of 3" in (tmp_path / "job.log").read_text()
    with lines_alone():
        work()
    assert terminal.getvalue() == ""
    work()
    assert "counting" in terminal.getvalue()


def test_an_amount_that_nobody_knows(lines: pytest.LogCaptureFixture) -> None:
    with progress(description="fetching", unit="B", unit_scale=True) as bar:
        bar.update(2_000_000)
    assert lines.messages[-1].startswith("fetching: 2.00M of ?")


def test_training_and_ranking_tell(lines: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    train_quickly(Nations().training, epochs=2)
    told = [message.split(",")[0] for message in lines.messages]
    assert "training: 2 of 2" in told
    assert any(line.startswith("ranking: 20 of 20") for line in told)
    assert "loss=" in next(message for message in lines.messages if message.startswith("training: 2"))
    # no bars of PyKEEN's own beside
    assert "it/s" not in capfd.readouterr().err


def test_solving_tells(lines: pytest.LogCaptureFixture) -> None:
    factorize(Nations().training, 4, 2)
    assert "solving for RESCAL: 2 of 2" in [message.split(",")[0] for message in lines.messages]
