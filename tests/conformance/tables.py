"""What many cases share: Leases that are right or wrong, each with a sentence that says why"""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.objects import FINALIZER, TIME

DURATION = "spec.leaseDurationSeconds"
TRANSITIONS = "spec.leaseTransitions"
VERSION = "metadata.resourceVersion"
OWNER = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u"}
METADATA: dict[str, Any] = {
    "labels": {"app": "work", "tier": "back"},
    "annotations": {"example.com/note": "kept"},
    "finalizers": [FINALIZER],
    "ownerReferences": [OWNER],
}


def rows(table: dict[str, Any]) -> list[Any]:
    """For `parametrize`: a table of sentences and values"""
    return [pytest.param(value, id=sentence) for sentence, value in table.items()]


INVALID_SPECS = rows(
    {
        "a duration of zero": ({"leaseDurationSeconds": 0}, [DURATION]),
        "a negative duration": ({"leaseDurationSeconds": -1}, [DURATION]),
        "the smallest int32 as duration": ({"leaseDurationSeconds": -(2**31)}, [DURATION]),
        "negative transitions": ({"leaseTransitions": -1}, [TRANSITIONS]),
        "both wrong": (
            {"leaseDurationSeconds": 0, "leaseTransitions": -1},
            [DURATION, TRANSITIONS],
        ),
        "a preferred holder without a strategy": (
            {"preferredHolder": "b"},
            ["spec.preferredHolder"],
        ),
        "an unknown strategy": ({"strategy": "odd"}, ["spec.strategy.strategy"]),
        "an empty strategy": ({"strategy": ""}, ["spec.strategy.strategy"]),
    }
)

MISTYPED_SPECS = rows(
    {
        "a string for the duration": {"leaseDurationSeconds": "15"},
        "half a second": {"leaseDurationSeconds": 15.5},
        "a whole number with a decimal point": {"leaseDurationSeconds": 15.0},
        "a boolean for the duration": {"leaseDurationSeconds": True},
        "a list for the duration": {"leaseDurationSeconds": [15]},
        "a duration over int32": {"leaseDurationSeconds": 2**31},
        "a duration below int32": {"leaseDurationSeconds": -(2**31) - 1},
        "a string for the transitions": {"leaseTransitions": "1"},
        "transitions with a decimal point": {"leaseTransitions": 1.0},
        "transitions over int32": {"leaseTransitions": 2**31},
        "a number for the holder": {"holderIdentity": 1},
        "a boolean for the holder": {"holderIdentity": True},
        "a list for the holder": {"holderIdentity": ["a"]},
        "an object for the holder": {"holderIdentity": {}},
        "a number for the strategy": {"strategy": 1},
        "a number for a time": {"renewTime": 1704164645},
        "a boolean for a time": {"renewTime": True},
        "an object for a time": {"renewTime": {}},
        "a list for the spec": ["a"],
        "a string for the spec": "a",
    }
)

VALID_SPECS = rows(
    {
        "the shortest duration": {"leaseDurationSeconds": 1},
        "the longest duration": {"leaseDurationSeconds": 2**31 - 1},
        "no transitions": {"leaseTransitions": 0},
        "the most transitions": {"leaseTransitions": 2**31 - 1},
        "an empty holder": {"holderIdentity": ""},
        "a blank holder": {"holderIdentity": " "},
        "a holder beyond ASCII": {"holderIdentity": "h\u00e4\U0001f600"},
        "a holder of 2000 characters": {"holderIdentity": "a" * 2000},
        "an empty spec": {},
    }
)

COORDINATED_SPECS = rows(
    {
        "a strategy alone": {"strategy": "OldestEmulationVersion"},
        "a strategy and a preferred holder": {
            "strategy": "OldestEmulationVersion",
            "preferredHolder": "b",
        },
        "a strategy and an empty holder": {
            "strategy": "OldestEmulationVersion",
            "holderIdentity": "",
        },
        "a strategy of one's own domain": {"strategy": "example.com/odd"},
        "an empty preferred holder without a strategy": {"preferredHolder": ""},
    }
)

WELL_WRITTEN_TIMES = rows(
    {
        "six digits and Z": (TIME, TIME),
        "microsecond zero": ("2024-01-02T03:04:05.000000Z", "2024-01-02T03:04:05.000000Z"),
        "two hours east": ("2024-01-02T03:04:05.678901+02:00", "2024-01-02T01:04:05.678901Z"),
        "an offset of minus zero": ("2024-01-02T03:04:05.678901-00:00", TIME),
        "an offset of a day": ("2024-01-02T03:04:05.678901+24:00", "2024-01-01T03:04:05.678901Z"),
        "a comma before the digits": ("2024-01-02T03:04:05,678901Z", TIME),
        "an hour of one digit": ("2024-01-02T3:04:05.678901Z", TIME),
        "before 1970": ("1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z"),
        "the second microsecond of year 1": (
            "0001-01-01T00:00:00.000001Z",
            "0001-01-01T00:00:00.000001Z",
        ),
        "the last microsecond of year 9999": (
            "9999-12-31T23:59:59.999999Z",
            "9999-12-31T23:59:59.999999Z",
        ),
    }
)

BADLY_WRITTEN_TIMES = rows(
    {
        "no digits": "2024-01-02T03:04:05Z",
        "three digits": "2024-01-02T03:04:05.678Z",
        "five digits": "2024-01-02T03:04:05.67890Z",
        "seven digits": "2024-01-02T03:04:05.6789010Z",
        "nine digits": "2024-01-02T03:04:05.678901234Z",
        "no offset": "2024-01-02T03:04:05.678901",
        "an offset without a colon": "2024-01-02T03:04:05.678901+0200",
        "a small z": "2024-01-02T03:04:05.678901z",
        "a small t": "2024-01-02t03:04:05.678901Z",
        "a space for T": "2024-01-02 03:04:05.678901Z",
        "a space before it": " 2024-01-02T03:04:05.678901Z",
        "30 February": "2024-02-30T03:04:05.678901Z",
        "24 o'clock": "2024-01-02T24:00:00.000000Z",
        "a leap second": "2024-01-02T03:04:60.000000Z",
        "year 10000": "10000-01-01T00:00:00.000000Z",
        "no time at all": "now",
        "the empty string": "",
    }
)

NAMES_THAT_ARE_NONE = rows(
    {
        "a capital letter": "Leader",
        "an underscore": "a_b",
        "a space": "a b",
        "a slash": "a/b",
        "a dash in front": "-a",
        "a dot at the end": "a.",
        "two dots in a row": "a..b",
        "a letter beyond ASCII": "\u00e4",
        "254 characters": "a" * 254,
    }
)
