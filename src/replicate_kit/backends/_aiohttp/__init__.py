"""The backend over aiohttp, which is imported when the first connection is opened."""

from __future__ import annotations

from importlib.util import find_spec

from replicate_kit.errors import MissingExtraError

if find_spec("aiohttp") is None:
    raise MissingExtraError("The backend 'fast'", "fast")
