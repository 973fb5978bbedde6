"""Everything that the library raises of its own."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

_PLAIN = (str, int, float, timedelta, type(None))


class LeaderElectionError(Exception):
    """Whatever this library raises is one of these."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), str(self), self.__dict__.copy())


class InvalidParamsError(LeaderElectionError, ValueError):
    """An argument breaks a rule. No request was sent.

    `field`, `value` and `rule` say which one, what it was and what it must be.
    """

    def __init__(self, field: str, value: object, rule: str) -> None:
        super().__init__(f"{field}={_shown(value)}: {rule}")
        self.field = field
        self.value = value
        self.rule = rule

    def __reduce__(self) -> tuple[Any, ...]:
        # A client, say, cannot be pickled; what it looked like can.
        value = self.value if isinstance(self.value, _PLAIN) else _shown(self.value)
        return _restore, (type(self), str(self), {**self.__dict__, "value": value})


class NotLeadingError(LeaderElectionError):
    """The Lease is not ours. `holder_identity` is who holds it, `None` if nobody does."""

    def __init__(self, message: str, *, holder_identity: str | None) -> None:
        super().__init__(message)
        self.holder_identity = holder_identity


class LeaseError(LeaderElectionError):
    """A request was not answered, or not with something that can be understood.

    What was believed before it is believed still, until its own time is over. `verb` is
    Kubernetes' (get, create, update, watch), `status` the one of the answer, `None` where there
    was none. `__cause__` is the client's own error. Try again at the next turn.
    """

    def __init__(
        self, message: str, *, verb: str, namespace: str, lease_name: str, status: int | None
    ) -> None:
        super().__init__(message)
        self.verb = verb
        self.namespace = namespace
        self.lease_name = lease_name
        self.status = status


class GetLeaseError(LeaseError):
    """It is unknown what the Lease says."""


class CreateLeaseError(LeaseError):
    """It is unknown whether the Lease was created for us, or it was refused."""


class AcquireLeaseError(LeaseError):
    """It is unknown whether the Lease was taken over by us, or it was refused."""


class RenewLeaseError(LeaseError):
    """It is unknown whether our Lease was renewed, or it was refused."""


class ReleaseLeaseError(LeaseError):
    """It is unknown whether our Lease was released, or it was refused. We do not lead."""


def _shown(value: object) -> str:
    """Return `value` for people; of what may hold a secret, as a kubeconfig does, only the type."""
    if isinstance(value, dict) and value:
        return f"<{type(value).__name__}>"
    try:
        return repr(value)
    except ValueError:  # an int with more digits than Python prints
        return f"<{type(value).__name__}>"


def _restore(
    kind: type[LeaderElectionError], message: str, state: dict[str, Any]
) -> LeaderElectionError:
    error = kind.__new__(kind, message)
    error.__dict__.update(state)
    return error
