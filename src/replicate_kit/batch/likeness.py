"""Whether an input that the API shows is one that was sent: it may fill in defaults, and show files elsewhere."""

from __future__ import annotations

import base64
import enum
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from replicate_kit.batch.identity import FILE, canonical

__all__ = ["Likeness", "likeness"]


class Likeness(enum.IntEnum):
    """How alike two inputs are."""

    OTHER = 0
    PERHAPS = 1
    """They differ only in URLs, which may lead to the same files."""
    SAME = 2


def likeness(shown: Mapping[str, Any], sent: Mapping[str, Any], defaults: Mapping[str, Any]) -> Likeness:
    """Compare what is shown with a row's canonical input; what is shown beyond it must be the model's default.

    >>> likeness({"n": 1.0, "by": 3}, {"n": 1}, {"by": 3})
    <Likeness.SAME: 2>
    """
    given = {key: value for key, value in sent.items() if value is not None}
    more = {key: value for key, value in shown.items() if value is not None and key not in given}
    if any(key not in defaults or not _equal(value, defaults[key]) for key, value in more.items()):
        return Likeness.OTHER
    return _least(_alike(shown.get(key), value) for key, value in given.items())


def _alike(shown: Any, sent: Any) -> Likeness:
    """Compare two values."""
    if isinstance(sent, dict) and isinstance(sent.get(FILE), str):
        return _shows_file(shown, sent[FILE])
    if isinstance(sent, dict) and isinstance(shown, dict) and sent.keys() == shown.keys():
        return _least(_alike(shown[key], sent[key]) for key in sent)
    if isinstance(sent, list) and isinstance(shown, list) and len(sent) == len(shown):
        return _least(map(_alike, shown, sent))
    if _equal(shown, sent):
        return Likeness.SAME
    inline = isinstance(sent, str) and (
        sent.startswith("data:") or ("://" in sent[:12] and not sent.startswith("http"))
    )
    return Likeness.PERHAPS if inline and _is_url(shown) else Likeness.OTHER


def _shows_file(shown: Any, hash: str) -> Likeness:
    """Compare with a file: its content where it is shown, else it may be any."""
    if _is_url(shown):
        return Likeness.PERHAPS
    if not isinstance(shown, str) or not shown.startswith("data:"):
        return Likeness.OTHER
    try:
        content = base64.b64decode(shown.partition(",")[2], validate=True)
    except ValueError:
        return Likeness.PERHAPS
    return Likeness.SAME if hashlib.sha256(content).hexdigest() == hash else Likeness.OTHER


def _is_url(value: Any) -> bool:
    """Whether it is a link."""
    return isinstance(value, str) and value.startswith(("http://", "https://"))


def _equal(value: Any, other: Any) -> bool:
    """Whether two values have one canonical form."""
    return canonical(value) == canonical(other)


def _least(each: Iterable[Likeness]) -> Likeness:
    """As alike as the parts that are least so."""
    return min(each, default=Likeness.SAME)
