from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from kube_leader_election.testing import ApiServer, faults
from tests.hostile import FairClock, wait_until
from tests.scripts import Script

# A request may take 0.2 s.
QUICK: dict[str, Any] = {"lease_ttl": 2, "renew_deadline": 1.0, "retry_period": 0.5}
# Renewed every 0.7 s, and survives a machine that stands still for as long.
STEADY: dict[str, Any] = {"lease_ttl": 4, "renew_deadline": 2.0, "retry_period": 0.5}


def running(server: ApiServer, script: str, **params: Any) -> Script:
    return Script(server.kubeconfig, script, **params)


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as server:
        yield server


def holder(server: ApiServer, lease_name: str = "leader") -> str:
    lease = server.stored_lease(lease_name)
    assert lease is not None
    identity: str = lease["spec"]["holderIdentity"]
    return identity


def asked(server: ApiServer, verb: str) -> int:
    return [request.verb for request in server.requests].count(verb)


_LEAD = """
elector = make_elector(
    on_started_leading=lambda _: started.set(),
    on_stopped_leading=lambda: tell("stopped"),
)
started = threading.Event()
elector.start()
started.wait()
tell("leading")
"""


# The end of a process


ENDS = {
    "the-end-of-main": ("", 0, ""),
    "sys-exit": ("sys.exit(3)", 3, ""),
    "an-error": ("raise ValueError('mine')", 1, "ValueError: mine"),
    "ctrl-c": ("signal.raise_signal(signal.SIGINT); time.sleep(60)", -2, "KeyboardInterrupt"),
}


@pytest.mark.fault_row(number=30)
def test_however_a_process_ends_by_itself_the_lease_is_released_first(server: ApiServer) -> None:
    with ExitStack() as at_exit:  # all at once: there is little to do for each
        programs = [
            at_exit.enter_context(running(server, _LEAD + end, lease_name=name))
            for name, (end, _, _) in ENDS.items()
        ]
        for program, (name, (_, code, error)) in zip(programs, ENDS.items(), strict=True):
            assert program.hear() == "leading"
            with FairClock() as clock:
                ended, told, errors = program.end()
            assert clock.seconds < 2.0
            assert (ended, told) == (code, "stopped")
            assert holder(server, name) == ""
            assert errors.strip().endswith(error)
            assert errors.count("Traceback") == (1 if error else 0)
            assert "kube_leader_election" not in errors


@pytest.mark.fault_row(number=32)
@pytest.mark.parametrize("end", ["os._exit(0)", "signal.raise_signal(signal.SIGTERM)"])
def test_a_process_that_is_killed_releases_nothing(server: ApiServer, end: str) -> None:
    # The control of the tests above. Nor is a handler of SIGTERM installed unasked.
    with running(server, _LEAD + end) as program:
        assert program.hear() == "leading"
        code, told, _ = program.end()
    assert (code, told) in [(0, ""), (-signal.SIGTERM, "")]
    assert holder(server) == "a"


@pytest.mark.fault_row(number=30)
def test_a_process_ends_in_time_where_the_server_hangs(server: ApiServer) -> None:
    with running(server, _LEAD + "hear()", **QUICK) as program:
        assert program.hear() == "leading"
        server.fail_next(faults.hang(), times=None)
        program.say()
        with FairClock() as clock:
            code, told, errors = program.end()
    assert (code, told) == (0, "stopped")
    assert "Traceback" not in errors
    assert clock.seconds < 2.5  # 0.5 s for callbacks, 0.2 s for the request, and Python's own end
    assert holder(server) == "a"


@pytest.mark.fault_row(number=30)
@pytest.mark.parametrize("obeys", [True, False])
def test_a_lease_is_not_released_at_exit_under_work_that_runs_on(
    server: ApiServer, obeys: bool
) -> None:
    script = f"""
        elector = make_elector()

        def work(leadership):
            tell("working")
            (leadership.stopping if {obeys} else threading.Event()).wait()

        threading.Thread(target=elector.run, args=(work,), daemon=True).start()
        hear()
    """
    with running(server, script, **QUICK) as program:
        assert program.hear() == "working"
        program.say()
        code, _, errors = program.end()
    assert code == 0
    assert "Traceback" not in errors
    assert holder(server) == ("" if obeys else "a")


# Signals


