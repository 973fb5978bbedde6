from __future__ import annotations

import os
import signal
import textwrap
import time
from collections.abc import Iterator
from typing import Any

import pytest

from kube_leader_election import (
    InvalidParamsError,
    LeaderElectionError,
    LeaderElectorParams,
    NotLeadingError,
)
from kube_leader_election.contrib.prefork import PodElector
from kube_leader_election.testing import ApiServer, FakeCoordinationV1Api
from tests.hostile import wait_until
from tests.scripts import Script

PARAMS = LeaderElectorParams(lease_name="leader", holder_id="a")

_BEGIN = """
from kube_leader_election.contrib.prefork import PodElector

def make_pod():
    return PodElector(LeaderElectorParams(**options), namespace=namespace, client=api_client)

def fork(work):
    child = os.fork()
    if child == 0:
        signal.alarm(120)
        try:
            work()
        finally:
            os._exit(0)
    return child

def now():
    return time.clock_gettime(time.CLOCK_BOOTTIME)

def wait_until(is_true):
    while not is_true():
        time.sleep(0.01)

def ended(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

pod = make_pod()
"""
_LEAD = """
pod.start()
wait_until(pod.is_leader)
"""


def running(server: ApiServer, script: str, *, lead: bool = True, **params: Any) -> Script:
    begin = f"{_BEGIN}{_LEAD if lead else ''}"
    return Script(server.kubeconfig, begin + textwrap.dedent(script), **params)


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as server:
        yield server


def holder(server: ApiServer) -> str:
    lease = server.stored_lease("leader")
    assert lease is not None
    identity: str = lease["spec"]["holderIdentity"]
    return identity


@pytest.fixture
def pod(lease_api: FakeCoordinationV1Api, monkeypatch: pytest.MonkeyPatch) -> Iterator[PodElector]:
    monkeypatch.setattr("os.environ", dict(os.environ))  # where it leaves its address
    pod = PodElector(PARAMS, namespace="default", client=lease_api)
    yield pod
    pod.stop()


# In the main process


def test_it_leads_from_when_the_lease_is_ours_until_it_is_released(
    pod: PodElector, lease_api: FakeCoordinationV1Api
) -> None:
    assert (pod.is_leader(), pod.leadership, pod.fencing_token) == (False, None, None)
    pod.start()
    wait_until(pod.is_leader)
    leadership = pod.leadership
    assert leadership is not None
    assert 0 < leadership.remaining() <= 1.2
    leadership.ensure_valid()
    assert leadership.fencing_token == pod.fencing_token
    pod.stop()
    assert (pod.is_leader(), pod.leadership, pod.fencing_token) == (False, None, None)
    with pytest.raises(NotLeadingError):
        leadership.ensure_valid()
    assert (bool(leadership), leadership.lost.wait(0), leadership.stopping.wait(0)) == (
        False,
        True,
        True,
    )
    lease = lease_api.stored_lease("leader")
    assert lease is not None
    assert lease["spec"]["holderIdentity"] == ""


