"""The stand-in as a process of its own, so that what it keeps is not weighed with the library

``python -m tests.soak.server SEED`` writes where it serves, then what it has counted for each line
that it reads, and ends with its standard input.
"""

from __future__ import annotations

import json
import sys

from kube_leader_election.testing import ApiServer

from .troubles import RandomPlan
from .weight import resident_mib


def main() -> None:
    with ApiServer() as server:
        plan = server._service.plan = RandomPlan(int(sys.argv[1]))
        _say({"url": server.url, "token": server.token()})
        for _ in sys.stdin:
            _say({"asked": plan.asked, "met": plan.met, "RSS": resident_mib()})


def _say(what: object) -> None:
    sys.stdout.write(f"{json.dumps(what)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
