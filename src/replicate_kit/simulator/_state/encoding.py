"""JSON as the simulated service writes it, in answers, webhooks and its journal."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["encode"]

_COMPACT = (",", ":")
# Made once: `json.dumps` makes one for each text.
_PLAIN = json.JSONEncoder(ensure_ascii=False, separators=_COMPACT)
_ESCAPING = json.JSONEncoder(separators=_COMPACT)


def encode(body: Any) -> bytes:
    """Write JSON as UTF-8; half characters, which UTF-8 has not, are escaped."""
    try:
        return _PLAIN.encode(body).encode()
    except UnicodeEncodeError:
        return _ESCAPING.encode(body).encode()