@pytest.mark.fault_row(number=32)
def test_a_signal_of_stop_on_drains_and_releases(server: ApiServer) -> None:
    script = """
        def work(leadership):
            tell("working")
            leadership.stopping.wait()
            tell("draining", leadership.is_valid())
            hear()
            tell("drained", leadership.is_valid())

        elector = make_elector()
        elector.run(work, stop_on=[signal.SIGTERM, signal.SIGINT])
        tell("returned", signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)
    """
    with running(server, script, **STEADY) as program:
        assert program.hear() == "working"
        program.process.send_signal(signal.SIGTERM)
        assert program.hear() == "draining True"
        program.process.send_signal(signal.SIGTERM)
        program.process.send_signal(signal.SIGINT)
        assert holder(server) == "a"
        program.say()
        code, told, errors = program.end()
    assert (code, told.splitlines()) == (0, ["drained True", "returned True"])
    assert "Traceback" not in errors
    assert holder(server) == ""


@pytest.mark.fault_row(number=22)
def test_a_process_that_stood_still_for_too_long_does_not_lead(server: ApiServer) -> None:
    script = """
        elector = make_elector()
        elector.start()
        leadership = elector.wait_until_leading()
        tell(elector.is_leader())
        hear()
        tell(elector.is_leader(), bool(leadership))
        leadership.lost.wait()
    """
    with running(server, script, **QUICK) as program:
        assert program.hear() == "True"
        program.stand_still()
        lease = server.put_lease("leader", holder_identity="b")
        program.say()
        time.sleep(QUICK["renew_deadline"])
        program.go_on()
        assert program.hear() == "False False"
        code, _, errors = program.end()
    assert code == 0
    assert "Traceback" not in errors
    stored = server.stored_lease("leader")
    assert stored == lease


# Forks


_IN_CHILD = """
def in_child(call):
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        os.write(theirs, json.dumps(call()).encode())
        sys.exit(0)
    os.close(theirs)
    with os.fdopen(ours) as pipe:
        told = pipe.read()
    assert os.waitpid(child, 0)[1] == 0
    return json.loads(told)
"""

_FORK = """
elector = make_elector()
elector.start()
leadership = elector.wait_until_leading()
tell("leading")
hear()
before = sockets()

def look():
    seen = {
        "leads": elector.is_leader(),
        "state": elector.state.name,
        "leadership": elector.leadership,
        "holder": elector.holder_identity,
        "token": elector.fencing_token,
        "another name": elector.holder_id != name,
        "valid": [leadership.is_valid(), bool(leadership), leadership.remaining()],
        "inherited": len(set(before) & set(sockets())),
        "threads": threading.active_count(),
        "healthy": elector.healthy(0),
    }
    try:
        leadership.ensure_valid()
    except NotLeadingError:
        seen["refused"] = True
    elector.stop()
    elector.stop(wait=False)
    return seen

def contend(candidate):
    candidate.start()
    while candidate.state.name != "FOLLOWING":
        time.sleep(0.01)
    seen = candidate.holder_identity == name and candidate.holder_id != name
    candidate.stop()
    return seen

name = elector.holder_id
tell(json.dumps(in_child(look)))
hear()
tell(json.dumps([elector.leadership is leadership, sockets() == before]))
tell(in_child(lambda: contend(elector)))
tell(in_child(lambda: contend(make_elector())))
hear()
tell(json.dumps([elector.leadership is leadership, sockets() == before]))
elector.stop()
"""


@pytest.mark.fault_row(number=27)
def test_a_child_that_is_forked_is_another_candidate_that_was_not_started(
    server: ApiServer,
) -> None:
    with running(server, _IN_CHILD + _FORK, holder_id=None, **STEADY) as program:
        assert program.hear() == "leading"
        wait_until(lambda: asked(server, "update") >= 1)
        wait_until(lambda: asked(server, "watch") == 1)
        program.say()
        assert json.loads(program.hear()) == {
            "leads": False,
            "state": "STANDBY",
            "leadership": None,
            "holder": None,
            "token": None,
            "another name": True,
            "valid": [False, False, 0.0],
            "inherited": 0,
            "threads": 1,
            "healthy": True,
            "refused": True,
        }
        renewals = asked(server, "update")
        wait_until(lambda: asked(server, "update") > renewals)  # the parent goes on
        verbs = {verb: asked(server, verb) for verb in ("get", "create", "watch")}
        assert verbs == {"get": 1, "create": 1, "watch": 1}
        program.say()
        assert json.loads(program.hear()) == [True, True]
        assert [program.hear(), program.hear()] == ["True", "True"]
        assert (asked(server, "get"), asked(server, "create")) == (3, 1)
        renewals = asked(server, "update")
        wait_until(lambda: asked(server, "update") > renewals)
        program.say()
        assert json.loads(program.hear()) == [True, True]
        code, _, errors = program.end()
    assert (code, errors) == (0, "")
    assert holder(server) == ""


