"""What is seen on a terminal, with rich and without"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kube_leader_election.testing import ApiServer
from tests.cli.conftest import Command
from tests.cli.terminal import WITHOUT_RICH, on_a_terminal
from tests.programs import PATIENCE, prepare_environment, wait_until

MODULE = ["-m", "kube_leader_election"]


@pytest.fixture(autouse=True)
def _leases(lease_server: ApiServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lease_server.put_lease("my-app", holder_identity="[red]a[/red]\x1b[2J")
    prepare_environment(monkeypatch, lease_server.kubeconfig)
    monkeypatch.delenv("NO_COLOR", raising=False)


def test_a_table_is_shown_as_a_picture_in_which_holders_are_text() -> None:
    with on_a_terminal([*MODULE, "status"]) as terminal:
        assert terminal.wait() == 0
    assert "\x1b[1mLEASE" in terminal.text
    assert "[red]a[/red]\\x1b[2J" in terminal.text


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_live_picture_ends_at_a_signal_and_gives_the_cursor_back(
    lease_server: ApiServer, number: int, code: int
) -> None:
    arguments = [*MODULE, "status", "--watch", "--interval", "0.1"]
    with on_a_terminal(arguments) as terminal:
        wait_until(lambda: "1 Lease in default" in terminal.text)
        lease_server.put_lease("my-app", holder_identity="another")
        wait_until(lambda: "another" in terminal.text)
        terminal.process.send_signal(number)
        assert terminal.wait() == code
    assert terminal.text.rindex("\x1b[?25h") > terminal.text.rindex("\x1b[?25l")
    assert "Traceback" not in terminal.text


DOCTOR = ["doctor", "none", "--reads", "2", "--lease-ttl", "120"]


@pytest.mark.parametrize("arguments", [["status"], ["plan"], DOCTOR])
def test_without_rich_plain_lines_are_shown(arguments: list[str]) -> None:
    with on_a_terminal([*WITHOUT_RICH, *arguments]) as terminal:
        assert terminal.wait() == 0
    assert terminal.text
    assert "\x1b" not in terminal.text


def test_a_terminal_that_cannot_draw_gets_plain_lines() -> None:
    with on_a_terminal([*MODULE, "status"], kind="dumb") as terminal:
        assert terminal.wait() == 0
    assert terminal.text.startswith("LEASE ")
    assert "\x1b" not in terminal.text


def test_a_pipe_gets_plain_lines() -> None:
    command = [sys.executable, *MODULE, "status"]
    written = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert written.stdout.startswith("LEASE ")
    assert "\x1b" not in written.stdout
    assert written.stderr == ""


@pytest.mark.parametrize("name", ["run", "status", "doctor", "plan", "rbac", "demo", "serve"])
def test_help_shows_an_example(
    name: str, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    said = command(name, "--help")
    assert said.code == 0
    assert f"\n  kube-leader-election {name} " in said.output
    assert max(map(len, said.output.splitlines())) <= 80
