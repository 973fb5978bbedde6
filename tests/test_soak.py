"""What `python -m tests.soak` relies on; it takes minutes itself"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from kube_leader_election.testing import faults
from kube_leader_election.testing._plan import RecordedRequest
from kube_leader_election.testing.faults import (
    Fault,
    NoAnswer,
    Silence,
    WatchFault,
    WatchTrouble,
)
from tests.soak import __main__ as soak
from tests.soak.log_lines import counted
from tests.soak.troubles import OF_READS, OF_REQUESTS, OF_WATCHES, RandomPlan
from tests.soak.weight import Weight

CHECKOUT = Path(__file__).parents[1]
REQUESTS = 5000


def met(verb: str) -> tuple[RandomPlan, list[Fault]]:
    plan = RandomPlan(seed=1)
    request = RecordedRequest(verb, "default", "leader", "user")
    return plan, [fault for _ in range(REQUESTS) if (fault := plan.meet(request))]


@pytest.mark.parametrize(
    ("verb", "kinds"),
    [("get", {*OF_REQUESTS, *OF_READS}), ("update", {*OF_REQUESTS})],
)
def test_one_request_in_a_hundred_meets_each_kind_of_fault(verb: str, kinds: set[str]) -> None:
    plan, _ = met(verb)
    assert set(plan.met) == kinds
    for count in plan.met.values():
        assert REQUESTS / 200 < count < REQUESTS / 50
    assert plan.asked == Counter({verb: REQUESTS})


def test_a_watch_meets_all_that_a_request_may_and_troubles_of_its_own() -> None:
    plan, found = met("watch")
    assert set(plan.met) == {*OF_REQUESTS, *OF_WATCHES}
    assert {each.trouble for each in found if isinstance(each, WatchFault)} == set(WatchTrouble)


def test_every_kind_of_fault_that_there_is_may_be_met() -> None:
    found = [*met("get")[1], *met("update")[1], *met("watch")[1]]
    made = {type(each) for each in found}
    assert made == {
        value
        for value in vars(faults).values()
        if isinstance(value, type) and issubclass(value, Fault) and value is not Fault
    }
    silences = {each.how for each in found if isinstance(each, NoAnswer)}
    assert silences == set(Silence) - {Silence.HANDSHAKE}
    plan = RandomPlan(seed=1)
    assert any(plan.meet_connection() for _ in range(REQUESTS))


def test_what_was_asked_is_counted_and_not_kept() -> None:
    plan, _ = met("get")
    assert plan.requests == []
    plan.check_met()


@pytest.mark.parametrize(
    ("grown", "renewals", "held"), [(0.9, 100_000, True), (1.1, 100_000, False), (3.1, 100, False)]
)
@pytest.mark.parametrize("what", ["RSS", "tracemalloc"])
def test_what_grows_after_the_warm_up_is_told(
    what: str, grown: float, renewals: int, held: bool
) -> None:
    weights = [
        Weight(
            resident=50.0 + part if part < soak.WARM_UP else 60.0,
            traced=part if part < soak.TRACED_WARM_UP else 60.0,
        )
        for part in range(1, soak.PARTS + 1)
    ]
    where = soak.TRACED_FROM - 2 if what == "RSS" else soak.PARTS - 1
    weights[where] = Weight(60.0 + grown, 60.0 + grown)
    (told,) = [each for each in soak._growth(weights, renewals) if each.what.startswith(what)]
    assert told.held is held


def test_lines_of_the_log_are_counted_by_what_they_say() -> None:
    logger = logging.getLogger("kube_leader_election")
    with counted("secret") as lines:
        logger.info("Lease x: 'a' leads, fencing token 3")
        logger.info("Lease x: 'a' leads no more")
        logger.warning("update of Lease x: answered %s", "secret")
        logger.debug("not counted")
    assert lines.count == {"begin": 1, "end": 1, "trouble": 1}
    assert lines.told_secrets == 1


def test_a_short_soak_leaves_nothing_behind() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "tests.soak", "--renewals", "100", "--seed", "1", "lock"]
    ended = subprocess.run(
        command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=300
    )
    assert "NOT HELD" not in ended.stdout, ended.stdout
    assert ended.returncode == 0, ended.stderr
    assert "threads before: 1, after: 1" in ended.stdout
