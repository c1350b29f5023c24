"""Log records as lines of JSON."""

from __future__ import annotations

import datetime
import json
import logging
import sys
from typing import Any

import pytest

from replicate_kit._formats.json_logs import JSONFormatter, json_line


def formatted(message: str, *args: Any, **known: Any) -> dict[str, Any]:
    """What a record becomes."""
    line = JSONFormatter().format(
        logging.makeLogRecord({"name": "app", "msg": message, "args": args, "levelname": "WARNING", **known})
    )
    assert "\n" not in line
    found: dict[str, Any] = json.loads(line)
    return found


def test_a_record_has_its_time_in_utc_its_level_and_its_message() -> None:
    found = formatted("%s of\n%s", 1, 2, created=1e9)
    time = found.pop("time")
    assert datetime.datetime.fromisoformat(time) == datetime.datetime.fromtimestamp(1e9, datetime.UTC)
    assert found == {"level": "warning", "logger": "app", "event": "log", "message": "1 of\n2"}


def test_what_is_extra_follows_by_its_name() -> None:
    extra = {"event": "row", "rows": 3, "cost": None, "ratio": float("nan"), "where": {"a": [1, "b"]}}
    found = formatted("x", **extra)
    assert {name: found[name] for name in extra} == {**extra, "ratio": None}


@pytest.mark.parametrize("name", ["time", "level", "logger", "message", "exception", "stack"])
def test_what_is_extra_does_not_take_the_place_of_what_each_line_has(name: str) -> None:
    known: dict[str, Any] = {"created": 1e9, "exc_text": "ValueError: oh", "stack_info": "Stack: here"}
    plain = formatted("x", **known)
    if name == "message":  # which logging itself refuses as an extra
        assert json.loads(json_line("info", {"message": "x", "message_": "y"}))["message"] == "x"
        return
    found = formatted("x", **known, **{name: "theirs", f"{name}_": "also"})
    assert {each: found[each] for each in plain} == plain
    assert {found[each] for each in found if each.startswith(f"{name}_")} == {"theirs", "also"}


class Silent:
    """It cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError

    __repr__ = __str__


LARGE = 10**5000
CYCLE: list[Any] = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    "known",
    [
        {"thing": Silent()},
        {"things": [{"thing": Silent()}]},
        {"things": {Silent(): 1}},
        {"msg": Silent()},
        {"msg": "%s", "args": (Silent(),)},
        {"msg": "%d of %d", "args": (1,)},
        {"exc_info": (ValueError, ValueError(Silent()), None)},
        {"exc_info": ("odd",)},
        {"levelname": None},
        {"created": float("inf")},
        {"created": float("nan")},
        {"created": -1e300},
        {"created": "yesterday"},
        {"number": LARGE},
        {"numbers": {LARGE: -LARGE}},
        {"again": CYCLE},
        {"half": "\ud800"},
    ],
)
def test_any_record_is_a_line(known: dict[str, Any]) -> None:
    found = json.loads(JSONFormatter().format(logging.makeLogRecord({"name": "app", "msg": "x", **known})))
    assert {"time", "level", "logger", "event", "message"} <= found.keys()
    datetime.datetime.fromisoformat(found["time"])


def test_an_exception_is_a_text() -> None:
    try:
        raise ValueError("no such colour")
    except ValueError:
        found = formatted("x", exc_info=sys.exc_info())
    assert found["exception"].endswith("ValueError: no such colour")


@pytest.mark.parametrize(
    "known",
    [
        {"msg": "token r8_abcdefghij0123456789"},
        {"msg": "see ftp://me:r8_abcdefghij0123456789@host/a and https://host/b?sig=r8_abcdefghij0123456789"},
        {"msg": "hunter2-of-mine failed"},
        {"msg": "x", "url": "https://host/b?X-Amz-Signature=hunter2-of-mine"},
        {"msg": "x", "input": {"prompt": "sea", "api_key": "hunter2-of-mine"}},
        {"msg": "x", "api_key": "hunter2-of-mine"},
        {"msg": "x", "count": {"r8_abcdefghij0123456789": 1}},
        {"msg": "x", "count": {"hunter2-of-mine": 1}},
        {"msg": "x", "stack_info": "hunter2-of-mine"},
        {"msg": "x", "at": [("r8_abcdefghij0123456789",)]},
        {"msg": "x", "error": ValueError("hunter2-of-mine")},
    ],
)
def test_secrets_are_hidden(monkeypatch: pytest.MonkeyPatch, known: dict[str, Any]) -> None:
    monkeypatch.setenv("REPLICATE_API_TOKEN", "hunter2-of-mine")
    line = JSONFormatter().format(logging.makeLogRecord(known))
    assert "hunter2" not in line
    assert "abcdefghij" not in line
    assert "***" in line or "[secret]" in line


@pytest.mark.parametrize("inside", [*"'<>\" @/?#:", "'\"'\"'", "' and \"", "4 ", "::", "%20"])
@pytest.mark.parametrize(
    "text", ["{}", "the journal '{}' keeps it", '<{}> and "https://host/a"', "{}\nmail me@host"]
)
def test_passwords_are_hidden_whatever_is_in_them(inside: str, text: str) -> None:
    url = f"postgresql://me:hun{inside}ter2@host/db"
    shown = json.loads(json_line("info", {"message": text.format(url)}))["message"]
    assert shown == text.format("postgresql://me@host/db")


@pytest.mark.parametrize("inside", list("'<>\""))
def test_secrets_in_queries_are_hidden_whatever_is_in_them(inside: str) -> None:
    shown = json_line("info", {"message": f"'https://host/b?sig=hun{inside}ter2' failed"})
    assert json.loads(shown)["message"] == "'https://host/b?sig=***' failed"


@pytest.mark.parametrize(
    "said",
    [
        "see https://host/b?page=2 of r8_im and 'https://host/c'",
        "at http://127.0.0.1:8080, for me@host",
        "at http://[::1]:8080/a for me@host",
        "at https://host: ask me@host",
        '<a href="https://host/a">a</a> of me@host',
    ],
)
def test_what_is_no_secret_stays(said: str) -> None:
    assert json.loads(json_line("info", {"message": said}))["message"] == said
