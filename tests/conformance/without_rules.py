"""Shows that the conformance suite misses every rule that is taken out of the stand-in

``python -m tests.conformance.without_rules`` runs the suite once for each rule, against the Leases
in memory without that rule. It fails if one of these runs does not.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import Any

import pytest

from kube_leader_election.testing import _decoding, _rules

RULE = "CONFORMANCE_WITHOUT_RULE"
OPTIONS = ["-q", "-x", "--tb=no", "-p", "no:cacheprovider", "-k", "memory", "tests/conformance"]
Change = tuple[Any, str, Any]


def _pass(*_: object) -> None:
    """Refuse nothing"""


def _never(*_: object) -> bool:
    return False


def _same(version: int) -> int:
    return version


_ANY_DIGITS = re.compile(_decoding._MICRO_TIME.pattern.replace(r"[.,](\d{6})", r"(?:[.,](\d+))?"))

RULES: dict[str, Change] = {
    "a write names the version that it replaces": (_rules, "version_is_given", _pass),
    "a write of an old version is refused": (_rules, "version_is_of_the_stored", _pass),
    "a write of a deleted object is refused": (_rules, "uid_is_of_the_stored", _pass),
    "a write that says nothing new is none": (_rules, "says_nothing_new", _never),
    "versions increase over all objects": (_rules, "next_version", _same),
    "a version is an unsigned integer": (_rules, "_UINT", re.compile(".*")),
    "a MicroTime has six digits": (_decoding, "_MICRO_TIME", _ANY_DIGITS),
    "only the server deletes": (_rules, "validate_update", _pass),
    **{
        f"422: {rule.__name__}": (
            _rules,
            "VALIDATION",
            tuple(other for other in _rules.VALIDATION if other is not rule),
        )
        for rule in _rules.VALIDATION
    },
}


def pytest_configure() -> None:
    """Of the suite that is run without a rule: this module is a plugin there"""
    module, name, instead = RULES[os.environ[RULE]]
    setattr(module, name, instead)


def is_missed(rule: str) -> bool:
    """Whether the suite fails without the rule"""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", __spec__.name, "-p", "no:randomly", *OPTIONS],
        env={**os.environ, RULE: rule},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    failed = re.findall(r"^FAILED \S+::(\w+)", done.stdout, re.MULTILINE)
    missed = done.returncode == pytest.ExitCode.TESTS_FAILED and bool(failed)
    print(
        f"{'missed' if missed else 'NOT MISSED'}: {rule} ({', '.join(failed) or 'no test failed'})"
    )
    return missed


if __name__ == "__main__":
    outcomes = [is_missed(rule) for rule in RULES]
    sys.exit(0 if all(outcomes) else 1)
