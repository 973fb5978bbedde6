"""What the demo can be told to do"""

from __future__ import annotations

import re

import pytest

from kube_leader_election.cli.demonstration._script import (
    DEFAULT,
    EXAMPLE,
    EXPLAINED,
    KEYS,
    QUIT,
    SECONDS,
    Deed,
    Step,
    parsed,
)


@pytest.mark.parametrize(
    ("script", "steps"),
    [
        ("stop", [Step(Deed.STOP)]),
        (" stop ,kill", [Step(Deed.STOP), Step(Deed.KILL)]),
        ("freeze", [Step(Deed.FREEZE, SECONDS)]),
        ("freeze 2.5, outage 60", [Step(Deed.FREEZE, 2.5), Step(Deed.OUTAGE, 60.0)]),
        ("kill, kill, kill", [Step(Deed.KILL)] * 3),
        ("kill, kill, kill, add, kill", [*[Step(Deed.KILL)] * 3, Step(Deed.ADD), Step(Deed.KILL)]),
    ],
)
def test_a_script_is_deeds_separated_by_commas(script: str, steps: list[Step]) -> None:
    assert parsed(script) == tuple(steps)


KNOWN = "must be stop, kill, freeze [SECONDS], outage [SECONDS] or add"


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("", f"'' {KNOWN}"),
        ("stop,", f"'' {KNOWN}"),
        ("stop kill", f"'stop kill' {KNOWN}"),
        ("stop 2", f"'stop 2' {KNOWN}"),
        ("Stop", f"'Stop' {KNOWN}"),
        ("freeze 2 s", f"'freeze 2 s' {KNOWN}"),
        ("freeze 2s", "'freeze 2s' must be for 0 to 60 seconds"),
        ("freeze nan", "'freeze nan' must be for 0 to 60 seconds"),
        ("outage 0", "'outage 0' must be for 0 to 60 seconds"),
        ("outage 60.5", "'outage 60.5' must be for 0 to 60 seconds"),
        ("stop, kill, stop, freeze", "leaves no replica to freeze: add one before"),
        ("stop, kill, stop, outage, kill", "leaves no replica to kill: add one before"),
    ],
)
def test_what_is_no_script_is_refused_with_the_rule(script: str, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(problem)}$"):
        parsed(script)


def test_what_help_shows_as_scripts_are_some() -> None:
    assert len(parsed(EXAMPLE)) == 3
    assert len(parsed(DEFAULT)) == 2
    assert EXPLAINED.keys() == set(Deed)


def test_each_deed_has_a_key_of_its_own() -> None:
    assert set(KEYS.values()) == set(Deed)
    assert QUIT not in KEYS
