from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import kube_leader_election

PACKAGE = "kube_leader_election"
ROOT = Path(kube_leader_election.__file__).parent
FRINGE = ("testing", "contrib", "cli", "__main__")

# What has no clock, no I/O, no thread and no randomness.
PURE = frozenset(
    {
        "__future__", "abc", "bisect", "collections", "copy", "dataclasses", "datetime", "dateutil",
        "enum", "fractions", "functools", "heapq", "itertools", "math", "operator", "re",
        "reprlib", "types", "typing",
    }
)  # fmt: skip
# What does not come with Python, and the package may import at its top.
DEPENDENCIES = frozenset({"dateutil", "kubernetes", "urllib3"})
# What a part of the fringe may import besides, where its extra is installed.
EXTRAS = {"cli": {"rich"}, "testing": {"trustme"}}

# Where urllib3 may be imported at the top: what nobody imports before a client has done so.
TRANSPORT = {"_link", "_wire"}

# Where time is read: the clock itself, and the deadlines of the transport.
CLOCK_READERS = {"_clock": None} | dict.fromkeys(
    ("_connection", "_raw", "_watch", "_wire"), "time.monotonic"
)
CLOCKS = frozenset(
    {"time.time", "time.time_ns", "time.monotonic", "time.monotonic_ns", "time.perf_counter"}
    | {"time.perf_counter_ns", "time.clock_gettime", "time.clock_gettime_ns", "time.gmtime"}
    | {"time.localtime", "time.process_time", "time.thread_time", "time.strftime", "time.ctime"}
    | {"time.sleep", "datetime.now", "datetime.utcnow", "datetime.today", "date.today"}
)


@dataclass(frozen=True)
class Import:
    module: str
    at_top: bool
    for_types_only: bool


@dataclass(frozen=True)
class Source:
    name: str
    tree: ast.Module
    imports: tuple[Import, ...]

    @property
    def part(self) -> str:
        """The module or package at the top of the package that it belongs to."""
        return self.name.split(".")[1] if "." in self.name else "__init__"


def absolute(importer: Path, node: ast.ImportFrom) -> str:
    """The full name of the module that `from ... import` names."""
    if not node.level:
        return node.module or ""
    folders = [PACKAGE, *importer.relative_to(ROOT).parts[:-1]]
    base = folders[: len(folders) - node.level + 1]
    return ".".join(base + ([node.module] if node.module else []))


