"""Commands and web servers of a real Django project, which is examples/django_app"""

from __future__ import annotations

import http.client
import os
import re
import shutil
import signal
import sys
import textwrap
import time
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from kube_leader_election.testing import ApiServer
from tests.apiserver.namespace import Namespace
from tests.programs import CHECKOUT, EXAMPLES, Program, prepare_environment, wait_until

pytestmark = pytest.mark.django

SHORTER = str(CHECKOUT / "tests" / "shorter.py")
WORKERS = 4
HOLDS_FOR = 1.2  # in seconds: what a main process tells


@pytest.fixture
def project(lease_namespace: Namespace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    prepare_environment(
        monkeypatch,
        lease_namespace.kubeconfig,
        PYTHONDONTWRITEBYTECODE="1",
        STAMPS=str(tmp_path),
    )
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")
    return shutil.copytree(EXAMPLES / "django_app", tmp_path / "project")


@pytest.fixture
def stand_in(project: Path, lease_server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> ApiServer:
    """Instead, for what the real server is not asked for or does not tell."""
    monkeypatch.setenv("KUBECONFIG", str(lease_server.kubeconfig))
    return lease_server


def holder(server: Namespace | ApiServer, lease_name: str = "my-site") -> str | None:
    lease = server.stored_lease(lease_name)
    return None if lease is None else lease["spec"]["holderIdentity"]


def command(project: Path, name: str, code: str) -> None:
    begin = """
import time
from pathlib import Path
from django.db import connection
from kube_leader_election.contrib.django import LeaderCommand

class Command(LeaderCommand):
    def say(self, *what):
        self.stdout.write(" ".join(map(str, what)))
        self.stdout.flush()

    def handle_leading(self, leadership, **options):
"""
    path = project / "jobs" / "management" / "commands" / f"{name}.py"
    path.write_text(begin + textwrap.indent(textwrap.dedent(code), " " * 8))


def settings(project: Path, more: str) -> None:
    path = project / "mysite" / "settings.py"
    path.write_text(f"{path.read_text()}\n{more}\n")


def manage(project: Path, *arguments: str, log: str = "") -> Program:
    if log:  # one for each program, or they write to one
        project = shutil.copytree(project, project.parent / log)
    return Program([sys.executable, "manage.py", *arguments], folder=project)


# Commands


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_command_that_is_told_to_end_releases_when_its_work_has(
    lease_namespace: Namespace, project: Path, number: signal.Signals
) -> None:
    command(
        project,
        "work",
        """
        self.say("begins", leadership.fencing_token)
        leadership.stopping.wait()
        self.say("asked", leadership.is_valid())
        while not Path("enough").exists():
            time.sleep(0.01)
        self.say("ends", leadership.is_valid())
        """,
    )
    with manage(project, "work", log="a") as first, manage(project, "work", log="b") as second:
        wait_until(lambda: "begins" in first.output + second.output)
        old, new = (first, second) if "begins" in first.output else (second, first)
        mine = holder(lease_namespace)
        old.check()
        os.kill(old.pid, number)
        wait_until(lambda: "asked" in old.output)
        assert holder(lease_namespace) == mine
        assert "begins" not in new.output
        (old.log.parent / "enough").touch()
        assert old.wait(60.0) == 0
        wait_until(lambda: "begins" in new.output)
        (new.log.parent / "enough").touch()
        os.kill(new.pid, number)
        assert new.wait(60.0) == 0
    for program in (old, new):
        assert re.fullmatch(r"begins \d+\nasked True\nends True\n", program.output)
    assert holder(lease_namespace) == ""


def test_work_whose_term_was_lost_is_called_for_the_next_with_no_old_connection(
    stand_in: ApiServer, project: Path
) -> None:
    database = "{'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': 'database'}}"
    settings(project, f"DATABASES = {database}")
    command(
        project,
        "work",
        """
        self.say("begins", leadership.fencing_token, connection.connection is None)
        connection.ensure_connection()
        leadership.lost.wait()
        self.say("lost")
        leadership.ensure_valid()
        """,
    )
    with manage(project, "work") as program:
        wait_until(lambda: program.output.count("begins") == 1)
        stand_in.put_lease("my-site", holder_identity="another")
        wait_until(lambda: "lost" in program.output)
        stand_in.put_lease("my-site", holder_identity=None)
        wait_until(lambda: program.output.count("begins") == 2)
        output = program.output
    terms = re.findall(r"begins (\d+) (\w+)\n", output)
    assert [is_closed for _, is_closed in terms] == ["True"] * 2
    tokens = [int(token) for token, _ in terms]
    assert tokens == sorted(set(tokens))


def test_work_that_fails_ends_the_command_and_releases(
    lease_namespace: Namespace, project: Path
) -> None:
    command(project, "work", "raise ValueError('mine')")
    with manage(project, "work") as program:
        assert program.wait(60.0) == 1
        assert program.output.strip().endswith("ValueError: mine")
    assert holder(lease_namespace) == ""


def test_work_that_is_done_ends_the_command_and_releases(
    lease_namespace: Namespace, project: Path
) -> None:
    command(project, "work", "self.say(options['verbosity'])")
    with manage(project, "work", "--verbosity=2") as program:
        assert program.wait(60.0) == 0
        assert program.output == "2\n"
    assert holder(lease_namespace) == ""


def test_a_command_is_called_on_any_thread(lease_namespace: Namespace, project: Path) -> None:
    command(project, "work", "self.say('works', leadership.is_valid())")
    (project / "call.py").write_text(
        "import os, threading, django\n"
        "os.environ['DJANGO_SETTINGS_MODULE'] = 'mysite.settings'\n"
        "django.setup()\n"
        "from django.core.management import call_command\n"
        "thread = threading.Thread(target=call_command, args=('work',))\n"
        "thread.start()\n"
        "thread.join()\n"
    )
    with Program([sys.executable, "call.py"], folder=project) as program:
        assert program.wait(60.0) == 0
        assert program.output == "works True\n"
    assert holder(lease_namespace) == ""


def test_a_command_without_a_cluster_says_so(
    lease_namespace: Namespace, project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path))
    with manage(project, "clean_up") as program:
        assert program.wait(60.0) == 1
        assert "CommandError: no cluster is known: " in program.output


# The system check


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (
            "{'LEASE_NAME': 'my-site', 'LEASE_TTL': 0.5}",
            r"E001\) KUBE_LEADER_ELECTION\['LEASE_TTL'\]=0\.5: must be ",
        ),
        (
            "{'LEASE_NAME': 'my-site', 'HOLDER_ID': 'pod'}",
            r"E001\) KUBE_LEADER_ELECTION\['HOLDER_ID'\]='pod': must not be set: ",
        ),
        ("['my-site']", r"E001\) KUBE_LEADER_ELECTION=\['my-site'\]: must be a dict "),
    ],
)
def test_settings_are_checked_before_any_command(
    stand_in: ApiServer, project: Path, told: str, said: str
) -> None:
    settings(project, f"KUBE_LEADER_ELECTION = {told}")
    with manage(project, "clean_up") as program:
        assert program.wait(60.0) == 1
        assert re.search(said, program.output)
    assert stand_in.requests == []


