"""What is shown to people: durations, names, tables"""

from __future__ import annotations

import pytest

from kube_leader_election.cli._say import printable, shown
from kube_leader_election.cli._table import Table


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0ms"),
        (0.0004, "0ms"),
        (0.85, "850ms"),
        (0.9994, "999ms"),
        (0.9996, "1.0s"),
        (3.24, "3.2s"),
        (9.94, "9.9s"),
        (9.96, "10s"),
        (59.4, "59s"),
        (59.6, "1m"),
        (310, "5m10s"),
        (3600, "1h"),
        (3599.7, "1h"),
        (12300, "3h25m"),
        (86400 * 2 + 3600 * 3 + 59, "2d3h"),
        (-12, "-12s"),
    ],
)
def test_a_duration_is_shown_in_two_units_at_most(seconds: float, text: str) -> None:
    assert shown(seconds) == text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("my-app-7d9c_ab12", "my-app-7d9c_ab12"),
        ("ä é", "ä é"),
        ("\x1b[2J\r\n", "\\x1b[2J\\r\\n"),
        ("\u202e\ud800", "\\u202e\\ud800"),
    ],
)
def test_nothing_that_a_lease_says_steers_the_terminal(name: str, text: str) -> None:
    assert printable(name) == text


def test_plain_lines_are_aligned_and_end_where_they_end() -> None:
    table = Table(("LEASE", "HOLDER"), [["a", "somebody"], ["longer", ""]])
    assert list(table.lines()) == ["LEASE    HOLDER", "a        somebody", "longer"]


def test_a_column_in_which_nothing_stands_is_left_out() -> None:
    table = Table(("LEASE", "NOTES", "HOLDER"), [["a", "", "b"]])
    assert list(table.lines()) == ["LEASE   HOLDER", "a       b"]


def test_a_table_without_rows_has_its_columns() -> None:
    assert list(Table(("LEASE", "HOLDER"), []).lines()) == ["LEASE   HOLDER"]
