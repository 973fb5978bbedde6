"""Rows 30, 32 and 38: the end of a process or of an election, whatever is under way then"""

from __future__ import annotations

import functools
import json
import signal
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from kubernetes import config
from kubernetes.client import ApiClient, Configuration

from kube_leader_election import LeaderElector, LeaderElectorParams
from tests.electors import SHORTEST, Doing, sockets, term_of, threads
from tests.fault_rows.world import NAME, Http, Server
from tests.hostile import FairClock, wait_until
from tests.proxy import Proxy
from tests.scripts import Script

# A request may take 0.6 s, and a term is renewed after 1 s.
BRISK: dict[str, Any] = {"lease_ttl": 4, "renew_deadline": 3.0, "retry_period": 0.5}
REQUEST = 0.6
SLOW: dict[str, Any] = {"lease_ttl": 15, "renew_deadline": 10.0, "retry_period": 2.0}


class Way:
    """To the server, by a proxy, for scripts"""

    def __init__(self, server: Server, proxy: Proxy, kubeconfig: Path) -> None:
        self.proxy = proxy
        self._server = server
        self._kubeconfig = kubeconfig

    def script(self, text: str, **options: Any) -> Script:
        namespace = self._server.others.namespace
        return Script(self._kubeconfig, text, namespace=namespace, **options)

    def client(self) -> ApiClient:
        configuration = Configuration()
        load: Any = config.load_kube_config  # untyped
        load(str(self._kubeconfig), client_configuration=configuration)
        configuration.proxy = None
        return ApiClient(configuration)

    def wait_for_a_held_answer(self) -> None:
        wait_until(lambda: self.proxy.held("answers") > 0)


@contextmanager
def way_to(server: Server, folder: Path) -> Iterator[Way]:
    kubeconfig = json.loads(server.kubeconfig().read_text())
    cluster = kubeconfig["clusters"][0]["cluster"]
    url = urlsplit(cluster["server"])
    assert url.port is not None
    with Proxy(url.port, scheme=url.scheme) as proxy:
        cluster["server"] = proxy.url
        path = folder / f"{proxy.port}.kubeconfig"
        path.write_text(json.dumps(kubeconfig))
        yield Way(server, proxy, path)


on_kubernetes = functools.partial(pytest.param, marks=pytest.mark.apiserver)


# The interpreter ends

_TELLS = """
elector = make_elector(on_new_leader=tell, on_stopped_leading=lambda: tell("stopped"))
elector.start()
hear()
"""

ENDS = {
    "the end of main": ("", 0, ""),
    "sys.exit": ("sys.exit(3)", 3, ""),
    "an exception": ("raise ValueError('mine')", 1, "ValueError: mine"),
    "Ctrl-C": ("signal.raise_signal(signal.SIGINT); time.sleep(60)", -2, "KeyboardInterrupt"),
}


def check_end(script: Script, end: str, *, told: str, longest: float) -> None:
    """It ends as it would without us, and soon"""
    _, code, error = ENDS[end]
    with FairClock() as clock:
        ended = script.end()
    assert (ended[0], ended[1].rpartition("\n")[2]) == (code, told)
    assert ended[2].strip().endswith(error)
    assert ended[2].count("Traceback") == (1 if error else 0)
    assert "kube_leader_election" not in ended[2]
    assert clock.seconds < longest


@pytest.mark.fault_row(number=30)
def test_however_the_interpreter_ends_another_leads_at_once(server: Server) -> None:
    with ExitStack() as at_exit:
        scripts = {
            end: at_exit.enter_context(server.script(_TELLS + act, lease_name=f"lease-{number}"))
            for number, (end, (act, _, _)) in enumerate(ENDS.items())
        }
        for number, (end, script) in enumerate(scripts.items()):
            assert script.hear() == "a"
            standby = at_exit.enter_context(candidate(server, "b", f"lease-{number}"))
            wait_until(lambda: standby.holder_identity == "a")  # noqa: B023
            script.say()
            check_end(script, end, told="stopped", longest=3.0)
            assert standby.wait_until_leading(10.0)  # of the 15 that it would expire in


@contextmanager
def candidate(server: Server, holder_id: str, lease_name: str) -> Iterator[LeaderElector]:
    params = LeaderElectorParams(lease_name=lease_name, holder_id=holder_id)
    client, namespace = server.elector_client(), server.others.namespace
    with LeaderElector(client, namespace, params) as elector:
        yield elector


@pytest.mark.fault_row(number=30)
@pytest.mark.parametrize(
    ("server", "phase"),
    [("http", "acquiring"), ("http", "renewing"), on_kubernetes("real", "renewing")],
    indirect=["server"],
)
def test_the_interpreter_ends_in_the_middle_of_a_request(
    server: Server, tmp_path: Path, phase: str
) -> None:
    ends = ("sys.exit", "Ctrl-C")
    with ExitStack() as at_exit:
        way = at_exit.enter_context(way_to(server, tmp_path))
        if phase == "acquiring":
            way.proxy.hold("answers")
        scripts = {
            end: at_exit.enter_context(
                way.script(_TELLS + ENDS[end][0], lease_name=f"lease-{number}", **BRISK)
            )
            for number, end in enumerate(ends)
        }
        if phase == "acquiring":
            wait_until(lambda: way.proxy.open_connections >= len(ends))
        else:
            assert [script.hear() for script in scripts.values()] == ["a"] * len(ends)
            way.proxy.hold("answers")
            wait_until(lambda: way.proxy.held("answers") > 0)
        for script in scripts.values():
            script.say()
        for end, script in scripts.items():
            # 0.5 s for callbacks, one request, and Python's own end, of two processes.
            told = "stopped" if phase == "renewing" else ""
            check_end(script, end, told=told, longest=0.5 + REQUEST + 3.0)


