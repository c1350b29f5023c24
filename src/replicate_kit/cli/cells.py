"""Values in the cells of files that know fewer kinds of values than Python does."""

from __future__ import annotations

import json
import math
from base64 import b64encode
from typing import Any

__all__ = ["as_cell", "as_json", "as_text", "is_empty"]


def is_empty(value: Any) -> bool:
    """Whether a cell says nothing: a null, or a number that is none."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def as_cell(value: Any) -> Any:
    """One value as a CSV has it: structures as JSON, bytes in base64.

    >>> as_cell(True), as_cell(["a", 1]), as_cell(b"a"), as_cell(2)
    ('true', '["a", 1]', 'YQ==', 2)
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return _other(value)
    return as_json(value) if isinstance(value, dict | list | tuple) else value


def as_text(value: Any) -> str | None:
    """One value as text, as a CSV would have it; a null stays one."""
    return None if value is None else str(as_cell(value))


def as_json(value: Any) -> str:
    """Write JSON; what it lacks as text."""
    return json.dumps(value, ensure_ascii=False, default=_other)


def _other(value: Any) -> str:
    """What JSON lacks: bytes in base64, anything else as its text."""
    return b64encode(value).decode() if isinstance(value, bytes) else str(value)
