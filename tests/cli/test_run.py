"""``run`` as a process, with the processes that it runs"""

from __future__ import annotations

import os
import shlex
import signal
import socket
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pytest

from kube_leader_election.testing import ApiServer
from tests.programs import PATIENCE, Program, prepare_environment, wait_until
from tests.run_command import worker
from tests.run_command.stamps import Life, Reader, overlaps

RUN = [sys.executable, "-m", "kube_leader_election", "run", "my-app", "--namespace", "default"]
QUICK = ["--lease-ttl", "4", "--renew-deadline", "2", "--retry-period", "0.5"]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="run works on Linux only")


class Place:
    """A server, and a folder in which replicas and their commands write down what they do."""

    def __init__(self, server: ApiServer, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.file = folder / "stamps"
        self.lives = Reader(self.file).lives
        self._made = 0
        self._booted_at = time.time() - time.monotonic()

    def run(self, *command: str, options: list[str] | None = None) -> Program:
        self._made += 1
        arguments = [*RUN, *(options or []), "--", *command]
        return Program(arguments, folder=self.folder / f"replica-{self._made}")

    def shell(self, script: str, options: list[str] | None = None) -> Program:
        return self.run("sh", "-c", script, options=options)

    def worker(self, kind: str, options: list[str] | None = None) -> Program:
        """Writes down that it lives, and so do its children"""
        code = [sys.executable, "-I", "-S", worker.__file__, str(self.file), kind]
        return self.run(*code, options=options)

    def pids(self) -> set[int]:
        """Those of all that have written something"""
        return {pid for life in self.lives() for pid in life.pids}

    def life(self, index: int = -1) -> Life:
        return self.lives()[index]

    def holder(self) -> str | None:
        lease = self.server.stored_lease("my-app")
        return lease["spec"].get("holderIdentity") if lease else None

    def renewed_at(self) -> float:
        """By the wall clock"""
        lease = self.server.stored_lease("my-app")
        assert lease is not None
        return datetime.fromisoformat(lease["spec"]["renewTime"].replace("Z", "+00:00")).timestamp()

    def by_wall_clock(self, at: float) -> float:
        return at + self._booted_at


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Place]:
    with ApiServer() as server:
        prepare_environment(monkeypatch, server.kubeconfig)
        yield Place(server, tmp_path)


def runs(pid: int) -> bool:
    """Whether there is such a process, and it has not ended"""
    with suppress(OSError):
        stat = Path(f"/proc/{pid}/stat").read_bytes()
        return stat.rpartition(b")")[2].split()[0] != b"Z"
    return False


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_for_line(program: Program, line: str) -> None:
    wait_until(lambda: f"{line}\n" in program.output)


def wait_for_all(place: Place, kind: str) -> None:
    """The worker has begun, and its children"""
    wait_until(lambda: len(place.pids()) == (4 if kind == "forking" else 1))


