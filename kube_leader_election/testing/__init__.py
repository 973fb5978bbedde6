"""Stand-ins for tests of programs that elect a leader, without a cluster.

`FakeCoordinationV1Api` keeps Leases in memory behind the client's methods, `ApiServer` keeps them
behind real HTTP on loopback, for clients of any language. Both hold to the API server's rules,
misbehave as `faults` tells them, and log what they were asked. `FakeClock` is a clock that is set
by hand. These as pytest fixtures: `lease_api`, `lease_server`, `fake_clock`. `FakeElector` leads
when it is told to, for programs that only ask. `simulation` plays elections in virtual time.
"""

from __future__ import annotations

from . import faults
from ._clock import FakeClock
from ._fake_api import FakeCoordinationV1Api
from ._fake_elector import FakeElector
from ._plan import RecordedRequest, UnmetFaultsError
from ._server import ApiServer

__all__ = [
    "ApiServer",
    "FakeClock",
    "FakeCoordinationV1Api",
    "FakeElector",
    "RecordedRequest",
    "UnmetFaultsError",
    "faults",
]
