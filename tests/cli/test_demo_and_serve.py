"""The command line, run as a user runs it"""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from kubernetes import config
from kubernetes.client import ApiClient, Configuration

from kube_leader_election import LeaseLock, LeaseLockParams
from tests.programs import PATIENCE, Program, prepare_environment, wait_until

SERVE = [sys.executable, "-m", "kube_leader_election", "serve"]
DEMO = [*SERVE[:-1], "demo"]
SVG = "http://www.w3.org/2000/svg"


@pytest.mark.parametrize("options", [[], ["--tls"]])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_says_where_it_serves_until_it_is_interrupted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, options: list[str], number: int
) -> None:
    prepare_environment(monkeypatch, tmp_path / "none")
    path = tmp_path / "config"
    command = [*SERVE, "--kubeconfig", str(path), *options]
    with Program(command, folder=tmp_path / "run") as program:
        wait_until(lambda: f"export KUBECONFIG={path}\n" in program.output)
        configuration = Configuration()
        load: Any = config.load_kube_config  # untyped
        load(str(path), client_configuration=configuration)
        params = LeaseLockParams(lease_name="my-app")
        assert LeaseLock(ApiClient(configuration), "default", params).try_acquire_or_renew()
        assert program.end(number) == 0
    assert re.match(r"serving Leases at https?://127\.0\.0\.1:\d+\n", program.output)
    assert "Traceback" not in program.output


def test_a_port_that_is_taken_is_said_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    prepare_environment(monkeypatch, tmp_path / "none")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with Program([*SERVE, "--port", port], folder=tmp_path / "run") as program:
            assert program.wait(PATIENCE) == 1
    assert (
        program.output
        == f"kube-leader-election: cannot serve on port {port}: Address already in use\n"
    )


def test_a_kubeconfig_that_exists_is_not_overwritten_and_a_new_one_is_gone_afterwards(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    prepare_environment(monkeypatch, tmp_path / "none")
    precious, new = tmp_path / "precious", tmp_path / "new"
    precious.write_text("credentials")
    with Program([*SERVE, "--kubeconfig", str(precious)], folder=tmp_path / "first") as program:
        assert program.wait(PATIENCE) == 1
    assert "exists, and is not overwritten" in program.output
    assert precious.read_text() == "credentials"
    with Program([*SERVE, "--kubeconfig", str(new)], folder=tmp_path / "second") as program:
        wait_until(lambda: "export" in program.output)
        assert new.exists()
        assert program.end(signal.SIGTERM) == 0
    assert not new.exists()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--port", "99999"], "argument --port: '99999': must be from 0 to 65535"),
        (["--kubeconfig", "/nowhere/x"], "cannot serve on /nowhere/x: No such file or directory"),
    ],
)
def test_what_cannot_be_is_said_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, options: list[str], problem: str
) -> None:
    prepare_environment(monkeypatch, tmp_path / "none")
    with Program([*SERVE, *options], folder=tmp_path / "run") as program:
        assert program.wait(PATIENCE) != 0
    assert problem in program.output
    assert "Traceback" not in program.output


def test_without_a_command_the_usage_is_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    prepare_environment(monkeypatch, tmp_path / "none")
    with Program(SERVE[:-1], folder=tmp_path / "run") as program:
        assert program.wait(PATIENCE) == 2
    assert program.output.startswith("usage: kube-leader-election")


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], list[str]]:
    """Tells which processes run that were started in this test, or by those"""
    marker = f"STARTED_BY={tmp_path}"
    prepare_environment(monkeypatch, tmp_path / "none", STARTED_BY=str(tmp_path))

    def running() -> list[str]:
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it may end at any moment
                if marker.encode() in (process / "environ").read_bytes().split(b"\0"):
                    found.append((process / "cmdline").read_text().replace("\0", " "))
        return found

    return running