def test_a_project_may_have_no_settings_of_ours(lease_namespace: Namespace, project: Path) -> None:
    settings(project, "del KUBE_LEADER_ELECTION")
    with manage(project, "check") as program:
        assert program.wait(60.0) == 0
    with manage(project, "clean_up") as program:
        assert program.wait(60.0) == 1
        assert "CommandError: KUBE_LEADER_ELECTION=None: must be a dict" in program.output


def test_an_elector_that_was_started_in_ready_is_found(
    lease_namespace: Namespace, project: Path
) -> None:
    (project / "jobs" / "apps.py").write_text(
        "from django.apps import AppConfig\n"
        "class JobsConfig(AppConfig):\n"
        "    name = 'jobs'\n"
        "    def ready(self):\n"
        "        from mysite.leading import pod\n"
        "        pod.start()\n"
    )
    with manage(project, "check") as program:
        assert program.wait(60.0) == 0
        assert "(kube_leader_election.W001) An elector runs before the command" in program.output
    with manage(project, "check", "--fail-level=WARNING") as program:
        assert program.wait(60.0) == 1


def test_under_runserver_nothing_is_started(stand_in: ApiServer, project: Path) -> None:
    with manage(project, "runserver", "127.0.0.1:0") as program:
        wait_until(lambda: "Starting development server at" in program.output)
        assert "no issues" in program.output
        assert program.end(signal.SIGINT) == 0
    assert stand_in.requests == []


# gunicorn


