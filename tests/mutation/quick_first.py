"""A plugin of pytest where mutmut runs it: the quickest tests are run first, without delay."""

from __future__ import annotations

import importlib
import json
import os
import random
from pathlib import Path

import pytest

_STATS = Path("mutmut-stats.json")


def pytest_configure() -> None:
    """Every call of a mutated function asks which mutant it is to be: look that up once."""
    mutant = os.environ["MUTANT_UNDER_TEST"]
    trampoline = importlib.import_module("mutmut.mutation.trampoline")
    trampoline.get_mutant_under_test = lambda: mutant  # type: ignore[attr-defined]


def pytest_runtest_setup() -> None:
    """Each mutant meets the same schedules."""
    random.seed(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if _STATS.exists():
        seconds: dict[str, float] = json.loads(_STATS.read_text())["duration_by_test"]
        items.sort(key=lambda item: seconds.get(item.nodeid, 0.0))
