"""Shows that the tests of the core fail for nearly every small mistake in it

``python -m tests.mutation`` has mutmut make every mutant of the core, and runs the tests against
each: about ten minutes on two cores. It fails if fewer than 95 % are killed, or if one survives
that ``survivors.rst`` does not explain. ``--module NAME`` tries those of one module only,
``--sample N`` so many of them, drawn with ``--seed``; then it fails only for survivors that are not
explained. Nothing in the checkout is changed.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from .checkout import CORE, copy_to
from .mutants import Fate, Mutant, mutants
from .survivors import EQUIVALENT, listed

LEAST_SCORE = 95.0
_PACKAGE = ".".join(CORE.parts)
_SAID_EVERY = 30.0
_PROGRESS = re.compile(rb"\d+/\d+")
_MAKE = "from mutmut.__main__ import create_mutants; create_mutants({})"
_RUN = "from mutmut.__main__ import cli; cli()"


def main(arguments: Sequence[str]) -> int:
    """Return the exit code."""
    options = _options(arguments)
    with tempfile.TemporaryDirectory(prefix="mutation-") as name:
        folder = Path(name)
        copy_to(folder)
        _mutmut(folder, _MAKE.format(options.processes))
        wanted = [
            mutant.name for mutant in mutants(folder) if options.module in (None, mutant.module)
        ]
        if not wanted:
            sys.exit(f"nothing is mutated in {options.module}")
        if options.sample:
            seed = random.randrange(2**32) if options.seed is None else options.seed
            _say(f"--seed {seed}")
            wanted = random.Random(seed).sample(wanted, min(options.sample, len(wanted)))
        is_whole = not (options.module or options.sample)
        names = [] if is_whole else wanted
        _mutmut(folder, _RUN, "run", "--max-children", str(options.processes), *names)
        return _judge(list(mutants(folder)), set(wanted), is_whole=is_whole)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation")
    parser.add_argument("--module", help="of the core, such as term")
    parser.add_argument("--sample", type=int, help="try so many mutants")
    parser.add_argument("--seed", type=int, help="draw the sample with it")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    return parser.parse_args(arguments)


def _mutmut(folder: Path, code: str, *arguments: str) -> None:
    """Run `code` of mutmut's in `folder`, and say how far it is."""
    log = folder / "mutmut.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            cwd=folder,
            # With it, Hypothesis draws the same examples each time, and remembers none.
            env={**os.environ, "CI": "true"},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        while not _ends(process, within=_SAID_EVERY):
            for tried in _PROGRESS.findall(log.read_bytes())[-1:]:
                _say(f"... {tried.decode()}")
    if process.returncode:
        sys.exit(log.read_text(errors="replace")[-20_000:])


def _ends(process: subprocess.Popen[bytes], *, within: float) -> bool:
    try:
        process.wait(within)
    except subprocess.TimeoutExpired:
        return False
    return True


def _judge(made: Sequence[Mutant], wanted: set[str], *, is_whole: bool) -> int:
    """Say the figures and the faults, and return the exit code."""
    tried = [mutant for mutant in made if mutant.name in wanted]
    for module in sorted({mutant.module for mutant in tried}):
        _say_figures(module, [mutant for mutant in tried if mutant.module == module])
    score = _say_figures("all", tried)
    known = listed()
    survivors = [mutant.change for mutant in tried if mutant.fate is Fate.SURVIVED]
    equivalent = sum(known.get(change, "").startswith(EQUIVALENT) for change in survivors)
    _say(f"{equivalent} of the survivors cannot be told from the code")
    faults = [f"not listed: {change}" for change in survivors if change not in known]
    faults += [f"not tried: {mutant.name}" for mutant in tried if mutant.fate is Fate.UNTRIED]
    unmade = known.keys() - {mutant.change for mutant in made}
    faults += [f"listed, but there is no such mutant: {change}" for change in unmade]
    if is_whole:
        for change in known.keys() - unmade - set(survivors):
            _say(f"listed, but killed: {change}")
        if score < LEAST_SCORE:
            faults.append(f"fewer than {LEAST_SCORE:g} % are killed")
    for fault in faults:
        _say(fault)
    return 1 if faults else 0


def _say_figures(name: str, tried: Sequence[Mutant]) -> float:
    """Say what became of these mutants, and return how many of a hundred are killed."""
    fates = Counter(mutant.fate for mutant in tried)
    score = 100 * (fates[Fate.KILLED] + fates[Fate.TIMED_OUT]) / len(tried)
    figures = ", ".join(f"{fates[fate]} {fate.value}" for fate in Fate if fates[fate])
    _say(f"{name:12} {len(tried):4} mutants, {score:6.2f} %: {figures}")
    return score


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
