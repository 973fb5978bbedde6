"""What every stand-in for the API server lets a test do behind the clients' backs."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import datetime
from types import TracebackType
from typing import Any, TypeVar

from kube_leader_election._core.record import micro_time

from ._kinds import LEASE
from ._memory import Backup
from ._plan import RecordedRequest
from ._refusal import Refusal
from ._service import Service
from .faults import Fault

_Self = TypeVar("_Self", bound="StandIn")

_SPEC = {
    "holder_identity": "holderIdentity",
    "lease_duration_seconds": "leaseDurationSeconds",
    "acquire_time": "acquireTime",
    "renew_time": "renewTime",
    "lease_transitions": "leaseTransitions",
    "strategy": "strategy",
    "preferred_holder": "preferredHolder",
}


class StandIn:
    """Base of the stand-ins: Leases put there by the test, faults, races, a log. Thread-safe."""

    def __init__(self, service: Service) -> None:
        self._service = service

    @property
    def requests(self) -> list[RecordedRequest]:
        """Every request of a known user so far, in the order of arrival, with its status."""
        return self._service.plan.requests

    def fail_next(
        self,
        fault: Fault,
        *,
        verb: str | None = None,
        user: str | None = None,
        skip: int = 0,
        times: int | None = 1,
    ) -> None:
        """The next request meets `fault`, one of `kube_leader_election.testing.faults`.

        `verb` (get, list, watch, create, update, patch, delete) and `user` limit it to such
        requests, of which the first `skip` pass and the next `times` fail (`None`: all that
        follow, at least one). A request meets one fault, the one that was armed first.

        :raises TypeError: `fault` is none.
        :raises ValueError: `verb` is none that the fault can meet, `skip` or `times` no such
            number.
        """
        self._service.plan.fail_next(fault, verb=verb, user=user, skip=skip, times=times)

    def before_next(
        self,
        action: Callable[[], object],
        *,
        verb: str | None = None,
        user: str | None = None,
        skip: int = 0,
    ) -> None:
        """`action` is called once, after the next request has come and before it is carried out.

        So a race can be scripted: let another's write come in between a read and the write that
        builds on it. `verb`, `user` and `skip` are those of `fail_next`. What `action` raises
        comes out of the client's method in memory; over HTTP `check_faults_met` raises it.

        :raises TypeError: `action` cannot be called.
        :raises ValueError: `verb` is none, or `skip` no such number.
        """
        self._service.plan.before_next(action, verb=verb, user=user, skip=skip)

    def check_faults_met(self) -> None:
        """Every fault and race that was armed has been met as often as it was to be.

        :raises Exception: what an action of `before_next` raised, where nobody could be told.
        :raises UnmetFaultsError: one was not, so that the test has not tested what it says.
        """
        self._service.plan.check_met()

    def put_lease(self, name: str, namespace: str = "default", **spec: Any) -> dict[str, Any]:
        """The Lease says `spec`, whatever it said before, as if another had written it.

        `spec` are fields of `V1LeaseSpec` (`holder_identity="b"`), held to no rule. Where they
        are not given, `renew_time` and `acquire_time` are now and `lease_duration_seconds` is 15;
        `None` leaves a field out. It is no request: no fault meets it, and no log has it.

        :returns: the Lease, in the form of its JSON.
        :raises TypeError: `V1LeaseSpec` has no such field.
        """
        unknown = sorted(spec.keys() - _SPEC.keys())
        if unknown:
            raise TypeError(f"{unknown[0]!r} is no field of V1LeaseSpec: {', '.join(_SPEC)}")
        now = self._service.utcnow()
        said = {"lease_duration_seconds": 15, "acquire_time": now, "renew_time": now, **spec}
        document = {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.name,
            "metadata": {"name": name},
            "spec": {
                field: micro_time(said[option])
                if isinstance(said[option], datetime)
                else said[option]
                for option, field in _SPEC.items()
                if said.get(option) is not None
            },
        }
        stored = self._service.memory.put((LEASE, namespace, name), document)
        return copy.deepcopy(dict(stored))

    def stored_lease(self, name: str, namespace: str = "default") -> dict[str, Any] | None:
        """Return the Lease in the form of its JSON, `None` where there is none; no request."""
        try:
            return copy.deepcopy(dict(self._service.memory.read((LEASE, namespace, name))))
        except Refusal:
            return None

    def remove_lease(self, name: str, namespace: str = "default") -> None:
        """The Lease is gone, finalizers or not, as if another had deleted it. It is no request."""
        self._service.memory.drop((LEASE, namespace, name))

    def backup(self) -> Backup:
        """Return all Leases as they are now, for `restore`."""
        return self._service.memory.backup()

    def restore(self, backup: Backup) -> None:
        """All Leases and their versions are those of `backup`, as after a restore of etcd.

        Versions are then lower than some that clients have seen, and watches from those end.
        """
        self._service.memory.restore(backup)

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """All that was armed was met, unless the body of the block failed anyway."""
        if error is None:
            self.check_faults_met()
