"""Row 35: electors and locks among candidates of client-go, of the Rust crates, of the client"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from dateutil.parser import isoparse

from kube_leader_election._clock import SystemClock
from tests import test_peers
from tests.electors import lead
from tests.fault_rows.world import NAME, Real
from tests.peers.build import CLIENT_GO, KUBE_COORDINATE, KUBE_LEADER_ELECTION
from tests.programs import Program, prepare_environment, wait_until

pytestmark = pytest.mark.peers

PYTHON = "python"
LONG, SHORT = 600, 3  # of the Python client's, the least that its rules allow

_PYTHON = f"""
import sys
from kubernetes import client, config
from kubernetes.leaderelection import electionconfig, leaderelection
from kubernetes.leaderelection.resourcelock.leaselock import LeaseLock

namespace, lease, holder, ttl = sys.argv[1:]
config.load_kube_config()
lock = LeaseLock(lease, namespace, holder)
tell = lambda: print("leading", flush=True)
print("following", flush=True)
election = electionconfig.Config(lock, int(ttl), {SHORT - 1}, 1, tell, None)
leaderelection.LeaderElection(election).run()
print("lost", flush=True)
"""


class PythonPeer(Program):
    """Tells that it leads, and cannot release its Lease"""

    def __init__(self, server: Real, *, folder: Path, ttl: int) -> None:
        pytest.importorskip("kubernetes.leaderelection.resourcelock.leaselock")
        arguments = [server.others.namespace, NAME, "peer", str(ttl)]
        super().__init__([sys.executable, "-c", _PYTHON, *arguments], folder=folder)

    def __enter__(self) -> PythonPeer:
        self.start()
        return self

    def _wait_for(self, line: str) -> None:
        def is_there() -> bool:
            self.check()
            return line in self.output.splitlines()

        wait_until(is_there)

    def wait_until_leading(self) -> None:
        self._wait_for("leading")

    def wait_until_following(self) -> None:
        self._wait_for("following")


Peer = PythonPeer | test_peers.Candidate
MakePeer = Callable[..., Peer]


@pytest.fixture
def peer(real: Real, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> MakePeer:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    # As the admin: the crates patch and list as well.
    server = test_peers.Server(real.server.kubeconfig(), real.others.namespace, real.lease)
    prepare_environment(monkeypatch, server.kubeconfig)

    def make(binary: str, ttl: int = LONG) -> Peer:
        if binary == PYTHON:
            return PythonPeer(real, folder=tmp_path / "peer", ttl=ttl)
        return test_peers.Candidate(binary, server, "peer", folder=tmp_path, ttl=ttl, lease=NAME)

    return make


@dataclass(frozen=True)
class Ours:
    """One of our candidates, and how it is stopped"""

    is_leader: Callable[[], bool]
    stop: Callable[[], object]


@contextmanager
def elector(server: Real, **options: Any) -> Iterator[Ours]:
    ours = server.elector("ours", **options)
    ours.start()
    yield Ours(ours.is_leader, ours.stop)


@contextmanager
def looped_lock(server: Real) -> Iterator[Ours]:
    """One that is asked every tenth of a second"""
    lock = server.lock("ours", clock=SystemClock())
    stopping = threading.Event()

    def loop() -> None:
        while not stopping.wait(0.1):
            lock.try_acquire_or_renew()

    def stop() -> None:
        stopping.set()
        thread.join()
        if lock.is_leader():
            lock.step_down()

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield Ours(lock.is_leader, stop)
    finally:
        stop()


Kind = Callable[[Real], AbstractContextManager[Ours]]
KINDS = pytest.mark.parametrize("kind", [elector, looped_lock], ids=["elector", "lock"])


@pytest.mark.fault_row(number=35)
@KINDS
@pytest.mark.parametrize("binary", [CLIENT_GO, KUBE_LEADER_ELECTION])
def test_we_follow_a_peer_and_lead_when_it_releases(
    real: Real, peer: MakePeer, kind: Kind, binary: str
) -> None:
    with peer(binary) as theirs:
        theirs.wait_until_leading()
        led = real.spec
        with kind(real) as ours:
            assert not ours.is_leader()
            assert theirs.end(signal.SIGTERM) == 0
            wait_until(ours.is_leader)
            spec = real.spec
            assert (spec["holderIdentity"], spec["leaseTransitions"]) == ("ours", 1)
            assert led["holderIdentity"] == "peer"
            ours.stop()
    assert real.spec.get("holderIdentity", "") == ""


@pytest.mark.fault_row(number=35)
@KINDS
@pytest.mark.parametrize("binary", [CLIENT_GO, KUBE_COORDINATE, KUBE_LEADER_ELECTION, PYTHON])
def test_a_peer_follows_us_and_leads_when_we_release(
    real: Real, peer: MakePeer, kind: Kind, binary: str
) -> None:
    with kind(real) as ours:
        wait_until(ours.is_leader)
        with peer(binary) as theirs:
            theirs.wait_until_following()
            assert ours.is_leader()
            ours.stop()
            theirs.wait_until_leading()
            assert not ours.is_leader()
            assert real.spec["holderIdentity"] == "peer"


@pytest.mark.fault_row(number=35)
@KINDS
@pytest.mark.parametrize("binary", [KUBE_COORDINATE, KUBE_LEADER_ELECTION, PYTHON])
def test_we_lead_once_the_promise_of_a_peer_that_was_killed_is_over(
    real: Real, peer: MakePeer, kind: Kind, binary: str
) -> None:
    with peer(binary, SHORT) as theirs:
        theirs.wait_until_leading()
        with kind(real) as ours:
            theirs.kill()
            left = real.spec
            assert not ours.is_leader()
            wait_until(ours.is_leader)
            ended = isoparse(left["renewTime"]) + timedelta(seconds=left["leaseDurationSeconds"])
            assert isoparse(real.spec["acquireTime"]) >= ended
            ours.stop()


@pytest.mark.fault_row(number=35)
@pytest.mark.parametrize("binary", [CLIENT_GO, KUBE_COORDINATE, KUBE_LEADER_ELECTION, PYTHON])
def test_a_peer_with_a_shorter_promise_of_its_own_keeps_to_that_of_our_elector_or_we_are_told(
    real: Real, peer: MakePeer, binary: str
) -> None:
    ours = real.elector("ours", renew_deadline=14.0)
    leadership = lead(ours)
    with peer(binary, SHORT) as theirs:
        theirs.wait_until_following()
        leadership.lost.wait(2 * SHORT)
        told = leadership.lost.is_set()
        assert told is (real.spec["holderIdentity"] != "ours")
        assert ours.is_leader() is not told
        if told:
            theirs.wait_until_leading()
    ours.stop()
