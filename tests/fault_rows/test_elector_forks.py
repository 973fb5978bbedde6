"""Row 27: an elector in a process that forks, or that was forked"""

from __future__ import annotations

import http.client
import json
import re
import signal
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from tests.fault_rows.test_elector_ends import candidate
from tests.fault_rows.world import NAME, Http, Server
from tests.hostile import wait_until
from tests.programs import Program, prepare_environment

# A request may take 0.2 s, and a term is renewed every 0.3 s: that is what is forked into.
BUSY: dict[str, Any] = {"lease_ttl": 2, "renew_deadline": 1.0, "retry_period": 0.5}

# multiprocessing

_CHILDREN = """
def child(parent, sockets_of_parent):
    inherited = globals().get("elector")
    seen = [inherited.is_leader(), inherited.leadership] if inherited else [False, None]
    shared = len(set(sockets()) & set(sockets_of_parent))
    candidate = make_elector()
    candidate.start()
    while candidate.holder_identity != parent:
        time.sleep(0.01)
    tell(json.dumps([*seen, shared, candidate.holder_id != parent, candidate.is_leader()]))
    tell(candidate.wait_until_leading().fencing_token)
    candidate.stop()

if __name__ == "__main__":
    elector = make_elector()
    elector.start()
    leadership = elector.wait_until_leading()
    tell(leadership.fencing_token)
    context = multiprocessing.get_context(hear())
    process = context.Process(target=child, args=(elector.holder_id, sockets()))
    process.start()
    hear()
    tell(elector.leadership is leadership)
    elector.stop()
    process.join()
    tell(process.exitcode)
"""


@pytest.mark.fault_row(number=27)
def test_a_child_of_multiprocessing_is_another_candidate_by_each_start_method(
    server: Server,
) -> None:
    with ExitStack() as at_exit:
        scripts = {
            method: at_exit.enter_context(
                server.script(_CHILDREN, lease_name=method, holder_id=None)
            )
            for method in ("fork", "spawn", "forkserver")
        }
        tokens = {method: int(script.hear()) for method, script in scripts.items()}
        for method, script in scripts.items():
            script.say(method)
        for method, script in scripts.items():
            assert json.loads(script.hear()) == [False, None, 0, True, False]
            script.say()
            assert script.hear() == "True"
            assert int(script.hear()) > tokens[method]
            assert script.end() == (0, "0", "")
            assert holder(server, method) == ""


def holder(server: Server, lease_name: str = NAME) -> str:
    identity: str = server.others.read(lease_name).body["spec"]["holderIdentity"]
    return identity


_JUST_ENDS = """
def child():
    elector = make_elector()
    elector.start()
    tell(elector.wait_until_leading().fencing_token)

if __name__ == "__main__":
    process = multiprocessing.get_context(hear()).Process(target=child)
    process.start()
    process.join()
    tell(process.exitcode)
"""


@pytest.mark.fault_row(number=27)
@pytest.mark.fault_row(number=30)
def test_a_child_of_multiprocessing_that_just_ends_releases_the_lease(http: Http) -> None:
    with ExitStack() as at_exit:
        scripts = {
            method: at_exit.enter_context(http.script(_JUST_ENDS, lease_name=method))
            for method in ("fork", "spawn", "forkserver")
        }
        for method, script in scripts.items():
            script.say(method)
        for method, script in scripts.items():
            assert script.hear().isdecimal()
            assert script.end() == (0, "0", "")
            assert holder(http, method) == ""


_TELLS_ITS_END = """
def child(messages, go_on):
    messages.put("begun")
    last_words = messages.put if go_on is None else tell
    begun = threading.Event()
    elector = make_elector(
        on_started_leading=lambda _: begun.set(), on_stopped_leading=lambda: last_words("ended")
    )
    elector.start()
    begun.wait()

    def work():
        go_on.wait()
        tell(elector.is_leader())

    if go_on is not None:
        threading.Thread(target=work).start()

if __name__ == "__main__":
    method, has_work = hear().split()
    context = multiprocessing.get_context(method)
    messages, go_on = context.Queue(), context.Event() if has_work == "works" else None
    process = context.Process(target=child, args=(messages, go_on))
    process.start()
    tell(messages.get())
    if go_on is None:
        tell(messages.get())
    else:
        process.join(0.5)
        go_on.set()
    process.join()
    tell(process.exitcode)
"""


@pytest.mark.fault_row(number=30)
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_child_of_multiprocessing_leads_until_its_threads_have_ended(
    http: Http, method: str
) -> None:
    with http.script(_TELLS_ITS_END) as script:
        script.say(f"{method} works")
        assert [script.hear() for _ in range(3)] == ["begun", "True", "ended"]
        assert script.end() == (0, "0", "")
    assert holder(http) == ""


@pytest.mark.fault_row(number=30)
def test_a_child_of_multiprocessing_can_tell_its_parent_the_end(http: Http) -> None:
    with http.script(_TELLS_ITS_END) as script:
        script.say("fork idles")
        assert [script.hear() for _ in range(2)] == ["begun", "ended"]
        assert script.end() == (0, "0", "")


# os.fork