def test_nothing_is_believed_for_longer_than_the_term(
    lease_api: FakeCoordinationV1Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.environ", dict(os.environ))
    params = LeaderElectorParams(
        lease_name="leader", lease_ttl=2, renew_deadline=1.0, retry_period=0.5
    )
    pod = PodElector(params, namespace="default", client=lease_api)
    pod.start()
    wait_until(pod.is_leader)
    ends_at = time.monotonic() + 0.5
    while time.monotonic() < ends_at:
        leadership = pod.leadership
        assert leadership is None or leadership.remaining() <= 1.0
    pod.stop()


def test_a_later_term_is_not_the_one_before(
    pod: PodElector, lease_api: FakeCoordinationV1Api
) -> None:
    pod.start()
    wait_until(pod.is_leader)
    first = pod.leadership
    assert first is not None
    lease_api.put_lease("leader", holder_identity="another")
    assert first.lost.wait(30)
    lease_api.put_lease("leader", holder_identity=None)
    wait_until(pod.is_leader)
    second = pod.leadership
    assert second is not None
    assert second.is_valid()
    assert not first.is_valid()
    assert first.stopping.is_set()
    assert (first.fencing_token or 0) < (second.fencing_token or 0)


def test_a_duty_begins_while_the_pod_leads_and_is_not_to_finish(pod: PodElector) -> None:
    duty = pod.duty(lambda number: number + 1)
    assert duty(1) is None
    pod.start()
    wait_until(pod.is_leader)
    leadership = pod.leadership
    assert leadership is not None
    assert not leadership.stopping.wait(0.01)
    assert duty(1) == 2
    pod.finish()
    assert leadership.stopping.wait(30)
    assert (duty(1), pod.is_leader(), leadership.is_valid()) == (None, True, True)


def test_what_would_act_later_is_no_duty(pod: PodElector) -> None:
    async def later() -> None: ...

    with pytest.raises(InvalidParamsError, match="act later"):
        pod.duty(later)


def test_it_is_started_once(pod: PodElector) -> None:
    pod.start()
    with pytest.raises(LeaderElectionError, match=f"started by process {os.getpid()}"):
        pod.start()


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"params": {"lease_name": "leader"}}, "params"),
        ({"params": PARAMS, "namespace": "Mine"}, "namespace"),
    ],
)
def test_what_breaks_a_rule_is_named(arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidParamsError) as raised:
        PodElector(**arguments)
    assert raised.value.field == field


