"""Records: lenient views over the JSON that came."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicate_kit import Client, Prediction, Version
from replicate_kit.records import Field, Record, parse_time


class Board(Record):
    """A record of the tests."""

    _named_by = ("name",)

    name: Field[str] = Field(default="")
    notes: Field[list[str]] = Field(default=[])
    made_at: Field[datetime | None] = Field(parse_time)


def test_fields_read_their_keys() -> None:
    board = Board({"name": "ideas", "notes": ["surf"], "made_at": "2026-01-01T00:00:00Z"})
    assert (board.name, board.notes) == ("ideas", ["surf"])
    assert board.made_at == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "json", [{}, {"name": None, "notes": None, "made_at": None}, {"made_at": "soon"}, {"made_at": 7}]
)
def test_what_is_missing_or_unreadable_is_the_default(json: dict[str, Any]) -> None:
    board = Board(json)
    assert (board.name, board.notes, board.made_at) == ("", [], None)


def test_an_empty_default_belongs_to_one_record() -> None:
    Board({}).notes.append("mine")
    Prediction({"id": "p1"}).input["prompt"] = "mine"
    assert Board({}).notes == []
    assert Prediction({"id": "p2"}).input == {}


def test_fields_that_the_api_adds_are_kept() -> None:
    board = Board({"name": "ideas", "novel": 1})
    assert board.novel == 1
    assert dict(board) == {"name": "ideas", "novel": 1}
    assert ("novel" in board, len(board), list(board)) == (True, 2, ["name", "novel"])
    assert "novel" in dir(board)
    assert board["novel"] == 1


def test_an_unknown_attribute_is_named_with_those_that_exist() -> None:
    with pytest.raises(AttributeError, match=r"Board has no 'colour'\. It has: made_at, name, notes, novel"):
        _ = Board({"novel": 1}).colour
    with pytest.raises(AttributeError):
        _ = Board({"_secret": 1})._secret


def test_records_are_equal_by_kind_and_content() -> None:
    assert Board({"name": "a"}) == Board({"name": "a"})
    assert Board({"name": "a"}) != Board({"name": "b"})
    assert Board({"name": "a"}) != Record({"name": "a"})
    assert Board({"name": "a"}) != {"name": "a"}
    assert Board({})
    with pytest.raises(TypeError, match="unhashable"):
        hash(Board({}))


def test_a_record_is_named_in_its_repr() -> None:
    assert repr(Board({"name": "ideas"})) == "<Board: ideas>"
    assert repr(Prediction({"id": "p1"})) == "<Prediction: p1>"


def test_fields_can_be_told_from_the_class() -> None:
    assert isinstance(Board.name, Field)


def test_any_mapping_makes_a_record() -> None:
    assert Board(Record({"name": "ideas"})).name == "ideas"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "travel", [copy.copy, copy.deepcopy, lambda record: pickle.loads(pickle.dumps(record))]
)
def test_a_record_travels_without_its_session(client: Client, travel: Any) -> None:
    prediction = client.predictions.create("demo/poet", {"prompt": "sea"})
    arrived = travel(prediction)
    assert arrived == prediction
    assert type(arrived) is Prediction
    assert arrived._session is None
    version = Version({"id": "v1"}, client.session)
    assert travel(version) == version


def test_a_record_that_travelled_finds_the_default_clients_session(monkeypatch: pytest.MonkeyPatch) -> None:
    import replicate_kit

    monkeypatch.setenv("REPLICATE_KIT_BACKEND", "mock")
    prediction = Prediction(dict(replicate_kit.predictions.create("demo/poet", {"prompt": "sea"})))
    prediction.wait()
    assert prediction.session is replicate_kit.default_client.session
    assert prediction.status == "succeeded"


# Times.


@pytest.mark.parametrize(
    ("text", "microsecond"),
    [
        ("2024-10-04T18:07:40Z", 0),
        ("2024-10-04T18:07:40.3Z", 300_000),
        ("2024-10-04T18:07:40.328Z", 328_000),
        ("2024-10-04T18:07:40.328123Z", 328_123),
        ("2024-10-04T18:07:40.328123456Z", 328_123),
        ("2024-10-04T18:07:40.3281234567890Z", 328_123),
        ("2024-10-04 18:07:40.328", 328_000),
        ("2024-10-04T20:07:40.328+02:00", 328_000),
        ("2024-10-04T20:07:40.328+0200", 328_000),
    ],
)
def test_times_are_read_with_any_number_of_digits(text: str, microsecond: int) -> None:
    assert parse_time(text) == datetime(2024, 10, 4, 18, 7, 40, microsecond, tzinfo=UTC)


@pytest.mark.parametrize(
    "value", [None, 7, "", "soon", "2024-13-01T00:00:00Z", "2024-10-04", "0001-01-01T00:00:00+09:00"]
)
def test_what_is_no_time_is_none(value: Any) -> None:
    assert parse_time(value) is None


@given(st.text())
def test_no_text_breaks_the_reading_of_times(text: str) -> None:
    assert parse_time(text) is None or parse_time(text).tzinfo is UTC  # type: ignore[union-attr]


@given(st.datetimes(timezones=st.just(UTC)))
def test_times_read_as_they_are_written(moment: datetime) -> None:
    assert parse_time(moment.isoformat()) == moment