_CHILDREN_END = """
elector = make_elector()
elector.start()
leadership = elector.wait_until_leading()
ends = {
    "the end": lambda: sys.exit(),
    "os._exit": lambda: os._exit(0),
    "an exception": lambda: 1 / 0,
    "SIGTERM": lambda: signal.raise_signal(signal.SIGTERM),
    "SIGKILL": lambda: signal.raise_signal(signal.SIGKILL),
    "a stop": lambda: (elector.stop(), os._exit(0)),
}
for name, end in ends.items():
    child = os.fork()
    if not child:
        sys.excepthook = lambda *_: None
        end()
    tell(name, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), bool(leadership))
hear()
tell(elector.leadership is leadership)
"""


@pytest.mark.fault_row(number=27)
def test_however_a_child_ends_its_parent_leads_on(server: Server) -> None:
    with server.script(_CHILDREN_END) as script:
        told = [script.hear() for _ in range(6)]
        assert told == [
            "the end 0 True",
            "os._exit 0 True",
            "an exception 1 True",
            "SIGTERM -15 True",
            "SIGKILL -9 True",
            "a stop 0 True",
        ]
        with candidate(server, "b", NAME) as standby:
            wait_until(lambda: standby.holder_identity == "a")
            script.say()
            assert script.hear() == "True"
            assert script.end() == (0, "", "")
            assert standby.wait_until_leading(10.0)


_FORKS_BEFORE = """
elector = make_elector()
elector.is_leader()  # so that there is something that belongs to the parent
child = os.fork()
elector.start()
if child:
    hear()
    os.kill(child, signal.SIGTERM)
    tell(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    elector.stop()
else:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    time.sleep(60)
"""


@pytest.mark.fault_row(number=27)
def test_of_an_elector_that_is_started_on_both_sides_of_a_fork_one_leads(http: Http) -> None:
    with http.script(_FORKS_BEFORE, holder_id=None) as script:
        with candidate(http, "b", NAME) as standby:
            wait_until(lambda: [verb for verb, _ in http.requests()].count("watch") >= 3)
            wait_until(lambda: standby.holder_identity is not None)
            standby.stop()
        script.say()
        assert script.hear() == "0"
        assert script.end() == (0, "", "")
    assert holder(http) == ""


_STORM = """
electors = []
for number in range(3):
    options["lease_name"] = f"lease-{number}"
    electors.append(make_elector())
    electors[-1].start()
terms = [elector.wait_until_leading() for elector in electors]

def leave():
    signal.alarm(60)
    assert not any(elector.is_leader() for elector in electors)
    for elector in electors:
        elector.stop()
        repr(elector)
    logging.getLogger("kube_leader_election").error("said in the child")

logging.getLogger("kube_leader_election").addHandler(logging.NullHandler())
logging.getLogger("kube_leader_election").propagate = False
codes = set()
for turn in range(int(hear())):
    children = []
    for end in (sys.exit, os._exit, os._exit, os._exit):  # the first takes its time
        child = os.fork()
        if not child:
            leave()
            end(0)
        children.append(child)
    for child in children:
        codes.add(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
tell(codes)
for elector in electors:
    elector.wait_until_leading()
    elector.stop()
"""


@pytest.mark.fault_row(number=27)
def test_no_child_of_many_hangs_whatever_its_parent_was_at(http: Http) -> None:
    with http.script(_STORM, **BUSY) as script:
        script.say("5")
        assert script.hear() == "{0}"
        assert script.end() == (0, "", "")
    assert {holder(http, f"lease-{number}") for number in range(3)} == {""}


# gunicorn

_PRELOADED = """
import json, os, threading
from kubernetes import client, config
from kube_leader_election import LeaderElector, LeaderElectorParams

config.load_kube_config()
params = LeaderElectorParams(lease_name="leader", holder_id="master")
elector = LeaderElector(client.CoordinationV1Api(), "default", params)
elector.start()
elector.wait_until_leading()
master = os.getpid()

def application(environ, start_response):
    found = {
        "in a worker": os.getpid() != master,
        "leads": elector.is_leader(),
        "state": elector.state.name,
        "healthy": elector.healthy(),
    }
    elector.stop()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(found).encode()]
"""


@pytest.mark.fault_row(number=27)
def test_what_a_master_of_gunicorn_has_preloaded_and_leads_its_workers_do_not(
    http: Http, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare_environment(monkeypatch, http.kubeconfig())
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "gunicorn", "--preload", "--workers=2", "--bind=127.0.0.1:0"]
    options = ["--no-control-socket", f"--chdir={tmp_path}", "preloaded:application"]
    (tmp_path / "preloaded.py").write_text(_PRELOADED)
    with Program([*command, *options], folder=folder) as program:
        wait_until(lambda: program.output.count("Booting worker") == 2)
        for _ in range(4):
            assert ask(program) == {
                "in a worker": True,
                "leads": False,
                "state": "STANDBY",
                "healthy": True,
            }
        assert holder(http) == "master"
        assert program.end(signal.SIGTERM) == 0
        assert "Traceback" not in program.output
    assert holder(http) == ""


def ask(program: Program) -> Any:
    (port,) = re.findall(r"Listening at: http://127\.0\.0\.1:(\d+)", program.output)
    with closing(http.client.HTTPConnection("127.0.0.1", int(port), timeout=30)) as connection:
        connection.request("GET", "/")
        return json.loads(connection.getresponse().read())
