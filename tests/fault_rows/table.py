"""Writes docs/faults.rst, from the rows and the tests that are marked with their numbers

``python -m tests.fault_rows.table`` writes it; with ``--check`` it fails where the file is not as
it would be written, and always where something is not shown that a row asks for.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fault_rows.rows import ROWS, Row

_CHECKOUT = Path(__file__).parents[2]
_FILE = _CHECKOUT / "docs" / "faults.rst"

_HEAD = """\
Faults
======

What an election meets in production, what must hold then, and the tests that show it. Each test
has the number of its row as a marker: ``pytest -m "fault_row(number=13)"`` runs those of row 13,
and ``-m "fault_row(number=13) and not apiserver and not peers"`` those that need no API server.

In every row, too: no exception but ours comes out, every thread lives, one request at most is in
flight, nothing is repeated hot, a change is one line in the log at most, and nobody has to help.

Written by ``python -m tests.fault_rows.table``. *S*: on the stand-ins of
``kube_leader_election.testing``, or without any server. *K*: on kube-apiserver and etcd.
"""


@dataclass(frozen=True, order=True)
class Proof:
    """A test function that is marked with the number of a row, and the server it is run on"""

    number: int
    path: str
    name: str
    real: bool

    @property
    def of_elector(self) -> bool:
        stem = Path(self.path).stem
        return any(word in stem for word in ("elector", "campaign", "watch", "either"))

    @property
    def of_lock(self) -> bool:
        return not self.of_elector or "either" in Path(self.path).stem


class _Collector:
    def __init__(self) -> None:
        self.proofs: set[Proof] = set()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            real = any(item.get_closest_marker(name) for name in ("apiserver", "peers"))
            path = item.path.relative_to(_CHECKOUT).as_posix()
            name = item.name.partition("[")[0]
            for mark in item.iter_markers("fault_row"):
                self.proofs.add(Proof(mark.kwargs["number"], path, name, real))


def collect() -> set[Proof]:
    """All that is marked, anywhere in the tests"""
    collector = _Collector()
    marked = [str(path) for path in (_CHECKOUT / "tests").rglob("test_*.py") if _is_marked(path)]
    options = [
        "--collect-only",
        "-qq",
        "-m",
        "fault_row",
        "-p",
        "no:cacheprovider",
        "--assert=plain",
    ]
    code = pytest.main([*options, "--rootdir", str(_CHECKOUT), *marked], plugins=[collector])
    if code != pytest.ExitCode.OK:
        raise SystemExit(f"the tests cannot be collected: {code!r}")
    return collector.proofs


def _is_marked(path: Path) -> bool:
    return "fault_row(" in path.read_text()


def missing(proofs: Iterable[Proof]) -> Iterator[str]:
    """What rows ask for and no test shows"""
    proofs = set(proofs)
    for row in ROWS:
        mine = [proof for proof in proofs if proof.number == row.number]
        if not any(proof.of_elector for proof in mine):
            yield f"row {row.number}: no test of LeaderElector"
        if row.lock and not any(proof.of_lock for proof in mine):
            yield f"row {row.number}: no test of LeaseLock"
        if row.server and not any(proof.real for proof in mine):
            yield f"row {row.number}: no test on kube-apiserver"
    for number in sorted({proof.number for proof in proofs} - {row.number for row in ROWS}):
        yield f"row {number}: there is no such row"


def text(proofs: Iterable[Proof]) -> str:
    """What docs/faults.rst is to say"""
    proofs = sorted(proofs)
    lines = [_HEAD]
    for row in ROWS:
        lines += _section(row, [proof for proof in proofs if proof.number == row.number])
    return "\n".join(lines)


def _section(row: Row, proofs: list[Proof]) -> Iterator[str]:
    title = f"{row.number}. {row.fault[0].upper()}{row.fault[1:]}"
    yield from ("", title, "-" * len(title), "", row.must_hold, "")
    for path in sorted({proof.path for proof in proofs}):
        yield f"- ``{path}``"
        yield ""
        names = {proof.name for proof in proofs if proof.path == path}
        for name in sorted(names):
            real = {proof.real for proof in proofs if (proof.path, proof.name) == (path, name)}
            where = ", ".join(
                letter for flag, letter in ((False, "S"), (True, "K")) if flag in real
            )
            yield f"  - {name.removeprefix('test_').replace('_', ' ')} (*{where}*)"
        yield ""


def main(arguments: list[str]) -> int:
    """The exit code"""
    proofs = collect()
    faults = list(missing(proofs))
    wanted = text(proofs)
    if arguments == ["--check"]:
        if not _FILE.exists() or _FILE.read_text() != wanted:
            faults.append("docs/faults.rst is not up to date: python -m tests.fault_rows.table")
    else:
        _FILE.write_text(wanted)
    print(*faults, sep="\n")
    print(f"{len({proof.number for proof in proofs})} of {len(ROWS)} rows have tests")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