@pytest.mark.fault_row(number=30)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_is_impatient_with_the_end_of_the_interpreter_is_told_nothing_of_us(
    http: Http, tmp_path: Path, number: signal.Signals
) -> None:
    text = "signal.signal(signal.SIGTERM, lambda *_: sys.exit())" + _TELLS
    with way_to(http, tmp_path) as way, way.script(text, **SLOW) as script:
        assert script.hear() == "a"
        way.proxy.hold("answers")
        script.say()
        assert script.hear() == "stopped"
        way.wait_for_a_held_answer()
        script.process.send_signal(number)
        way.proxy.let_pass()
        code, _, errors = script.end()
    assert (code, errors) == (0, "")


# SIGTERM

_HANDLERS = {
    "stop": """
        elector = make_elector(on_new_leader=tell)
        signal.signal(signal.SIGTERM, lambda *_: elector.stop())
        elector.start()
        for state in elector.changes():
            pass
    """,
    "sys.exit": """
        signal.signal(signal.SIGTERM, lambda *_: sys.exit())
        with make_elector(on_new_leader=tell):
            while True:
                time.sleep(60)
    """,
    "stop_on": """
        make_elector(on_new_leader=tell).run(
            lambda leadership: leadership.stopping.wait(), stop_on=[signal.SIGTERM]
        )
    """,
}

_PHASES = ("acquiring", "following", "leading", "renewing", "releasing")


@pytest.mark.fault_row(number=32)
@pytest.mark.parametrize(
    ("server", "handler"),
    [*(("http", handler) for handler in _HANDLERS), on_kubernetes("real", "stop_on")],
    indirect=["server"],
)
def test_a_process_that_is_told_to_end_ends_in_every_phase(
    server: Server, tmp_path: Path, handler: str
) -> None:
    text = textwrap.dedent(_HANDLERS[handler])
    server.put(holder_identity="b", lease_duration_seconds=600)
    with ExitStack() as at_exit:
        ways = {phase: at_exit.enter_context(way_to(server, tmp_path)) for phase in _PHASES}
        ways["acquiring"].proxy.hold("answers")
        scripts = {}
        for phase, way in ways.items():
            name = NAME if phase == "following" else phase
            params = SLOW if phase == "releasing" else BRISK
            scripts[phase] = at_exit.enter_context(way.script(text, lease_name=name, **params))
        for phase, script in scripts.items():
            if phase == "acquiring":
                ways[phase].wait_for_a_held_answer()
            else:
                assert script.hear() == ("b" if phase == "following" else "a")
                if phase in ("renewing", "releasing"):
                    ways[phase].proxy.hold("answers")
                if phase == "renewing":
                    ways[phase].wait_for_a_held_answer()
            script.process.send_signal(signal.SIGTERM)
            if phase == "releasing":
                ways[phase].wait_for_a_held_answer()
                script.process.send_signal(signal.SIGTERM)
                ways[phase].proxy.let_pass()
            with FairClock() as clock:
                assert script.end() == (0, "", "")
            assert clock.seconds < 2 * REQUEST + 3.0
        assert server.spec["holderIdentity"] == "b"
        assert (holder(server, "leading"), holder(server, "releasing")) == ("", "")


def holder(server: Server, lease_name: str) -> str:
    identity: str = server.others.read(lease_name).body["spec"]["holderIdentity"]
    return identity


# A hundred stops

_AT_ONCE = 20


@pytest.mark.fault_row(number=38)
@pytest.mark.parametrize(
    ("server", "phase", "rounds"),
    [
        ("http", "acquiring", 100),
        ("http", "renewing", 100),
        on_kubernetes("real", "acquiring", 100),
        on_kubernetes("real", "renewing", 20),
    ],
    indirect=["server"],
)
def test_a_hundred_stops_in_hanging_requests_return_in_time_and_leave_nothing(
    server: Server, tmp_path: Path, phase: str, rounds: int
) -> None:
    params = SHORTEST if isinstance(server, Http) else BRISK
    slowest = 0.0
    with way_to(server, tmp_path) as way:
        before = sockets()
        for first in range(0, rounds, _AT_ONCE):
            candidates = [
                LeaderElector(
                    way.client(),
                    server.others.namespace,
                    LeaderElectorParams(lease_name=f"lease-{number}", **params),
                )
                for number in range(first, first + _AT_ONCE)
            ]
            slowest = max(slowest, stop_all(way, candidates, renewing=phase == "renewing"))
            wait_until(lambda: threads() == [])
        wait_until(lambda: sockets() <= before)
    # One request at the most, and whatever twenty electors take of a busy machine.
    assert slowest < params["renew_deadline"] / 5 + 1.0


def stop_all(way: Way, electors: list[LeaderElector], *, renewing: bool) -> float:
    """They are stopped at once, while requests hang; return how long the slowest stop took"""
    try:
        if renewing:
            for elector in electors:
                elector.start()
            for elector in electors:
                term_of(elector)
        way.proxy.hold("answers")
        if not renewing:
            for elector in electors:
                elector.start()
        way.wait_for_a_held_answer()
    finally:
        with FairClock() as clock:
            stops = [Doing(elector.stop) for elector in electors]
            for stop in stops:
                stop.result()
    assert not any(elector.is_leader() for elector in electors)
    way.proxy.let_pass()
    return clock.seconds