def test_nothing_is_started_where_no_cluster_is_known(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    def find_none() -> None:
        from kubernetes.config import ConfigException

        raise ConfigException("nothing found")

    monkeypatch.setattr("kubernetes.config.load_config", find_none)
    pod = PodElector(PARAMS, namespace="default")
    with pytest.raises(LeaderElectionError, match="no cluster is known: nothing found"):
        pod.start()
    pod.finish()
    pod.stop()
    assert pod.healthy()
    assert not pod.is_leader()


# In its children


def test_a_forked_child_knows_what_its_parent_does_and_only_asks(server: ApiServer) -> None:
    script = """
        def look():
            leadership = pod.leadership
            same = (leadership.fencing_token, pod.fencing_token) == (token, token)
            tell(pod.is_leader(), same, pod.healthy(), threading.active_count())
            try:
                pod.start()
            except Exception as error:
                tell("only ask" if str(os.getppid()) in str(error) else error)
            pod.finish()
            pod.stop()
            tell(pod.is_leader())
            tell(leadership.stopping.wait(60), leadership.is_valid(), pod.is_leader())

        token = pod.fencing_token
        child = fork(look)
        hear()
        pod.finish()
        tell(ended(child))
        pod.stop()
    """
    with running(server, script) as program:
        assert program.hear() == "True True True 1"
        assert program.hear() == "only ask"
        assert program.hear() == "True"
        program.say()
        assert program.hear() == "True True True"
        assert program.end() == (0, "0", "")
    assert holder(server) == ""


def test_the_lease_is_not_released_before_the_last_child_has_ended(server: ApiServer) -> None:
    script = """
        def work():
            grandchild = fork(lambda: (tell("works"), work_on()))
            os._exit(0)

        def work_on():
            leadership = pod.leadership
            leadership.stopping.wait()
            tell(leadership.is_valid())
            hear()
            tell(leadership.is_valid())

        ended(fork(work))
        wait_until(lambda: hear() == "stop")
        pod.stop()
        tell("stopped")
    """
    with running(server, script) as program:
        assert program.hear() == "works"
        program.say("stop")
        assert program.hear() == "True"
        assert holder(server) == "a"
        program.say("end")
        assert program.hear() == "True"
        assert program.hear() == "stopped"
        assert holder(server) == ""
        assert program.end() == (0, "", "")


def test_a_child_has_not_ended_before_what_it_does_at_exit_has(server: ApiServer) -> None:
    script = """
        import atexit

        def work_at_exit():
            if os.getpid() != parent:
                tell("works")
                hear()
                tell(pod.is_leader())

        parent = os.getpid()
        atexit.register(work_at_exit)
        pod.start()
        wait_until(pod.is_leader)
        if os.fork() == 0:
            sys.exit()
        pod.stop()
    """
    with running(server, script, lead=False) as program:
        assert program.hear() == "works"
        time.sleep(0.5)  # in which it would be released
        assert holder(server) == "a"
        program.say()
        assert program.hear() == "True"
        assert program.end() == (0, "", "")
    assert holder(server) == ""


@pytest.mark.parametrize("end", ["", "pod.stop()"])
def test_under_a_child_that_lives_on_the_lease_is_left_to_expire(
    server: ApiServer, end: str
) -> None:
    script = f"""
        def live_on():
            leadership = pod.leadership
            tell("works")
            leadership.lost.wait()
            tell("lost", pod.is_leader())
            signal.pause()

        fork(live_on)
        hear()
        {end}
    """
    with running(server, script, drain_timeout=0.3) as program:
        assert program.hear() == "works"
        program.say()
        assert program.hear() == "lost False"
        assert program.process.wait(60) == 0
        assert holder(server) == "a"


def test_a_program_that_ends_without_stop_releases_where_no_child_is_left(
    server: ApiServer,
) -> None:
    with running(server, "assert ended(fork(pod.is_leader)) == 0") as program:
        assert program.end() == (0, "", "")
    assert holder(server) == ""


_WATCHES = """
        def watch():
            leadership = pod.leadership
            tell("watches")
            looked_at = now()
            while leadership.is_valid():
                last = looked_at
                time.sleep(0.001)
                looked_at = now()
            tell(last, pod.is_leader(), pod.fencing_token)
            wait_until(lambda: pod.is_leader() or os.getppid() != parent)
            tell(pod.is_leader())

        parent = os.getpid()
        fork(watch)
        signal.pause()
"""


def test_the_children_of_a_main_process_that_is_killed_do_not_lead(server: ApiServer) -> None:
    with running(server, _WATCHES) as program:
        assert program.hear() == "watches"
        os.kill(program.process.pid, signal.SIGKILL)
        program.process.wait()
        killed_at = time.clock_gettime(time.CLOCK_BOOTTIME)
        last, *said = program.hear().split()
        assert program.hear() == "False"
    assert said == ["False", "None"]
    assert float(last) - killed_at < 1.2
    assert holder(server) == "a"


def test_the_children_of_a_main_process_that_stands_still_do_not_lead_meanwhile(
    server: ApiServer,
) -> None:
    with running(server, _WATCHES, lease_ttl=600, renew_deadline=500.0) as program:
        assert program.hear() == "watches"
        program.stand_still()
        assert program.hear().split()[1:] == ["False", "None"]
        program.go_on()
        assert program.hear() == "True"
    assert holder(server) == "a"


def test_a_child_that_was_started_anew_finds_its_main_process(server: ApiServer) -> None:
    script = """
        import subprocess
        if "child" in os.environ:
            leadership = pod.leadership
            tell(pod.is_leader(), pod.fencing_token == int(os.environ["child"]))
            leadership.stopping.wait()
            tell(leadership.is_valid())
            hear()
            tell(leadership.is_valid())
            sys.exit()
        pod.start()
        wait_until(pod.is_leader)
        token = str(pod.fencing_token)
        child = subprocess.Popen([sys.executable, *sys.argv], env={**os.environ, "child": token})
        hear()
        pod.stop()
        child.wait()
        tell(child.returncode)
    """
    with running(server, script, lead=False) as program:
        assert program.hear() == "True True"
        program.say()
        assert program.hear() == "True"
        assert holder(server) == "a"
        program.say()
        assert program.hear() == "True"
        assert program.end() == (0, "0", "")
    assert holder(server) == ""


def test_who_comes_after_the_main_process_has_let_go_is_not_led_to_believe(
    pod: PodElector, lease_api: FakeCoordinationV1Api
) -> None:
    pod.start()
    wait_until(pod.is_leader)
    pod.stop()
    late = PodElector(PARAMS, namespace="default", client=lease_api)
    assert (late.is_leader(), late.leadership) == (False, None)


@pytest.mark.parametrize("address", ["1 2", "x y z", "1 0 0", f"{os.getpid()} 0 1", "0 0 0"])
def test_an_address_of_nothing_is_of_no_leader(
    pod: PodElector, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setitem(os.environ, "KUBE_LEADER_ELECTION_POD_default/leader", address)
    assert not pod.is_leader()
