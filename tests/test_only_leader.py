from __future__ import annotations

import functools
import gc
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock, MagicMock, create_autospec

import pytest

from kube_leader_election import InvalidParamsError, LeaseLock
from kube_leader_election._only_leader import only_leader
from kube_leader_election.testing import FakeElector
from tests.conftest import MakeLock

LEADER = "must be an object with a method is_leader(), as a LeaseLock is: "
FUNCTION = "must be a function that acts before it returns: "
LATER = f"{FUNCTION}coroutine functions and generators act later"
METHOD = "pass the object itself, not its method"
BARE = "write @only_leader(lock), not @only_leader"

leading = FakeElector(leading=True)
following = FakeElector()


def refusal(make: Callable[[], object]) -> InvalidParamsError:
    with pytest.raises(InvalidParamsError) as caught:
        make()
    return caught.value


def assert_names(error: InvalidParamsError, field: str, value: object, rule: str) -> None:
    assert (error.field, error.value) == (field, value)
    assert error.rule.startswith(rule)


# Calls


def add(a: int, b: int = 1, /, *, c: int = 0) -> int:
    """Adds."""
    return a + b + c


def test_the_leader_s_call_is_made_with_its_arguments_and_its_result_returned() -> None:
    decorated = only_leader(leading)(add)
    result: int | None = decorated(1, 2, c=3)
    assert result == 6


def test_no_call_is_made_for_another() -> None:
    function = MagicMock()
    assert only_leader(following)(function)(1, a=2) is None
    assert function.mock_calls == []


def test_it_is_asked_anew_at_each_call() -> None:
    elector = FakeElector()
    decorated = only_leader(elector)(add)
    results = [decorated(1)]
    elector.lead()
    results += [decorated(2), decorated(3)]
    elector.lose()
    results += [decorated(4)]
    assert results == [None, 3, 4, None]


def test_it_is_not_asked_before_a_call() -> None:
    leader = MagicMock()
    only_leader(leader)(add)
    assert leader.mock_calls == []


def test_a_lock_decides_by_its_own_clock(make_lock: MakeLock, fake_clock: Any) -> None:
    lock: LeaseLock = make_lock()
    decorated = only_leader(lock)(add)
    assert decorated(1) is None
    lock.try_acquire_or_renew()
    assert decorated(1) == 2
    fake_clock.advance(15)
    assert decorated(1) is None


def test_an_error_of_the_function_comes_out() -> None:
    @only_leader(leading)
    def fail() -> None:
        raise LookupError("the function's")

    with pytest.raises(LookupError, match="the function's"):
        fail()


def test_an_error_of_is_leader_comes_out_and_no_call_is_made() -> None:
    leader, function = MagicMock(), MagicMock()
    leader.is_leader.side_effect = LookupError("the leader's")
    with pytest.raises(LookupError, match="the leader's"):
        only_leader(leader)(function)()
    assert function.mock_calls == []


def test_a_decorated_function_looks_like_the_function() -> None:
    decorated: Any = only_leader(leading)(add)
    assert (decorated.__name__, decorated.__doc__) == ("add", "Adds.")
    assert inspect.signature(decorated) == inspect.signature(add)
    assert decorated.__wrapped__ is add


def test_a_type_checker_sees_the_function_s_own_signature() -> None:
    decorated = only_leader(leading)(add)
    with pytest.raises(TypeError):
        decorated("1")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        decorated(1, d=2)  # type: ignore[call-arg]
    result: int = decorated(1)  # type: ignore[assignment]
    assert result == 2


class Service:
    name = "service"

    @only_leader(leading)
    def act(self, what: str) -> str:
        return f"{self.name} {what}"

    @only_leader(following)
    def wait(self, what: str) -> str:
        raise AssertionError

    @classmethod
    @only_leader(leading)
    def act_for_all(cls, what: str) -> str:
        return f"{cls.name} {what}"

    @staticmethod
    @only_leader(leading)
    def act_for_none(what: str) -> str:
        return what


def test_methods_of_each_kind_can_be_decorated() -> None:
    service = Service()
    results: list[str | None] = [
        *[service.act("a"), service.wait("a")],
        *[service.act_for_all("b"), Service.act_for_all("b")],
        *[service.act_for_none("c"), Service.act_for_none("c")],
    ]
    assert results == ["service a", None, "service b", "service b", "c", "c"]


class Adder:
    def __call__(self, a: int) -> int:
        return a + 1


@pytest.mark.parametrize(
    "function",
    [
        lambda a: a + 1,
        functools.partial(add, b := 1),
        functools.partial(functools.partial(add), 1),
        functools.lru_cache(add),
        Adder(),
        Adder().__call__,
        (1).__add__,
        MagicMock(return_value=2),
        create_autospec(Adder().__call__, return_value=2),
    ],
    ids=lambda function: type(function).__name__,
)
def test_whatever_can_be_called_at_once_can_be_decorated(function: Any) -> None:
    assert only_leader(leading)(function)(1) == 2
    assert only_leader(following)(function)(1) is None


# What acts later


async def coroutine_function() -> None:
    raise AssertionError


def generator_function() -> Iterator[None]:
    yield


async def asynchronous_generator_function() -> AsyncIterator[None]:
    yield


