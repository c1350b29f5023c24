"""JSON as the simulated service writes it, in answers, webhooks and its journal."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["encode"]


def encode(body: Any) -> bytes:
    """Write JSON as UTF-8; half characters, which UTF-8 has not, are escaped."""
    try:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(body, separators=(",", ":")).encode()
