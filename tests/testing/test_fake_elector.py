from __future__ import annotations

import threading

import pytest

from kube_leader_election._leadership import LeaderState
from kube_leader_election._only_leader import only_leader
from kube_leader_election.testing import FakeElector, _fake_elector


def test_nobody_leads_at_first() -> None:
    elector = FakeElector()
    assert elector.is_leader() is False
    assert elector.state is LeaderState.STANDBY
    assert (elector.holder_identity, elector.fencing_token) == (None, None)


def test_it_may_lead_from_the_start() -> None:
    elector = FakeElector(holder_identity="a", leading=True)
    assert elector.is_leader() is True
    assert elector.state is LeaderState.LEADING
    assert elector.holder_identity == "a"
    assert elector.fencing_token is not None


def test_it_leads_when_told_to() -> None:
    elector = FakeElector()
    elector.lead()
    assert elector.is_leader() is True
    assert elector.state is LeaderState.LEADING
    assert elector.holder_identity == "fake"
    assert elector.fencing_token is not None


@pytest.mark.parametrize(
    ("holder_identity", "state"), [("b", LeaderState.FOLLOWING), (None, LeaderState.STANDBY)]
)
def test_it_loses_to_another_or_to_nobody(holder_identity: str | None, state: LeaderState) -> None:
    elector = FakeElector(leading=True)
    elector.lose(holder_identity)
    assert elector.is_leader() is False
    assert elector.state is state
    assert (elector.holder_identity, elector.fencing_token) == (holder_identity, None)


def test_it_loses_to_another_unless_told_to_whom() -> None:
    elector = FakeElector(leading=True)
    elector.lose()
    assert elector.state is LeaderState.FOLLOWING
    assert elector.holder_identity == "another"


def test_the_token_of_a_term_stays_as_it_is() -> None:
    elector = FakeElector(leading=True)
    assert elector.fencing_token == elector.fencing_token


def test_each_term_of_anyone_has_a_token_greater_than_all_before() -> None:
    a, b = FakeElector(leading=True), FakeElector()
    tokens = [a.fencing_token]
    for elector in (a, b, b, a):
        elector.lead()
        tokens.append(elector.fencing_token)
    a.lose()
    a.lead()
    tokens.append(a.fencing_token)
    assert all(type(token) is int and token > 0 for token in tokens)
    assert tokens == sorted(set(tokens), key=lambda token: token or 0)


class Overtaken:
    """Counts; between the first number and its use another thread leads, if it can."""

    def __init__(self, elector: FakeElector) -> None:
        self.last = 0
        self.other = threading.Thread(target=elector.lead)

    def __next__(self) -> int:
        self.last += 1
        number = self.last
        if number == 1:
            self.other.start()
            self.other.join(timeout=0.2)
        return number


def test_of_two_threads_that_lead_at_once_the_greater_token_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    elector = FakeElector()
    tokens = Overtaken(elector)
    monkeypatch.setattr(_fake_elector, "_tokens", tokens)
    elector.lead()
    tokens.other.join()
    assert elector.fencing_token == tokens.last == 2


def test_it_decides_what_only_the_leader_calls() -> None:
    elector = FakeElector()
    calls: list[str] = []

    @only_leader(elector)
    def act(what: str) -> int:
        calls.append(what)
        return len(calls)

    assert act("before") is None
    elector.lead()
    assert act("while") == 1
    elector.lose()
    assert act("after") is None
    assert calls == ["while"]
