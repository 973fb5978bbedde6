"""The examples with an elector as a stranger runs them, on the API server in memory"""

from __future__ import annotations

import http.client
import os
import re
import signal
import sqlite3
import sys
from collections import defaultdict
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from kube_leader_election.testing import ApiServer
from tests.programs import CHECKOUT, EXAMPLES, Program, prepare_environment, wait_until

SHORTER = str(CHECKOUT / "tests" / "shorter.py")
WORKERS = 3


@pytest.fixture(autouse=True)
def environment(lease_server: ApiServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    prepare_environment(
        monkeypatch,
        lease_server.kubeconfig,
        DATABASE=str(tmp_path / "counter.db"),
        PYTHONDONTWRITEBYTECODE="1",
    )


def example(name: str, folder: Path, *, shorter: bool = False) -> Program:
    by = [SHORTER] if shorter else []
    return Program([sys.executable, *by, str(EXAMPLES / name)], folder=folder)


def wait_until_watched_by(server: ApiServer, number: int) -> None:
    """So many candidates know the Lease, and are told of its changes"""
    wait_until(lambda: [one.verb for one in server.requests].count("watch") >= number)


def test_controllers_hand_over_between_two_items(lease_server: ApiServer, tmp_path: Path) -> None:
    both = tmp_path / "both"  # so that there is one log, in the order of what happened
    with example("controller.py", both) as first:
        wait_until(lambda: "begins" in first.output)
        with example("controller.py", both) as second:
            wait_until_watched_by(lease_server, 2)
            wait_until(lambda: first.output.count("begins") > first.output.count("is done"))
            assert first.end(signal.SIGTERM) == 0
            wait_until(lambda: len(set(terms(second.output))) == 2)
            assert second.end(signal.SIGINT) == 0
            output = second.output
    assert terms(output) == sorted(terms(output))
    for term in set(terms(output)):
        steps = re.findall(rf"item (\d+) of term {term} (begins|is done)\n", output)
        assert steps == [
            (str(number), step)
            for number in range(1, len(steps) // 2 + 1)
            for step in ("begins", "is done")
        ]
    assert "Traceback" not in output


def terms(output: str) -> list[int]:
    return [int(term) for term in re.findall(r"of term (\d+) ", output)]


def test_the_state_machine_shows_each_state_until_it_is_stopped(
    lease_server: ApiServer, tmp_path: Path
) -> None:
    lease_server.put_lease("my-app", holder_identity="another")
    with example("state_machine.py", tmp_path / "run") as program:
        wait_until(lambda: "following another\n" in program.output)
        lease_server.put_lease("my-app", holder_identity=None)
        wait_until(lambda: "leading" in program.output)
        assert program.end(signal.SIGTERM) == 0
        output = program.output
    assert [line.split()[0] for line in output.splitlines()] == [
        "standing",
        "following",
        "standing",
        "leading,",
        "standing",
    ]


@pytest.mark.fault_row(number=23)
def test_the_database_refuses_a_leader_that_was_paused_for_longer_than_its_term(
    lease_server: ApiServer, tmp_path: Path
) -> None:
    with example("fenced_write.py", tmp_path / "a", shorter=True) as old:
        wait_until(lambda: "has added" in old.output)
        with example("fenced_write.py", tmp_path / "b", shorter=True) as new:
            wait_until_watched_by(lease_server, 2)
            pause_at_work(old)
            wait_until(lambda: "has added" in new.output)
            assert "refused" not in old.output
            old.resume()
            wait_until(lambda: "is refused: a later leader has written\n" in old.output)
            codes = [program.end(signal.SIGTERM) for program in (old, new)]
        output = old.output + new.output
    assert codes == [0, 0]
    with closing(sqlite3.connect(os.environ["DATABASE"])) as database:
        (total,) = database.execute("SELECT total FROM counter").fetchone()
    assert total == output.count("has added 1\n")
    assert "Traceback" not in output


def pause_at_work(program: Program) -> None:
    """It stands still between its last check and the write"""

    def is_at_work() -> bool:
        program.pause()
        if program.output.splitlines()[-1].endswith("works"):
            return True
        program.resume()
        return False

    wait_until(is_at_work)


class WebApp(Program):
    """The web application, served by gunicorn"""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, SHORTER, "gunicorn", "--preload", f"--workers={WORKERS}"]
        options = ["--bind=127.0.0.1:0", "--no-control-socket", f"--chdir={EXAMPLES}"]
        super().__init__([*command, *options, "web_app:application"], folder=folder)

    def __enter__(self) -> WebApp:
        self.start()
        return self

    @property
    def port(self) -> int:
        wait_until(lambda: "Listening at: http" in self.output)
        return int(re.findall(r"Listening at: http://127\.0\.0\.1:(\d+)", self.output)[0])

    def ask_all(self, path: str) -> list[str]:
        """What each worker answers; one that has accepted a connection is kept from another"""
        with ExitStack() as at_exit:
            connections = []
            for _ in range(WORKERS):
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
                connections.append(at_exit.enter_context(closing(connection)))
                connection.connect()
            for connection in connections:
                connection.request("GET", path)
            answers = [connection.getresponse() for connection in connections]
            return [f"{answer.status} {answer.read().decode().strip()}" for answer in answers]


@pytest.mark.fault_row(number=27)
def test_one_worker_of_a_web_application_leads_and_another_when_that_is_killed(
    tmp_path: Path,
) -> None:
    with WebApp(tmp_path / "run") as app:
        leaders = wait_for_leader(app)
        assert app.ask_all("/healthz") == ["200 200 OK"] * WORKERS
        (killed,) = leaders[max(leaders)]
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: f"(pid:{killed}) was sent SIGKILL" in app.output)
        later = wait_for_leader(app)
        assert app.end(signal.SIGTERM) == 0
    assert max(later) > max(leaders)
    assert killed not in later[max(later)]
    assert all(len(workers) == 1 for found in (leaders, later) for workers in found.values())
    assert "Traceback" not in app.output


def wait_for_leader(app: WebApp) -> dict[int, set[int]]:
    """Which workers have said that they lead, by the token"""
    leaders: dict[int, set[int]] = defaultdict(set)

    def have_said_it() -> bool:
        said = " ".join(app.ask_all("/"))
        for worker, token in re.findall(r"worker (\d+) leads with fencing token (\d+)", said):
            leaders[int(token)].add(int(worker))
        return len(set(re.findall(r"worker (\d+)", said))) == WORKERS and " leads" in said

    wait_until(have_said_it)
    return leaders
