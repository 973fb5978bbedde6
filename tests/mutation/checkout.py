"""A copy of the checkout that mutmut can mutate the whole core in."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
CORE = Path("kube_leader_election", "_core")
_NEEDED = ["_kube_leader_election_pytest.py", "kube_leader_election", "setup.cfg", "tests"]
_CONFIGURATION = Path(__file__).with_name("mutmut.cfg")


def copy_to(folder: Path) -> None:
    """`folder` has what the tests of the core need, with mutmut's configuration."""
    ignored = shutil.ignore_patterns("__pycache__")
    for name in _NEEDED:
        source = CHECKOUT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=ignored)
        else:
            shutil.copy2(source, folder / name)
    with (folder / "setup.cfg").open("a") as setup:
        setup.write(f"\n{_CONFIGURATION.read_text()}")
    for path in (folder / CORE).glob("*.py"):
        path.write_text(without_property_decorators(path.read_text()))


def without_property_decorators(source: str) -> str:
    """Return `source` with each property made by a call: mutmut leaves decorated functions out."""
    lines = source.splitlines()
    getters = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef)
        and [ast.unparse(decorator) for decorator in node.decorator_list] == ["property"]
    ]
    for getter in sorted(getters, key=lambda node: node.lineno, reverse=True):
        assert getter.end_lineno is not None
        made = f"{' ' * getter.col_offset}{getter.name} = property({getter.name})"
        lines.insert(getter.end_lineno, made)
        del lines[getter.decorator_list[0].lineno - 1]
    return "\n".join(lines) + "\n"
