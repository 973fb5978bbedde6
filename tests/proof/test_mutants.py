"""Mistakes can be made in the code as it is, and what finds them finds nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from .explorations import SHORT
from .mutants import tried
from .mutants_killers import found_by
from .mutants_listed import MUTANTS, Change, Explored, Mutant, Scripted
from .mutants_scripts import SCRIPTS
from .mutants_table import FILE, text
from .mutated import changed

LEAST_MUTANTS = 25


def named(mutant: Mutant) -> str:
    return mutant.name


def scripted() -> Mutant:
    return next(mutant for mutant in MUTANTS if isinstance(mutant.killer, Scripted))


@pytest.mark.parametrize("mutant", MUTANTS, ids=named)
def test_a_mistake_can_be_made_in_the_code_as_it_is(mutant: Mutant) -> None:
    for path in {change.path for change in mutant.changes}:
        mutated = changed(path, [change for change in mutant.changes if change.path == path])
        compile(mutated, path, "exec")
    assert all(change.old != change.new for change in mutant.changes)


def test_there_are_enough_mistakes_and_each_is_another() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= LEAST_MUTANTS
    assert len({mutant.patch for mutant in MUTANTS}) == len(MUTANTS)


def test_a_change_of_what_is_not_there_once_is_refused() -> None:
    path = "_core/term.py"
    for old, count in (("no such line\n", 0), ("        return", 2)):
        with pytest.raises(ValueError, match=f"{path} has {count} times"):
            changed(path, [Change(path, old, "")])


def test_whoever_is_to_find_a_mistake_exists() -> None:
    killers = [mutant.killer for mutant in MUTANTS]
    explored = {killer.configuration for killer in killers if isinstance(killer, Explored)}
    assert explored <= {configuration.name for configuration in SHORT}
    assert {killer.script for killer in killers if isinstance(killer, Scripted)} == SCRIPTS.keys()


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_finds_nothing_in_the_code_as_it_is(script: str) -> None:
    assert found_by(Scripted(script)) is None


def test_a_mutant_is_killed_and_so_is_told() -> None:
    verdict = tried(scripted())
    assert verdict.is_killed, str(verdict)
    assert str(verdict).startswith(scripted().name)


def test_code_without_a_mistake_survives_and_so_is_told() -> None:
    verdict = tried(replace(scripted(), patch=""))
    assert not verdict.is_killed
    assert str(verdict).endswith("SURVIVES")


def test_code_that_does_not_even_run_is_not_killed_but_broken() -> None:
    patch = "\n--- _core/term.py\n-from .messages import Instant\n+from .messages import Nothing\n"
    verdict = tried(replace(scripted(), patch=patch))
    assert not verdict.is_killed
    assert "BROKEN" in str(verdict)


def test_the_table_in_the_docs_is_up_to_date() -> None:
    assert FILE.read_text() == text(), "python -m tests.proof.mutants_table"