class Asynchronous:
    async def __call__(self) -> None:
        raise AssertionError

    async def method(self) -> None:
        raise AssertionError

    def generator(self) -> Iterator[None]:
        yield


LATER_FUNCTIONS: list[Any] = [
    coroutine_function,
    generator_function,
    asynchronous_generator_function,
    Asynchronous(),
    Asynchronous().method,
    Asynchronous().generator,
    AsyncMock(),
]


@pytest.mark.parametrize("wrap", [lambda f: f, functools.partial])
@pytest.mark.parametrize("function", LATER_FUNCTIONS, ids=lambda each: type(each).__name__)
def test_a_function_that_would_act_later_is_refused(function: Any, wrap: Any) -> None:
    value = wrap(wrap(function))
    error = refusal(lambda: only_leader(leading)(value))
    assert_names(error, "function", value, LATER)


def hidden(function: Callable[[], Any]) -> Callable[[], Any]:
    @functools.wraps(function)
    def call() -> Any:
        return function()

    return call


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (coroutine_function, "coroutine"),
        (generator_function, "generator"),
        (asynchronous_generator_function, "async_generator"),
    ],
)
def test_a_function_that_returns_what_would_act_later_is_found_out_when_called(
    function: Any, kind: str
) -> None:
    plain = hidden(function)
    decorated = only_leader(leading)(plain)
    error = refusal(decorated)
    assert_names(error, "function", plain, f"{FUNCTION}it returned a {kind}")
    del error
    gc.collect()  # a coroutine that was left alone warns here


def test_a_function_that_would_return_such_a_thing_is_not_called_for_another() -> None:
    assert only_leader(following)(hidden(coroutine_function))() is None


# What cannot be decorated


@pytest.mark.parametrize("value", [Adder, functools.partial(Adder), LeaseLock])
def test_a_class_is_refused(value: Any) -> None:
    error = refusal(lambda: only_leader(leading)(value))
    assert_names(error, "function", value, f"{FUNCTION}this is a class, decorate its methods")


@pytest.mark.parametrize("kind", [classmethod, staticmethod])
def test_a_descriptor_is_refused_with_the_order_that_works(kind: Any) -> None:
    value = kind(add)
    error = refusal(lambda: only_leader(leading)(value))
    assert_names(error, "function", value, f"{FUNCTION}put @only_leader below @{kind.__name__}")


@pytest.mark.parametrize("value", [None, 1, "add", property(lambda self: 1)])
def test_what_cannot_be_called_is_refused(value: Any) -> None:
    error = refusal(lambda: only_leader(leading)(value))
    assert_names(error, "function", value, f"{FUNCTION}this is a {type(value).__name__}")


# Who cannot be asked


@pytest.mark.parametrize(
    "value", [add, lambda: None, coroutine_function, generator_function, Adder().__call__, len]
)
def test_the_bare_decorator_is_refused(value: Any) -> None:
    error = refusal(lambda: only_leader(value))
    assert_names(error, "leader", value, LEADER + BARE)


def test_a_function_is_refused_whatever_attributes_it_has() -> None:
    def function() -> None: ...

    value: Any = function
    value.is_leader = lambda: True
    error = refusal(lambda: only_leader(value))
    assert_names(error, "leader", value, LEADER + BARE)


def test_the_method_is_refused_with_the_advice_to_pass_the_object(make_lock: MakeLock) -> None:
    values: list[Any] = [leading.is_leader, make_lock().is_leader, FakeElector.is_leader]
    for value in values:
        error = refusal(lambda value=value: only_leader(value))  # type: ignore[misc]
        assert_names(error, "leader", value, LEADER + METHOD)


@pytest.mark.parametrize(
    "value", [None, True, "leader", {}, Adder(), SimpleNamespace(is_leader=True)], ids=repr
)
def test_what_has_no_method_to_ask_is_refused(value: Any) -> None:
    error = refusal(lambda: only_leader(value))
    assert_names(error, "leader", value, f"{LEADER}this is a {type(value).__name__}")


@pytest.mark.parametrize("value", [LeaseLock, FakeElector, Adder])
def test_a_class_of_leaders_is_refused_with_the_advice_to_pass_an_instance(value: Any) -> None:
    error = refusal(lambda: only_leader(value))
    assert_names(error, "leader", value, f"{LEADER}this is a class, pass an instance")


class AsynchronousLeader:
    async def is_leader(self) -> bool:
        raise AssertionError


@pytest.mark.parametrize(
    "value",
    [AsynchronousLeader(), AsyncMock(), create_autospec(AsynchronousLeader, instance=True)],
    ids=lambda value: type(value).__name__,
)
def test_a_leader_whose_answer_would_be_a_coroutine_is_refused(value: Any) -> None:
    error = refusal(lambda: only_leader(value))
    assert_names(error, "leader", value, f"{LEADER}this one's is asynchronous")


def test_anything_with_the_method_can_be_asked() -> None:
    answers = [
        only_leader(SimpleNamespace(is_leader=lambda: True))(add)(1),
        only_leader(create_autospec(LeaseLock, instance=True))(add)(1),
        only_leader(MagicMock(**{"is_leader.return_value": False}))(add)(1),
    ]
    assert answers == [2, 2, None]
