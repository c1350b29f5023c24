"""Log records as JSON, an object a line, as log collectors read them."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from replicate_kit._formats.redacting import HIDDEN, redacted, scrubbed, without_secrets

__all__ = ["JSONFormatter", "json_line"]

# A password may hold what ends a URL elsewhere, so that it goes to its `@`; a quote in a word ends no URL either.
_PASSWORD = r"[^\s'\"<>/?#:@\[]*:(?!\d{1,5}(?:[/?#\s'\"<>,;.)]|$))(?=\S)(?:(?!://)[^@\n]){0,256}?@"
_URL = re.compile(rf"[A-Za-z][A-Za-z0-9+.-]*://(?:{_PASSWORD})?(?:[^\s'\"<>]|['\"<>](?=\w))+")
_TOKEN = re.compile(r"\br8_\w{8,}")
_OF_LOGGING = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class JSONFormatter(logging.Formatter):
    """Formats log records as JSON objects, one a line: `time` (ISO 8601, UTC), `level`, `logger`, `event`, `message`.

    What a record has as `extra=` follows by its names; those of this package have `prediction`, `model` and `status`
    where they are about a prediction. `exception` is the traceback. Passwords and signatures in URLs, API tokens and
    values whose names tell a secret are hidden.

    >>> import logging
    >>> from replicate_kit.config import JSONFormatter
    >>> record = logging.makeLogRecord({"name": "app", "levelname": "INFO", "msg": "sent", "created": 0, "n": 7})
    >>> JSONFormatter().format(record)
    '{"time": "1970-01-01T00:00:00.000Z", "level": "info", "logger": "app", "event": "log", "message": "sent", "n": 7}'
    """

    def format(self, record: logging.LogRecord) -> str:
        """Write a record as a line."""
        extra = {name: value for name, value in vars(record).items() if name not in _OF_LOGGING}
        known = {"logger": record.name, "event": extra.pop("event", "log"), "message": record.getMessage()}
        if record.exc_info and record.exc_info[0] is not None:
            extra["exception"] = self.formatException(record.exc_info)
        return json_line(record.levelname.lower(), {**known, **extra}, record.created)


def json_line(level: str, fields: Mapping[str, Any], at: float | None = None) -> str:
    """Write what is said as JSON in one line, with its time (now where none is given) and without secrets.

    >>> json_line("info", {"message": "as r8_abcdefghijklm at ftp://me:secret@host/a"}, 0)
    '{"time": "1970-01-01T00:00:00.000Z", "level": "info", "message": "as *** at ftp://me@host/a"}'
    """
    when = datetime.now(UTC) if at is None else datetime.fromtimestamp(at, UTC)
    time = when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    said = {"time": time, "level": level, **without_secrets(fields)}
    return json.dumps(_shown(said), default=str)


def _shown(value: Any) -> Any:
    """A value without the secrets in its texts, and without numbers that JSON lacks."""
    if isinstance(value, str):
        token = os.environ.get("REPLICATE_API_TOKEN", "").strip()
        text = scrubbed(value, {token}) if len(token) >= 8 and token in value else value
        return _TOKEN.sub(HIDDEN, _URL.sub(lambda found: redacted(found[0]), text))
    if isinstance(value, Mapping):
        return {str(name): _shown(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(each) for each in value]
    if isinstance(value, float) and not (abs(value) < float("inf")):
        return None
    return value if isinstance(value, int | float | None) else _shown(str(value))
