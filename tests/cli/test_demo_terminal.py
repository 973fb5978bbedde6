"""The demo on a terminal: a live picture, keys, and a terminal that is as it was before"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import sys
from pathlib import Path

import pytest

from tests.cli.terminal import HIDE_CURSOR, WITHOUT_RICH, Terminal, on_a_terminal
from tests.programs import prepare_environment, wait_until

DEMO = ["-m", "kube_leader_election", "demo"]


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    prepare_environment(monkeypatch, tmp_path / "none")


def wait_for(terminal: Terminal, pattern: str, *, times: int = 1) -> None:
    """Until as many different lines of the story say that"""
    wait_until(lambda: len(set(re.findall(rf"\d+\.\d s  {pattern}", terminal.text))) >= times)


def test_the_picture_plays_the_script_and_ends_with_the_summary() -> None:
    with on_a_terminal([*DEMO, "--script", "stop"]) as terminal:
        assert terminal.wait() == 0
        assert terminal.is_as_it_was()
    assert HIDE_CURSOR in terminal.text
    assert "\u2501" in terminal.text
    assert re.search(r"replica-\d  leads  .*  \d\.\d s", terminal.words)
    assert re.search(r"replica-\d  follows replica-\d", terminal.words)
    assert "has ended" in terminal.text
    story = terminal.text.rpartition("the end")[2]
    assert "two leaders at once   at no instant" in story


def test_keys_do_what_a_script_does_and_the_first_one_ends_the_script() -> None:
    with on_a_terminal([*DEMO, "--script", "outage 60"]) as terminal:
        wait_for(terminal, r"replica-\d leads")
        assert not terminal.is_as_it_was()
        terminal.type("?k")
        wait_for(terminal, r"replica-\d is killed")
        wait_for(terminal, r"replica-\d leads", times=2)
        terminal.type("a")
        wait_for(terminal, "replica-4 is started")
        terminal.type("k")  # longer than the script would have waited
        wait_for(terminal, r"replica-\d leads", times=3)
        terminal.type("s")
        wait_for(terminal, r"replica-\d has finished its work")
        wait_for(terminal, r"replica-\d leads", times=4)
        terminal.type("f")
        wait_for(terminal, r"replica-\d stands still for 4 s")
        terminal.type("o")
        wait_for(terminal, "the API server is away for 4 s")
        terminal.type("q")
        assert terminal.wait() == 0
        assert terminal.is_as_it_was()
    assert "for 60 s" not in terminal.text
    assert "two leaders at once   at no instant" in terminal.text
    assert "Traceback" not in terminal.text


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGHUP, 129)],
)
def test_a_signal_ends_the_picture_and_gives_the_terminal_back(number: int, code: int) -> None:
    with on_a_terminal(DEMO) as terminal:
        wait_for(terminal, r"replica-\d leads")
        assert not terminal.is_as_it_was()
        terminal.process.send_signal(number)
        assert terminal.wait() == code
        assert terminal.is_as_it_was()
    assert "interrupted: all replicas are stopped" in terminal.text
    assert "Traceback" not in terminal.text


def test_while_it_is_suspended_the_terminal_is_as_it_was(tmp_path: Path) -> None:
    demo = shlex.join([sys.executable, *DEMO])
    go_on = tmp_path / "go-on"
    os.mkfifo(go_on)
    script = f"set -m; {demo}; echo suspended: $?; read < {go_on}; fg; echo ended: $?"
    shell = [str(shutil.which("setsid")), "-c", str(shutil.which("bash")), "-c", script]
    terminal = Terminal(shell, leads_session=True)
    try:
        wait_for(terminal, r"replica-\d leads")
        terminal.type("\x1a")  # Ctrl-Z
        wait_until(lambda: "suspended: 148" in terminal.text)
        assert terminal.is_as_it_was()
        shown = len(terminal.text)
        go_on.write_text("\n")
        wait_until(lambda: re.search(r"TIME LEFT", terminal.text[shown:]))
        assert not terminal.is_as_it_was()
        terminal.type("q")
        wait_until(lambda: "ended: 0" in terminal.text)
        assert terminal.is_as_it_was()
    finally:
        terminal.close()
    assert "Traceback" not in terminal.text


def test_without_rich_the_story_is_told_in_plain_lines() -> None:
    with on_a_terminal([*WITHOUT_RICH, "demo", "--script", "stop"]) as terminal:
        assert terminal.wait() == 0
        assert terminal.is_as_it_was()
    assert "\x1b" not in terminal.text
    assert len(re.findall(r"replica-\d leads \(", terminal.text)) == 2