@pytest.mark.fault_row(number=27)
def test_a_child_of_multiprocessing_is_another_candidate(server: ApiServer) -> None:
    script = """


        def look():
            seen = [elector.is_leader(), bool(leadership), elector.holder_identity]
            elector.stop()
            elector.start()
            while elector.state.name != "FOLLOWING":
                time.sleep(0.01)
            elector.stop()
            tell(json.dumps(seen))

        elector = make_elector()
        elector.start()
        leadership = elector.wait_until_leading()
        child = multiprocessing.get_context("fork").Process(target=look)
        child.start()
        child.join()
        tell(child.exitcode, elector.leadership is leadership)
    """
    with running(server, script, holder_id=None, **STEADY) as program:
        assert json.loads(program.hear()) == [False, False, None]
        code, told, errors = program.end()
    assert (code, told, errors) == (0, "0 True", "")
    assert holder(server) == ""


@pytest.mark.fault_row(number=27)
def test_a_child_of_work_that_signals_stop_can_be_terminated(server: ApiServer) -> None:
    script = """
        def work(leadership):
            child = os.fork()
            if not child:
                time.sleep(60)
            time.sleep(0.1)
            os.kill(child, signal.SIGTERM)
            tell(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
            tell(leadership.is_valid())

        elector = make_elector()
        elector.run(work, stop_on=[signal.SIGTERM])
    """
    with running(server, script, **STEADY) as program:
        code, told, errors = program.end()
    assert told.splitlines() == [str(-signal.SIGTERM), "True"]
    assert (code, errors) == (0, "")


@pytest.mark.fault_row(number=27)
def test_in_a_child_that_a_callback_forks_no_callback_is_called(server: ApiServer) -> None:
    script = """
        def started(leadership):
            child = os.fork()
            if child:
                tell(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

        elector = make_elector(
            on_started_leading=started,
            on_stopped_leading=lambda: tell("stopped in", os.getpid() == parent),
        )
        parent = os.getpid()
        elector.start()
        elector.wait_until_leading()
        hear()
        elector.stop()
    """
    with running(server, script, **STEADY) as program:
        assert program.hear() == "0"
        program.say()
        code, told, errors = program.end()
    assert (code, told, errors) == (0, "stopped in True", "")


@pytest.mark.fault_row(number=27)
def test_who_waits_in_a_child_for_the_end_of_its_parent_s_term_is_told_it_at_once(
    server: ApiServer,
) -> None:
    script = """
        elector = make_elector()
        elector.start()
        leadership = elector.wait_until_leading()
        changes = elector.changes()
        next(changes)
        child = os.fork()
        if not child:
            leadership.stopping.wait()
            leadership.lost.wait()
            tell([state.name for state in changes][-1])
            os._exit(0)
        os.waitpid(child, 0)
        tell(leadership.stopping.is_set(), leadership.is_valid())
    """
    with running(server, script, **STEADY) as program:
        assert program.hear() == "STANDBY"
        assert program.hear() == "False True"
        code, _, errors = program.end()
    assert (code, errors) == (0, "")


@pytest.mark.fault_row(number=27)
@pytest.mark.parametrize("end", ["sys.exit(0)", "return"])
def test_a_child_that_is_forked_by_the_work_ends_at_once(server: ApiServer, end: str) -> None:
    script = f"""
        def work(leadership):
            child = os.fork()
            if not child:
                {end}
            began_at = time.monotonic()
            while not os.waitpid(child, os.WNOHANG)[0] and time.monotonic() < began_at + 3.0:
                time.sleep(0.01)
            tell("child gone", time.monotonic() < began_at + 3.0)
            tell("parent leads", leadership.is_valid())
            try:
                os.kill(child, signal.SIGKILL)
            except ProcessLookupError:
                pass

        elector = make_elector()
        elector.run(work)
    """
    with running(server, script, **STEADY) as program:
        code, told, errors = program.end()
    assert told.splitlines() == ["child gone True", "parent leads True"]
    assert (code, errors) == (0, "")
    assert holder(server) == ""
