"""Calls of `arguments.py` that come to something else on the stand-in, on purpose: patterns of their names, and why."""

from __future__ import annotations

__all__ = ["DIFFERENT_CALLS"]

DIFFERENT_CALLS = {
    r"'a/b\\n'$": "ids and names are escaped, whatever is in them",
    r"^models\.get( key)? Prediction$": "records are lenient views, which need no field",
    r"^trainings\.async_create \(": "the asynchronous form takes what the other takes",
    r"^files\.async_create ''$": "both forms fail as opening the path does",
    r"^encode_json of b'x'$": "bytes are a file",
    r"^encode_json of <odd>$": "what cannot be sent is refused before anything is sent",
}
