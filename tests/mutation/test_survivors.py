"""What can be told of the list of survivors, and of the copy, without a mutant."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from kube_leader_election import _core

from .checkout import without_property_decorators
from .mutants import Change
from .survivors import listed, parsed


def functions() -> Iterator[tuple[str, set[str]]]:
    """Yield each function of the core, by the name that it has in the list, with its lines."""
    for path in Path(_core.__path__[0]).glob("*.py"):
        lines = path.read_text().splitlines()
        for node in ast.parse("\n".join(lines)).body:
            inner = node.body if isinstance(node, ast.ClassDef) else [node]
            prefix = f"{path.stem}.{node.name}" if isinstance(node, ast.ClassDef) else path.stem
            for function in inner:
                if isinstance(function, ast.FunctionDef):
                    text = lines[function.lineno - 1 : function.end_lineno]
                    yield f"{prefix}.{function.name}", {line.strip() for line in text}


def test_what_a_survivor_changes_is_a_line_of_the_core_still() -> None:
    code = dict(functions())
    for change in listed():
        assert set(change.before) <= code[change.function], change


def test_a_reason_is_that_of_all_changes_since_the_last_one() -> None:
    text = """\
term.Term.ends_at
-----------------

::

    - a = 1
    + a = 2

    - b
    - c

For both.

::

    - d
    + e

For the last,
in two lines.
"""
    assert dict(parsed(text)) == {
        Change("term.Term.ends_at", ("a = 1",), ("a = 2",)): "For both.",
        Change("term.Term.ends_at", ("b", "c"), ()): "For both.",
        Change("term.Term.ends_at", ("d",), ("e",)): "For the last, in two lines.",
    }


@pytest.mark.parametrize("body", ["::\n\n    - a\n", "A reason.\n", "::\n\n    a\n\nA reason.\n"])
def test_what_is_not_understood_of_the_list_is_refused(body: str) -> None:
    with pytest.raises(ValueError, match=r"^term\.f: "):
        dict(parsed(f"term.f\n------\n\n{body}"))


def test_a_property_without_its_decorator_is_a_property_still() -> None:
    source = """\
class A:
    @property
    def one(self):
        return 1

    def two(self):
        return self.one + 1
"""
    changed = without_property_decorators(source)
    assert "@" not in changed
    scope: dict[str, type] = {}
    exec(changed, scope)
    assert scope["A"]().two() == 2
