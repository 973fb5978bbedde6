from __future__ import annotations

import mmap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kube_leader_election.contrib.prefork._belief import (
    HOLDS_FOR,
    NO_BELIEF,
    SIZE,
    Belief,
    Writer,
    read,
)

NOW = 1000.0
WORD = 8  # in bytes: what a machine writes at a time, at least one


def belief(ordinal: int, *, token: int | None = 7, left: float = 1.0) -> Belief:
    return Belief(
        leads_until=NOW + left, ordinal=ordinal, fencing_token=token, stopping=ordinal % 2 == 0
    )


@pytest.fixture
def memory() -> mmap.mmap:
    return mmap.mmap(-1, SIZE)


def test_nothing_is_read_of_memory_that_nobody_has_written(memory: mmap.mmap) -> None:
    assert read(memory, NOW) is None


@pytest.mark.parametrize("token", [None, 0, 1, 2**64, 10**63])
def test_what_was_told_last_is_read(memory: mmap.mmap, token: int | None) -> None:
    writer = Writer(memory)
    for ordinal in range(1, 6):
        told = belief(ordinal, token=token)
        writer.tell(told)
        assert read(memory, NOW) == told


def test_a_token_that_is_no_version_of_any_server_is_none(memory: mmap.mmap) -> None:
    Writer(memory).tell(belief(1, token=10**64))
    assert read(memory, NOW) == belief(1, token=None)


def test_a_belief_ends_on_the_dot(memory: mmap.mmap) -> None:
    Writer(memory).tell(belief(1, left=1.0))
    assert read(memory, NOW + 0.999) is not None
    assert read(memory, NOW + 1.0) is None


def test_no_belief_counts_for_longer_than_it_may_outlive_who_has_it(memory: mmap.mmap) -> None:
    writer = Writer(memory)
    writer.tell(belief(1, left=HOLDS_FOR))
    assert read(memory, NOW) is not None
    writer.tell(belief(1, left=HOLDS_FOR + 0.1))
    assert read(memory, NOW) is None


def test_what_was_believed_before_the_end_was_told_is_believed_no_more(memory: mmap.mmap) -> None:
    writer = Writer(memory)
    for told in (belief(1), belief(1), NO_BELIEF):
        writer.tell(told)
    assert read(memory, NOW) is None


@given(told=st.integers(1, 9), written=st.sets(st.integers(0, SIZE // WORD - 1)))
def test_who_reads_in_the_middle_of_a_write_reads_what_was_told_before_or_after(
    told: int, written: set[int]
) -> None:
    memory = mmap.mmap(-1, SIZE)
    writer = Writer(memory)
    for ordinal in range(1, told + 1):
        writer.tell(belief(ordinal, token=10**ordinal - ordinal))
    before = memory[:]
    last = read(memory, NOW)
    writer.tell(belief(told + 1, left=0.5))
    after = memory[:]
    for word in set(range(SIZE // WORD)) - written:
        memory[word * WORD : (word + 1) * WORD] = before[word * WORD : (word + 1) * WORD]
    expected = belief(told + 1, left=0.5) if memory[:] == after else last
    assert read(memory, NOW) == expected
