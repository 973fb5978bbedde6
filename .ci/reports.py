"""Counts the tests in the JUnit reports of a folder

``python reports.py FOLDER COUNTS`` prints a line for each report and writes how many tests passed
and how many did not to the file COUNTS. It fails unless there is a report, each report has tests
and every test passed; a skipped one did not.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree as ET

OUTCOMES = ("failure", "error", "skipped")


def outcomes(report: Path) -> Counter[str]:
    """How many tests of each outcome; an unreadable report counts as an error"""
    try:
        cases = list(ET.parse(report).iter("testcase"))
    except ET.ParseError:
        return Counter(error=1)
    return Counter(
        next((name for name in OUTCOMES if case.find(name) is not None), "passed") for case in cases
    )


def main(folder: Path, counts: Path) -> int:
    reports = sorted(folder.glob("*.xml"))
    passed = bad = 0
    complete = bool(reports)
    for report in reports:
        found = outcomes(report)
        line = ", ".join(f"{found[name]} {name}" for name in ("passed", *OUTCOMES) if found[name])
        print(f"{report.stem}: {line or 'no tests'}")
        passed += found["passed"]
        bad += found.total() - found["passed"]
        complete = complete and bool(found)
    if not reports:
        print("no test report")
    counts.write_text(f"{passed} {bad}\n", encoding="ascii")
    return 0 if complete and not bad else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
