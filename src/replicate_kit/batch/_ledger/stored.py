"""Files that were stored, and whether they are still there. A disk of this machine is looked at, a store is not."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from replicate_kit._formats.nesting import replace_leaves
from replicate_kit._formats.redacting import redacted
from replicate_kit._formats.store_urls import local_path
from replicate_kit.storage import StoredFile

__all__ = ["Lost", "lost_files", "lost_of", "records_of", "redacted_files", "state_now", "without"]

_STORED = frozenset({"saved", "finished", "expired"})  # states of rows whose files may have been stored


class Lost(NamedTuple):
    """A file that is not what was stored: its URL, and what is wrong in words."""

    url: str
    problem: str


def state_now(state: str | None, stored: str | None, stored_in: str | None) -> str | None:
    """The state of a row, as the disk has it: "gone" where files that were stored are not there any more.

    A row that had lost files is "saved" again once they are back.
    """
    if stored is None or state not in _STORED:
        return state
    if not lost_files(stored, stored_in):
        return "saved"
    return state if state == "expired" else "gone"


def lost_files(stored: str | None, stored_in: str | None) -> list[Lost]:
    """Look for the files of a row; give those that are missing, or of another size than was written."""
    if stored is None or stored_in is None or local_path(stored_in) is None:
        return []
    return lost_of(json.loads(stored))


def lost_of(kept: Mapping[str, Any]) -> list[Lost]:
    """The same for what is written down of a row's files, where that is known to be on this machine."""
    found = (_looked_for(each) for each in kept.get("records", ()))
    return [each for each in found if each is not None]


def records_of(stored: str | None) -> list[StoredFile]:
    """The records of the files of a row."""
    return [StoredFile.from_json(each) for each in json.loads(stored).get("records", ())] if stored else []


def redacted_files(stored: str | None) -> str | None:
    """What is noted of a row's files, with their URLs as they are kept now: without passwords."""
    if stored is None:
        return None
    kept = json.loads(stored)
    shown = {each: redacted(each) for each in kept.get("files", ())}
    return json.dumps(
        replace_leaves(kept, lambda leaf: shown.get(leaf, leaf) if isinstance(leaf, str) else leaf)
    )


def without(value: Any, urls: Collection[str]) -> Any:
    """An output without some of its files: lists leave them out, elsewhere None stands in their places.

    >>> without({"frames": ["a.png", "b.png"], "sound": "c.wav", "text": "a hill"}, {"a.png", "c.wav"})
    {'frames': ['b.png'], 'sound': None, 'text': 'a hill'}
    """
    if isinstance(value, list):
        return [without(each, urls) for each in value if not (isinstance(each, str) and each in urls)]
    if isinstance(value, dict):
        return {key: without(each, urls) for key, each in value.items()}
    return None if isinstance(value, str) and value in urls else value


def _looked_for(record: dict[str, Any]) -> Lost | None:
    """Look at one file; what cannot be looked at is taken to be there."""
    url, size = record["url"], record.get("size")
    path = local_path(url)
    if path is None:
        return None
    try:
        found = os.stat(path).st_size
    except (FileNotFoundError, NotADirectoryError):
        return Lost(url, f"The stored file {os.path.abspath(path)!r} is not there any more")
    except (OSError, ValueError):  # ValueError: a name that this system cannot have
        return None
    if size is None or found == size:
        return None
    return Lost(url, f"The stored file {os.path.abspath(path)!r} has {found} bytes instead of {size}")
