"""Functions that only the leader calls."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, Protocol, TypeVar

from ._errors import InvalidParamsError
from ._typed import is_mock

_P = ParamSpec("_P")
_R = TypeVar("_R")

_LEADER_RULE = "must be an object with a method is_leader(), as a LeaseLock is"
_FUNCTION_RULE = "must be a function that acts before it returns"


class _Leader(Protocol):
    def is_leader(self) -> bool: ...


def only_leader(leader: _Leader) -> Callable[[Callable[_P, _R]], Callable[_P, _R | None]]:
    """Return a decorator: a call does nothing, and returns `None`, unless `leader.is_leader()`.

    ::

        @only_leader(lock)
        def clean_up() -> None: ...

    It asks once, right before the function begins, and promises nothing of the time after: leading
    may end while the function runs. One that takes long should ask again before each step, or pass
    `fencing_token` on to what it writes to. What `is_leader()` raises comes out. Put it below
    `@classmethod` and `@staticmethod`.

    :raises InvalidParamsError: `leader` cannot be asked, or the function would act later, when
        nobody asks any more: it is a coroutine function or a generator. One that only returns a
        coroutine or a generator is found out when it is called; the coroutine is closed.
    """
    _check_leader(leader)

    def decorate(function: Callable[_P, _R]) -> Callable[_P, _R | None]:
        _check_function(function)

        @functools.wraps(function)
        def call_if_leader(*args: _P.args, **kwargs: _P.kwargs) -> _R | None:
            if not leader.is_leader():
                return None
            result = function(*args, **kwargs)
            _check_result(function, result)
            return result

        return call_if_leader

    return decorate


def _check_leader(leader: object) -> None:
    hint = None
    method = getattr(leader, "is_leader", None)
    if inspect.isclass(leader):
        hint = "this is a class, pass an instance"
    elif getattr(leader, "__name__", None) == "is_leader":
        hint = "pass the object itself, not its method"
    elif inspect.isroutine(leader):
        hint = "write @only_leader(lock), not @only_leader"
    elif not callable(method):
        hint = f"this is a {type(leader).__name__}"
    elif _acts_later(method):
        hint = "this one's is asynchronous, and its answer would always be true"
    if hint:
        raise InvalidParamsError("leader", leader, f"{_LEADER_RULE}: {hint}")


def _check_function(function: object) -> None:
    hint = None
    if isinstance(function, (classmethod, staticmethod)):
        hint = f"put @only_leader below @{type(function).__name__}"
    elif not callable(function):
        hint = f"this is a {type(function).__name__}"
    elif inspect.isclass(_unwrapped(function)):
        hint = "this is a class, decorate its methods"
    elif _acts_later(function):
        hint = "coroutine functions and generators act later, when leading may have ended"
    if hint:
        raise InvalidParamsError("function", function, f"{_FUNCTION_RULE}: {hint}")


def _check_result(function: object, result: object) -> None:
    if inspect.iscoroutine(result):
        result.close()  # or Python warns that it was never awaited
    elif not (inspect.isgenerator(result) or inspect.isasyncgen(result)):
        return
    kind = type(result).__name__
    raise InvalidParamsError("function", function, f"{_FUNCTION_RULE}: it returned a {kind}")


def _acts_later(function: object) -> bool:
    """Whether a call of `function` only makes what will act."""
    function = _unwrapped(function)
    if is_mock(function):  # it answers every question about its code with a mock, so with yes
        return any(kind.__name__ == "AsyncMock" for kind in type(function).__mro__)
    kinds = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    call = getattr(function, "__call__", None)  # noqa: B004 (an object's own may be a coroutine's)
    return any(is_kind(each) for each in (function, call) for is_kind in kinds)


def _unwrapped(function: object) -> object:
    while isinstance(function, functools.partial):
        function = function.func
    return function