def imports_of(path: Path, tree: ast.Module) -> Iterator[Import]:
    def walk(node: ast.AST, *, at_top: bool, typing: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield Import(alias.name, at_top, typing)
            elif isinstance(child, ast.ImportFrom):
                module = absolute(path, child)
                for alias in child.names:  # `from . import x` may name a module
                    name = f"{module}.{alias.name}"
                    yield Import(name if is_module(name) else module, at_top, typing)
            elif isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
                yield from walk(child, at_top=at_top, typing=True)
            else:
                scope = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
                inside = isinstance(child, scope)
                yield from walk(child, at_top=at_top and not inside, typing=typing)

    yield from walk(tree, at_top=True, typing=False)


def is_module(name: str) -> bool:
    if not name.startswith(f"{PACKAGE}."):
        return False
    path = ROOT.joinpath(*name.split(".")[1:])
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def read(path: Path) -> Source:
    parts = [PACKAGE, *path.relative_to(ROOT).with_suffix("").parts]
    name = ".".join(parts).removesuffix(".__init__")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return Source(name, tree, tuple(imports_of(path, tree)))


SOURCES = [read(path) for path in sorted(ROOT.rglob("*.py"))]
CORE = [source for source in SOURCES if source.part == "_core"]
SHELL = [source for source in SOURCES if source.part not in ("_core", *FRINGE)]


def by_name(source: Source) -> str:
    return source.name


def top(module: str) -> str:
    return module.split(".")[0]


def part(module: str) -> str:
    """Of a module of ours, the part of the package at its top; of another, nothing."""
    return module.split(".")[1] if module.startswith(f"{PACKAGE}.") else ""


def test_all_modules_were_found() -> None:
    assert len(CORE) >= 9
    assert {"_lock", "_store", "_raw", "_typed", "_clock"} <= {source.part for source in SHELL}
    # Counted in another way: what the eye of this test must not miss.
    for source in SOURCES:
        nodes = [n for n in ast.walk(source.tree) if isinstance(n, (ast.Import, ast.ImportFrom))]
        assert len(source.imports) >= len(nodes)


@pytest.mark.parametrize("source", CORE, ids=by_name)
def test_the_core_imports_nothing_of_ours_but_itself(source: Source) -> None:
    ours = [each.module for each in source.imports if top(each.module) == PACKAGE]
    assert [module for module in ours if part(module) != "_core"] == []


@pytest.mark.parametrize("source", CORE, ids=by_name)
def test_the_core_imports_no_clock_thread_io_or_client(source: Source) -> None:
    others = {top(each.module) for each in source.imports} - {PACKAGE}
    assert others - PURE == set()


@pytest.mark.parametrize("source", CORE, ids=by_name)
def test_the_core_neither_opens_nor_prints_nor_imports_by_name(source: Source) -> None:
    called = {
        ast.unparse(node.func) for node in ast.walk(source.tree) if isinstance(node, ast.Call)
    }
    assert called & {"open", "print", "input", "__import__", "exec", "eval"} == set()


@pytest.mark.parametrize("source", SHELL, ids=by_name)
def test_the_shell_imports_nothing_of_the_fringe(source: Source) -> None:
    ours = {part(each.module) for each in source.imports}
    assert ours & set(FRINGE) == set()


@pytest.mark.parametrize("source", SOURCES, ids=by_name)
def test_no_part_of_the_fringe_imports_another_but_the_stand_ins(source: Source) -> None:
    # The command line and `python -m` are one, and the stand-ins are for all to use.
    allowed = {source.part, "testing"} | ({"cli"} if source.part == "__main__" else set())
    imported = {part(each.module) for each in source.imports}
    assert source.part not in FRINGE or imported & set(FRINGE) <= allowed


@pytest.mark.parametrize("source", SOURCES, ids=by_name)
def test_only_declared_dependencies_are_imported(source: Source) -> None:
    allowed = set(sys.stdlib_module_names) | DEPENDENCIES | {PACKAGE}
    allowed |= EXTRAS.get(source.part, set())
    always = {top(each.module) for each in source.imports if source.part != "contrib"}
    assert always - allowed == set()


@pytest.mark.parametrize("source", [s for s in SHELL if s.part not in TRANSPORT], ids=by_name)
def test_kubernetes_and_urllib3_are_imported_where_they_are_needed_only(source: Source) -> None:
    at_top = {
        top(each.module) for each in source.imports if each.at_top and not each.for_types_only
    }
    assert at_top & {"kubernetes", "urllib3"} == set()


def imported_at_start(name: str, seen: set[str]) -> set[str]:
    """The modules of ours that come with importing the one of this name."""
    if name in seen:
        return seen
    seen.add(name)
    for source in SOURCES:
        if source.name == name:
            for each in source.imports:
                if each.at_top and not each.for_types_only and top(each.module) == PACKAGE:
                    imported_at_start(each.module, seen)
    return seen


def test_what_needs_urllib3_does_not_come_with_the_package() -> None:
    at_start = imported_at_start(PACKAGE, set())
    assert {f"{PACKAGE}.{name}" for name in TRANSPORT} & at_start == set()


def test_no_module_imports_itself_in_a_circle() -> None:
    edges = {
        source.name: {
            each.module
            for each in source.imports
            if each.at_top and not each.for_types_only and top(each.module) == PACKAGE
        }
        - {source.name}
        for source in SOURCES
    }
    while free := [name for name, needs in edges.items() if not needs & edges.keys()]:
        for name in free:
            del edges[name]
    assert edges == {}


def clocks_read_in(source: Source) -> set[str]:
    read = set()
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute):
            dotted = ".".join(ast.unparse(node).split(".")[-2:])
            read |= {dotted} & CLOCKS
        elif isinstance(node, ast.ImportFrom) and node.module == "time":
            read |= {f"time.{alias.name}" for alias in node.names}
    return read


@pytest.mark.parametrize("source", SOURCES, ids=by_name)
def test_no_clock_is_read_but_by_the_clock_and_for_the_deadlines_of_the_transport(
    source: Source,
) -> None:
    read = clocks_read_in(source)
    if source.part in FRINGE:
        read.clear()
    if source.part in CLOCK_READERS:
        allowed = CLOCK_READERS[source.part]
        read = read - {allowed} if allowed else set()
    assert read == set()


def run(code: str) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.mark.parametrize("names", ["", "from kube_leader_election import *"])
def test_importing_the_package_imports_neither_kubernetes_nor_urllib3(names: str) -> None:
    heavy = {"kubernetes", "urllib3", "requests", "pydantic", "yaml", "asyncio"}
    code = f"import sys, kube_leader_election\n{names}\nprint(*sys.modules)"
    loaded = {top(module) for module in run(code).split()}
    assert PACKAGE in loaded
    assert loaded & heavy == set()


def test_importing_the_package_starts_no_thread_and_touches_no_logger() -> None:
    code = """if True:
        import logging, threading
        import kube_leader_election
        print(threading.active_count(), logging.getLogger().handlers)
        print(logging.getLogger("kube_leader_election").handlers)
    """
    assert run(code) == "1 []\n[]\n"


def test_params_are_checked_without_importing_kubernetes() -> None:
    code = """if True:
        import sys
        from kube_leader_election import InvalidParamsError, LeaseLock, LeaseLockParams
        params = LeaseLockParams(lease_name="leader")
        try:
            LeaseLock(None, "default", params)
        except InvalidParamsError as error:
            print(error.field, "kubernetes" in sys.modules, "urllib3" in sys.modules)
    """
    assert run(code) == "client False False\n"


def test_all_public_names_are_flat_and_sorted() -> None:
    names = kube_leader_election.__all__
    assert names == sorted(set(names))
    assert all(hasattr(kube_leader_election, name) for name in names)
    # pytest leaves names with an @ in the modules of its plugins' distributions.
    public = {name for name in vars(kube_leader_election) if name[0] not in "_@"}
    assert public - set(names) <= {"annotations", *FRINGE}