def test_the_demo_shows_a_hand_over_and_a_takeover_in_words(
    tmp_path: Path, processes: Callable[[], list[str]]
) -> None:
    with Program(DEMO, folder=tmp_path / "run") as program:
        assert program.wait(PATIENCE) == 0
        assert processes() == []
    leaders = re.findall(r"(replica-\d) leads \(fencing token (\d+)\)", program.output)
    tokens = [int(token) for _, token in leaders]
    assert {name for name, _ in leaders} == {"replica-1", "replica-2", "replica-3"}
    assert tokens == sorted(set(tokens))
    for line in (
        r"  0\.\d s  the API server serves, and three replicas are started",
        r" +\d+\.\d s  replica-\d is told to stop, ",
        r" +\d+\.\d s  replica-\d has finished its work",
        r" s  replica-\d leads \(fencing token \d+\), [\d.]+m?s after replica-\d was stopped",
        r" s  replica-\d leads \(fencing token \d+\), [\d.]+s after replica-\d was killed",
        r"\nterms +3, of 3 replicas\n",
        r"\nfencing tokens +\d+ < \d+ < \d+: each greater than all before\n",
        r"\nnext leader +[\d.]+m?s after a release\n +[\d.]+s after a kill\n",
        r"\ntwo leaders at once +at no instant, ",
    ):
        assert re.search(line, program.output), program.output
    assert "Traceback" not in program.output
    assert "Warning" not in program.output


@pytest.mark.apiserver  # not for the server, but for the time that it takes
def test_a_script_says_what_the_leader_and_the_server_are_put_through(
    tmp_path: Path, processes: Callable[[], list[str]]
) -> None:
    options = ["--script", "freeze 3.5, outage 3.5, add", "--svg", "drawn.svg"]
    with Program([*DEMO, *options], folder=tmp_path / "run") as program:
        assert program.wait(PATIENCE) == 0
        assert processes() == []
    for line in (
        r" s  replica-\d stands still for 3\.5 s, ",
        r" s  replica-\d leads \(fencing token \d+\), [\d.]+s after replica-\d stood still\n",
        r" s  replica-\d goes on\n",
        r" s  the API server is away for 3\.5 s: ",
        r" s  replica-\d leads no more: it could not renew in time\n",
        r" s  the API server is back\n",
        r" s  replica-\d leads \(fencing token \d+\), [\d.]+m?s after the API server was back\n",
        r" s  replica-4 is started\n",
        r"\ntwo leaders at once +at no instant, ",
    ):
        assert re.search(line, program.output), program.output
    picture = ElementTree.parse(tmp_path / "run" / "drawn.svg")
    words = {"".join(each.itertext()) for each in picture.iter(f"{{{SVG}}}text")}
    assert {"replica-4", "server", "stands still", "is away"} <= words


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--script", "stop, nap"], "argument --script: 'nap' must be stop, kill, freeze "),
        (["--svg", "/nowhere/x.svg"], "cannot write /nowhere/x.svg: No such file or directory"),
    ],
)
def test_what_the_demo_cannot_do_is_said_before_it_starts(
    tmp_path: Path, processes: Callable[[], list[str]], options: list[str], problem: str
) -> None:
    with Program([*DEMO, *options], folder=tmp_path / "run") as program:
        assert program.wait(PATIENCE) != 0
    assert problem in program.output
    assert "Three replicas" not in program.output
    assert "Traceback" not in program.output


@pytest.mark.parametrize("moment", ["the API server serves", "is told to stop"])
def test_the_demo_ends_at_ctrl_c_and_leaves_no_process(
    tmp_path: Path, processes: Callable[[], list[str]], moment: str
) -> None:
    with Program(DEMO, folder=tmp_path / "run") as program:
        wait_until(lambda: moment in program.output)
        assert program.end(signal.SIGINT) == 130
        assert processes() == []
    assert program.output.endswith(" s  interrupted: all replicas are stopped\n")
    assert "Traceback" not in program.output


@pytest.mark.parametrize("moment", ["follow: they watch", "stands still"])
def test_when_the_demo_is_killed_its_replicas_end(
    tmp_path: Path, processes: Callable[[], list[str]], moment: str
) -> None:
    with Program([*DEMO, "--script", "freeze 60"], folder=tmp_path / "run") as program:
        wait_until(lambda: moment in program.output)
        assert len(processes()) == 4
        program.kill()
        wait_until(lambda: processes() == [])
    assert "Traceback" not in program.output


def test_the_demo_ends_quietly_when_nobody_reads_it(
    tmp_path: Path, processes: Callable[[], list[str]]
) -> None:
    command = [str(shutil.which("bash")), "-o", "pipefail", "-c", f"{shlex.join(DEMO)} | head -n 1"]
    with Program(command, folder=tmp_path / "run") as program:
        assert program.wait(PATIENCE) == 1
        assert processes() == []
        lines = program.output.splitlines()
    assert len(lines) == 1
