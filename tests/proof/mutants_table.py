"""Writes docs/mutants.rst, from the mutants and who kills each

``python -m tests.proof.mutants_table`` writes it; with ``--check`` it fails where the file is not
as it would be written.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from .mutants_listed import GROUPS, MUTANTS, Explored, Killer, Mutant, Simulated

FILE = Path(__file__).parents[2] / "docs" / "mutants.rst"

_HEAD = """\
Mutants
=======

Whether a mistake would be noticed by what judges the elections is shown by making it. These are
{count}, each a small change of the production code in ``tests/proof/mutants_listed.py``: what was
got wrong before, or what a rule of docs/architecture.rst is there to prevent. All are made in CI,
each in a copy of the package, and each must be found by whom the table names::

    python -m tests.proof.mutants                        # all, in less than a minute
    python -m tests.proof.mutants --search "MISTAKE"     # let everybody look for this one

*Schedules*: random ones of ``kube_leader_election.testing.simulation``, with the number that the
violated invariant has in docs/guarantees.rst. The last column says how many are played until one
finds it, on average. *Explorer*: all interleavings of a configuration of
``tests/proof/explorations.py``, in its short form. *Script*: a schedule or a conversation of
``tests/proof/mutants_scripts.py``, for what chance meets too seldom, or what is no part of the
core: a fork, or a pause between two clocks.

Written by ``python -m tests.proof.mutants_table``.
"""


def text() -> str:
    """What docs/mutants.rst is to say"""
    lines = [_HEAD.format(count=len(MUTANTS))]
    for title, mutants in GROUPS.items():
        lines += _section(title, mutants)
    return "\n".join(lines)


def _section(title: str, mutants: tuple[Mutant, ...]) -> Iterator[str]:
    yield from ("", title, "-" * len(title), "")
    yield from (".. list-table::", "   :header-rows: 1", "   :widths: 35 17 35 13", "")
    yield from ("   * - mistake", "     - in", "     - found by", "     - schedules")
    for mutant in mutants:
        paths = dict.fromkeys(change.path for change in mutant.changes)
        yield f"   * - {mutant.name}"
        yield f"     - {', '.join(f'``{path}``' for path in paths)}"
        yield f"     - {_shown(mutant.killer)}"
        yield f"     - {_often(mutant)}"
    yield ""


def _shown(killer: Killer) -> str:
    if isinstance(killer, Simulated):
        return f"schedules: invariant {killer.invariant}"
    if isinstance(killer, Explored):
        return f"explorer: {killer.configuration}"
    return f"script: {killer.script.replace('_', ' ')}"


def _often(mutant: Mutant) -> str:
    if mutant.killer.on_average is not None:
        return str(mutant.killer.on_average)
    is_played = any(change.path.startswith("_core/") for change in mutant.changes)
    return "> 500" if is_played else "none"


def main(arguments: list[str]) -> int:
    """The exit code"""
    wanted = text()
    if arguments != ["--check"]:
        FILE.write_text(wanted)
    elif not FILE.exists() or FILE.read_text() != wanted:
        sys.stdout.write(
            "docs/mutants.rst is not up to date: python -m tests.proof.mutants_table\n"
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
