"""What mutmut has made of the core and found out about it, read from the files that it leaves."""

from __future__ import annotations

import ast
import difflib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from .checkout import CORE

_MUTANT, _ORIGINAL = "__mutmut_", "__mutmut_orig"


class Fate(Enum):
    """What became of a mutant."""

    KILLED = "killed"
    TIMED_OUT = "timed out"
    SURVIVED = "survived"
    UNTRIED = "untried"


# pytest's exit codes, mutmut's own (33: no test reaches it) and, negative, signals.
_FATES = {0: Fate.SURVIVED, 5: Fate.SURVIVED, 33: Fate.SURVIVED, 1: Fate.KILLED, 3: Fate.KILLED}
_FATES |= dict.fromkeys((-9, -24, 24, 36, 152, 255), Fate.TIMED_OUT)


@dataclass(frozen=True)
class Change:
    """How a mutant differs: where, and its lines, stripped, in the code and in the mutant."""

    function: str
    before: tuple[str, ...]
    after: tuple[str, ...]

    def __str__(self) -> str:
        removed = [f"    - {line}" for line in self.before]
        return "\n".join([self.function, *removed, *(f"    + {line}" for line in self.after)])


@dataclass(frozen=True)
class Mutant:
    name: str
    module: str
    fate: Fate
    change: Change


def mutants(folder: Path) -> Iterator[Mutant]:
    """Yield all mutants that mutmut has made in `folder`, a copy of the checkout."""
    for path in sorted((folder / "mutants" / CORE).glob("*.py.meta")):
        fates: dict[str, int | None] = json.loads(path.read_text())["exit_code_by_key"]
        functions = _functions(path.with_suffix("").read_text())
        module = path.name.partition(".")[0]
        for name, code in fates.items():
            fate = Fate.UNTRIED if code is None else _FATES.get(code, Fate.UNTRIED)
            yield Mutant(name, module, fate, _change(module, name.rpartition(".")[2], functions))


def _functions(source: str) -> dict[str, list[str]]:
    lines = source.splitlines()
    return {
        node.name: lines[node.lineno - 1 : node.end_lineno]
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef)
    }


def _change(module: str, mutant: str, functions: dict[str, list[str]]) -> Change:
    mangled = mutant.rpartition(_MUTANT)[0]
    original, name = mangled + _ORIGINAL, mangled.split("ǁ")[-1].removeprefix("x_")
    lines = difflib.unified_diff(
        [line.replace(original, name).strip() for line in functions[original]],
        [line.replace(mutant, name).strip() for line in functions[mutant]],
        n=0,
        lineterm="",
    )
    changed = [line for line in lines if not line.startswith(("---", "+++", "@@"))]
    path = mangled.removeprefix("xǁ").removeprefix("x_").replace("ǁ", ".")
    return Change(
        f"{module}.{path}",
        tuple(line[1:] for line in changed if line[0] == "-"),
        tuple(line[1:] for line in changed if line[0] == "+"),
    )