@pytest.mark.parametrize(
    ("script", "code"),
    [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -TERM $$", 143)],
)
def test_the_exit_code_is_that_of_the_command_and_the_lease_is_free(
    place: Place, script: str, code: int
) -> None:
    with place.shell(script) as program:
        assert program.wait(PATIENCE) == code
    assert place.holder() == ""
    assert "Traceback" not in program.output


def test_the_command_knows_its_term(place: Place) -> None:
    with place.shell("env | sort | grep ^KUBE_LEADER_ELECTION_") as program:
        assert program.wait(PATIENCE) == 0
    lines = [line for line in program.output.splitlines() if line.startswith("KUBE_")]
    names = [line.removeprefix("KUBE_LEADER_ELECTION_").partition("=")[::2] for line in lines]
    found = dict(names)
    assert int(found.pop("FENCING_TOKEN")) > 0
    assert f"{found.pop('HOLDER_ID')!r} leads, fencing token" in program.output
    assert found == {"LEASE": "my-app", "NAMESPACE": "default"}


@pytest.mark.parametrize(("command", "code"), [("no-such-command", 127), (__file__, 126)])
def test_a_command_that_cannot_be_run_is_said_at_once(
    place: Place, command: str, code: int
) -> None:
    with place.run(command) as program:
        assert program.wait(PATIENCE) == code
    assert program.output.startswith(f"kube-leader-election: cannot run {command}: ")
    assert place.server.requests == []


def test_without_a_cluster_that_is_said_without_a_traceback(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nowhere")
    with place.shell("true") as program:
        assert program.wait(PATIENCE) == 125
    assert "kube-leader-election: no cluster is known: " in program.output
    assert "Traceback" not in program.output


def test_whoever_follows_runs_nothing_and_ends_when_it_is_told(place: Place) -> None:
    place.server.put_lease("my-app", holder_identity="another")
    with place.worker("plain") as program:
        wait_until(lambda: any(each.verb == "watch" for each in place.server.requests))
        os.kill(program.pid, signal.SIGTERM)
        assert program.wait(PATIENCE) == 0
    assert not place.file.exists()
    assert place.holder() == "another"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_the_command_finishes_before_the_lease_is_free(place: Place, number: int) -> None:
    waits = "while [ ! -e go ]; do sleep 0.05; done; exit 3"
    name = signal.Signals(number).name.removeprefix("SIG")
    script = f"trap 'echo told; {waits}' {name}; echo runs; while :; do sleep 0.05; done"
    with place.shell(script) as program:
        wait_for_line(program, "runs")
        os.kill(program.pid, number)
        wait_for_line(program, "told")
        assert place.holder()
        (place.folder / "replica-1" / "go").touch()
        assert program.wait(PATIENCE) == 3
    assert place.holder() == ""


@pytest.mark.parametrize("kind", ["stubborn", "forking"])
def test_whoever_does_not_finish_in_time_is_killed_before_the_lease_is_free(
    place: Place, kind: str
) -> None:
    options = ["--drain-timeout", "1", "--grace", "0.5"]
    with place.worker(kind, options) as program:
        wait_for_all(place, kind)
        os.kill(program.pid, signal.SIGTERM)
        # What ends by itself has left children that do not.
        assert program.wait(PATIENCE) == (137 if kind == "stubborn" else 0)
    assert not any(map(runs, place.pids()))
    assert place.holder() == ""
    assert place.by_wall_clock(place.life().ended_at) < place.renewed_at()  # when it was released


def test_what_a_command_leaves_behind_is_ended_before_the_lease_is_free(place: Place) -> None:
    daemon = f"setsid sh -c {shlex.quote('echo $$ > pid; exec sleep 1000')} &"
    with place.shell(f"{daemon} while [ ! -s pid ]; do sleep 0.05; done; exit 4") as program:
        assert program.wait(PATIENCE) == 4
    assert not runs(int((place.folder / "replica-1" / "pid").read_text()))
    assert place.holder() == ""


def test_other_signals_are_for_the_command(place: Place) -> None:
    told = " ".join(f"trap 'echo {name}' {name};" for name in ("HUP", "USR1", "USR2"))
    with place.shell(f"{told} echo runs; while :; do sleep 0.05; done") as program:
        wait_for_line(program, "runs")
        for name in ("HUP", "USR1", "USR2"):
            os.kill(program.pid, getattr(signal, f"SIG{name}"))
            wait_for_line(program, name)


def test_signals_of_the_command_are_as_if_it_was_run_directly(place: Place) -> None:
    with place.run("grep", "-E", "Sig(Blk|Ign)", "/proc/self/status") as program:
        assert program.wait(PATIENCE) == 0
    directly = Path("/proc/self/status").read_text()
    before = [line for line in directly.splitlines() if line.startswith("SigBlk")]
    masks = dict(line.split(":\t") for line in program.output.splitlines() if "Sig" in line)
    assert [f"SigBlk:\t{masks['SigBlk']}"] == before
    python_ignores = (1 << signal.SIGPIPE - 1) | (1 << signal.SIGXFSZ - 1)
    assert int(masks["SigIgn"], 16) & python_ignores == 0


@pytest.mark.parametrize("kind", ["plain", "forking"])
def test_when_run_is_killed_nothing_of_the_command_is_left(place: Place, kind: str) -> None:
    with place.worker(kind) as program:
        wait_for_all(place, kind)
        os.kill(program.pid, signal.SIGKILL)
        program.wait(PATIENCE)
        wait_until(lambda: not any(map(runs, place.pids())))
    assert "Traceback" not in program.output


@pytest.mark.parametrize("kind", ["plain", "forking"])
def test_when_the_guard_is_killed_nothing_is_left_and_the_lease_is_free(
    place: Place, kind: str
) -> None:
    with place.worker(kind) as program:
        wait_for_all(place, kind)
        os.kill(children(program.pid)[0], signal.SIGKILL)
        assert program.wait(PATIENCE) == 125
        assert not any(map(runs, place.pids()))
    assert place.holder() == ""
    assert "kube-leader-election: the guard of the command was killed" in program.output
    assert "Traceback" not in program.output


def test_when_the_guard_is_killed_and_nobody_can_act_the_kernel_kills_the_command(
    place: Place,
) -> None:
    with place.worker("stubborn") as program:
        wait_for_all(place, "stubborn")
        guard = children(program.pid)[0]
        os.kill(program.pid, signal.SIGSTOP)
        os.kill(guard, signal.SIGKILL)
        wait_until(lambda: not any(map(runs, place.pids())))
        assert not runs(guard)


def test_a_follower_whose_guard_is_killed_ends(place: Place) -> None:
    place.server.put_lease("my-app", holder_identity="another")
    with place.worker("plain") as program:
        wait_until(lambda: any(each.verb == "watch" for each in place.server.requests))
        os.kill(children(program.pid)[0], signal.SIGKILL)
        assert program.wait(PATIENCE) == 125
    assert place.holder() == "another"


@pytest.mark.parametrize("kind", ["plain", "stubborn", "forking"])
def test_while_run_is_stopped_the_command_ends_before_another_may_lead(
    place: Place, kind: str
) -> None:
    with place.worker(kind, QUICK) as program:
        wait_for_all(place, kind)
        os.kill(program.pid, signal.SIGSTOP)
        wait_until(lambda: not any(map(runs, place.pids())))
        assert place.by_wall_clock(place.life().ended_at) < place.renewed_at() + 4
        os.kill(program.pid, signal.SIGCONT)
        first = place.life().token
        wait_until(lambda: place.life().token > first)  # it contends again
    assert overlaps(place.lives()) == []


def test_a_guard_that_is_stopped_does_not_keep_the_command_alive(place: Place) -> None:
    with place.worker("forking", QUICK) as program:
        wait_for_all(place, "forking")
        os.kill(children(program.pid)[0], signal.SIGSTOP)
        with place.server.refuse_connections():
            assert program.wait(PATIENCE) == 125
        assert not any(map(runs, place.pids()))
        assert place.by_wall_clock(place.life().ended_at) < place.renewed_at() + 4


def test_when_another_holds_the_lease_the_command_is_killed_at_once(place: Place) -> None:
    long = ["--lease-ttl", "600", "--renew-deadline", "400", "--retry-period", "10"]
    with place.worker("forking", long) as program:
        wait_for_all(place, "forking")
        place.server.put_lease("my-app", holder_identity="another")
        wait_until(lambda: not any(map(runs, place.pids())))
        assert program.running
        first = place.life().token
        place.server.put_lease("my-app", holder_identity="")
        wait_until(lambda: place.life().token > first)
    assert overlaps(place.lives()) == []


def test_children_that_it_inherits_are_waited_for(place: Place) -> None:
    ours = shlex.join([*RUN, "--", "sleep", "1000"])
    command = ["/bin/sh", "-c", f"sh -c 'echo $$ > inherited' & exec {ours}"]
    folder = place.folder / "run"
    with Program(command, folder=folder):
        inherited = folder / "inherited"
        wait_until(lambda: inherited.exists() and inherited.read_text())
        pid = int(inherited.read_text())
        wait_until(lambda: not Path(f"/proc/{pid}").exists())


def test_what_is_served_says_who_leads(place: Place) -> None:
    with socket.create_server(("", 0)) as free:
        port = free.getsockname()[1]
    with place.shell("echo runs; sleep 1000", ["--health-port", str(port)]) as program:
        wait_for_line(program, "runs")
        for path in ("healthz", "leader"):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}") as answer:
                assert answer.status == 200
        with place.shell("true", ["--health-port", str(port)]) as second:
            assert second.wait(PATIENCE) == 125
        assert "Address already in use" in second.output
        assert "Traceback" not in second.output


def test_a_guard_that_is_stopped_does_not_keep_the_command_from_being_killed_at_once(
    place: Place,
) -> None:
    long = ["--lease-ttl", "600", "--renew-deadline", "400", "--retry-period", "10"]
    with place.worker("forking", long) as program:
        wait_for_all(place, "forking")
        os.kill(children(program.pid)[0], signal.SIGSTOP)
        place.server.put_lease("my-app", holder_identity="another")
        wait_until(lambda: not any(map(runs, place.pids())))
        assert program.wait(PATIENCE) == 125
    assert place.holder() == "another"
