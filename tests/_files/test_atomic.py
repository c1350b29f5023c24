"""A local file is written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from replicate_kit._files.atomic import replacing


def test_it_takes_the_place_of_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "new folder" / "table.csv"
    for text in ("first", "second"):
        with replacing(target) as partial:
            partial.write_text(text)
    assert target.read_text() == "second"
    assert list(target.parent.iterdir()) == [target]


def test_what_was_there_stays_when_something_goes_wrong(tmp_path: Path) -> None:
    target = tmp_path / "table.csv"
    target.write_text("before")
    with pytest.raises(OSError, match="disk full"):
        _fail_half_way(target)
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("table.csv", "before")]


def _fail_half_way(target: Path) -> None:
    with replacing(target) as partial:
        partial.write_text("half of")
        raise OSError("disk full")


def test_names_may_be_as_long_as_the_file_system_allows(tmp_path: Path) -> None:
    target = tmp_path / ("字" * 83 + ".csv")  # 253 bytes of 255
    with replacing(target) as partial:
        partial.write_text("hello")
    assert target.read_text() == "hello"


def test_two_at_a_time_do_not_disturb_each_other(tmp_path: Path) -> None:
    target = tmp_path / "table.csv"
    with replacing(target) as one:
        one.write_text("one")
        with replacing(target) as other:
            other.write_text("other")
        assert target.read_text() == "other"
    assert target.read_text() == "one"