class Web(Program):
    """gunicorn and its workers, each of which writes down all the time whether it leads"""

    def __init__(self, project: Path, name: str, *options: str) -> None:
        folder = shutil.copytree(project, project.parent / name)
        (folder / "stamping.py").write_text(
            textwrap.dedent(
                """
                import os, runpy, threading, time

                globals().update(runpy.run_path("gunicorn.conf.py"))
                bind = "127.0.0.1:0"
                from mysite.leading import pod

                def now():
                    return time.clock_gettime(time.CLOCK_BOOTTIME)

                def stamp():
                    with open(f"{os.getpid()}.stamps", "w", buffering=1) as file:
                        while True:
                            before, leads, after = now(), pod.is_leader(), now()
                            file.write(f"{before} {after} {int(leads)}\\n")
                            time.sleep(0.01)

                def post_worker_init(worker):
                    threading.Thread(target=stamp, daemon=True).start()
                """
            )
        )
        by = [sys.executable, SHORTER, "gunicorn", "--config=stamping.py"]
        super().__init__([*by, "--no-control-socket", *options, "mysite.wsgi"], folder=folder)
        self.folder = folder

    def __enter__(self) -> Web:
        self.start()
        return self

    def stamps(self) -> dict[int, list[tuple[float, float, bool]]]:
        """By worker, when it was asked, when it has answered, and what"""
        return {
            int(path.stem): [
                (float(before), float(after), leads == "1")
                for before, after, leads in (
                    line.split()
                    for line in path.read_text().splitlines(keepends=True)
                    if line.endswith("\n")
                )
            ]
            for path in self.folder.glob("*.stamps")
        }

    def says(self) -> list[bool]:
        """What each worker that lives has said last"""
        return [
            stamps[-1][2]
            for worker, stamps in self.stamps().items()
            if stamps and Path(f"/proc/{worker}").exists()
        ]

    def all_say(self, leads: bool) -> bool:
        return self.says() == [leads] * WORKERS

    def last_yes(self) -> float:
        return max(before for one in self.stamps().values() for before, _, yes in one if yes)

    def first_yes(self) -> float:
        return min(after for one in self.stamps().values() for _, after, yes in one if yes)

    def port(self) -> int:
        wait_until(lambda: "Listening at: http" in self.output)
        return int(re.findall(r"Listening at: http://127\.0\.0\.1:(\d+)", self.output)[0])

    def get(self) -> str:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port(), timeout=30)) as client:
            client.request("GET", "/")
            return client.getresponse().read().decode()


def two_pods(project: Path, at_exit: ExitStack, *options: str) -> tuple[Web, Web]:
    """The one that leads, and the other, whose workers all say so"""
    a, b = (at_exit.enter_context(Web(project, name, *options)) for name in "ab")
    wait_until(lambda: sorted(a.says() + b.says()) == [False] * WORKERS + [True] * WORKERS)
    leader, other = (a, b) if a.all_say(leads=True) else (b, a)
    assert leader.all_say(leads=True)
    assert other.all_say(leads=False)
    return leader, other


@pytest.mark.parametrize("options", [(), ("--preload",)], ids=["each loads", "preload"])
def test_the_workers_of_one_pod_lead_and_none_of_another_before_they_have_ended(
    lease_namespace: Namespace, project: Path, options: tuple[str, ...]
) -> None:
    with ExitStack() as at_exit:
        leader, other = two_pods(project, at_exit, *options)
        assert re.fullmatch(rf"worker \d+ of {leader.pid} leads with .*\n", leader.get())
        assert re.fullmatch(rf"worker \d+ of {other.pid} follows\n", other.get())
        os.kill(leader.pid, signal.SIGTERM)
        assert leader.wait(60.0) == 0
        wait_until(lambda: other.all_say(leads=True))
        assert leader.last_yes() < other.first_yes()
        os.kill(other.pid, signal.SIGTERM)
        assert other.wait(60.0) == 0
        assert "Traceback" not in leader.output + other.output
    assert holder(lease_namespace, "my-site-web") == ""


@pytest.mark.parametrize("options", [(), ("--preload",)], ids=["each loads", "preload"])
def test_the_workers_of_an_arbiter_that_is_killed_do_not_lead(
    lease_namespace: Namespace, project: Path, options: tuple[str, ...]
) -> None:
    with ExitStack() as at_exit:
        leader, other = two_pods(project, at_exit, *options)
        os.kill(leader.pid, signal.SIGKILL)
        leader.wait(60.0)
        killed_at = time.clock_gettime(time.CLOCK_BOOTTIME)
        wait_until(lambda: not any(leader.says()))
        wait_until(lambda: other.all_say(leads=True))
        assert leader.last_yes() - killed_at < HOLDS_FOR
        assert leader.last_yes() < other.first_yes()


def test_a_worker_that_is_killed_is_replaced_by_one_that_says_the_same(
    lease_namespace: Namespace, project: Path
) -> None:
    with Web(project, "a") as web:
        wait_until(lambda: web.all_say(leads=True))
        killed = min(web.stamps())
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: len(web.stamps()) == WORKERS + 1 and web.all_say(leads=True))
        assert web.end(signal.SIGTERM) == 0
    assert holder(lease_namespace, "my-site-web") == ""
