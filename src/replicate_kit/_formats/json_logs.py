"""Log records as JSON, an object a line, as log collectors read them."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from replicate_kit._formats.redacting import redacted, scrubbed, without_secrets, without_tokens

__all__ = ["JSONFormatter", "json_line"]

# A password may hold what ends a URL elsewhere, so that it goes to its `@`; a quote in a word ends no URL either.
_PASSWORD = r"[^\s'\"<>/?#:@\[]*:(?!\d{1,5}(?:[/?#\s'\"<>,;.)]|$))(?=\S)(?:(?!://)[^@\n]){0,256}?@"
_URL = re.compile(rf"[A-Za-z][A-Za-z0-9+.-]*://(?:{_PASSWORD})?(?:[^\s'\"<>]|['\"<>](?=\w))+")
_LARGEST = 4096  # bits of a number; Python writes no text of one that is much larger
_OF_LOGGING = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class JSONFormatter(logging.Formatter):
    """Formats log records as JSON objects, one a line: `time` (ISO 8601, UTC), `level`, `logger`, `event`, `message`.

    What a record has as `extra=` follows by its names; those of this package have `prediction`, `model` and `status`
    where they are about a prediction. `exception` is the traceback, `stack` that of `stack_info=`. An extra with one of
    these names gets an underscore behind it. Passwords and signatures in URLs, API tokens and values whose
    names tell a secret are hidden.

    >>> import logging
    >>> from replicate_kit.config import JSONFormatter
    >>> record = logging.makeLogRecord({"name": "app", "levelname": "INFO", "msg": "sent", "created": 0, "n": 7})
    >>> JSONFormatter().format(record)
    '{"time": "1970-01-01T00:00:00.000Z", "level": "info", "logger": "app", "event": "log", "message": "sent", "n": 7}'
    """

    def format(self, record: logging.LogRecord) -> str:
        """Write a record as a line. It raises nothing, whatever the record holds."""
        try:
            return self._format(record)
        except Exception as error:
            said = f"A log record could not be written: {_text(error)}"
            return json_line("error", {"logger": _text(record.name), "event": "log", "message": said})

    def _format(self, record: logging.LogRecord) -> str:
        """Write a record that can be written."""
        extra = {name: value for name, value in vars(record).items() if name not in _OF_LOGGING}
        own = {"logger": record.name, "event": extra.pop("event", "log"), "message": _message(record)}
        last = {}
        if record.exc_info and record.exc_info[0] is not None:
            last["exception"] = self.formatException(record.exc_info)
        elif record.exc_text:
            last["exception"] = record.exc_text
        if record.stack_info:
            last["stack"] = self.formatStack(record.stack_info)
        others = _renamed(extra, {*own, *last})
        return json_line(record.levelname.lower(), {**own, **others, **last}, record.created)


def json_line(level: str, fields: Mapping[str, Any], at: float | None = None) -> str:
    """Write what is said as JSON in one line, with its time (now where none is given) and without secrets.

    >>> json_line("info", {"message": "as r8_abcdefghijklm at ftp://me:secret@host/a"}, 0)
    '{"time": "1970-01-01T00:00:00.000Z", "level": "info", "message": "as *** at ftp://me@host/a"}'
    """
    own = {"time": _time(at), "level": level}
    return json.dumps(_shown({**own, **without_secrets(_renamed(fields, own))}))


def _time(at: float | None) -> str:
    """The time of a record; now where it has none that can be."""
    with suppress(ValueError, OverflowError, OSError, TypeError):
        if at is not None:
            return _iso(datetime.fromtimestamp(at, UTC))
    return _iso(datetime.now(UTC))


def _iso(when: datetime) -> str:
    """Write a time in UTC."""
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _renamed(fields: Mapping[str, Any], own: Collection[str]) -> dict[str, Any]:
    """Give what has one of our names another one."""
    found: dict[str, Any] = {}
    for name, value in fields.items():
        while name in own or name in found:
            name += "_"
        found[name] = value
    return found


def _message(record: logging.LogRecord) -> str:
    """What a record says, also where its arguments do not fit."""
    try:
        return record.getMessage()
    except Exception:
        return f"{_text(record.msg)} {_text(record.args)}"


def _text(value: object) -> str:
    """The text of anything."""
    try:
        return str(value)
    except Exception:  # other people's objects may fail at that
        return f"{type(value).__name__} (cannot be shown)"


def _shown(value: Any) -> Any:
    """A value without the secrets in its texts, and without numbers that JSON lacks."""
    if isinstance(value, str):
        token = os.environ.get("REPLICATE_API_TOKEN", "").strip()
        text = scrubbed(value, {token}) if len(token) >= 8 and token in value else value
        return without_tokens(_URL.sub(lambda found: redacted(found[0]), text))
    if isinstance(value, Mapping):
        return {_shown(_text(name)): _shown(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(each) for each in value]
    if isinstance(value, float) and not (abs(value) < float("inf")):
        return None
    if isinstance(value, int) and value.bit_length() > _LARGEST:
        return _shown(_text(value))
    return value if isinstance(value, int | float | None) else _shown(_text(value))
