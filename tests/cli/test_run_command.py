"""That the judge of ``python -m tests.run_command`` sees what it is to see"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.run_command.stamps import Life, Reader, overlaps

ONE = ["1.0 7 100 begin:0.250", "2.0 7 100 beat", "3.0 7 100 end"]


@pytest.mark.parametrize(
    ("other", "count"),
    [
        (["3.1 9 200 begin:0.000"], 0),
        (["2.9 9 200 begin:0.000"], 1),  # began before the other had ended
        (["3.1 9 200 begin:0.000", "3.2 7 101 beat"], 1),  # a child of the first has lived on
        (["0.5 9 200 begin:0.000"], 1),  # before the one of the smaller token
        (["3.1 9 200 begin:0.000", "3.2 11 300 begin:0.000", "3.3 7 100 beat"], 2),
    ],
)
def test_whoever_lives_with_another_is_seen(tmp_path: Path, other: list[str], count: int) -> None:
    file = tmp_path / "stamps"
    file.write_text("\n".join([*ONE, *other, "3.9 7"]))  # the last is being written
    assert len(overlaps(Reader(file).lives())) == count


def test_a_life_is_from_the_first_to_the_last_of_its_stamps_whenever_they_are_read(
    tmp_path: Path,
) -> None:
    file = tmp_path / "stamps"
    reader = Reader(file)
    assert reader.lives() == []
    file.write_text(f"{ONE[0]}\n{ONE[1][:4]}")
    assert reader.lives() == [Life(7, 0.75, 1.0, 1.0, frozenset({100}))]
    file.write_text("\n".join([*ONE, "2.5 7 101 beat", ""]))
    assert reader.lives() == [Life(7, 0.75, 1.0, 3.0, frozenset({100, 101}))]
    assert reader.lives() == [Life(7, 0.75, 1.0, 3.0, frozenset({100, 101}))]
