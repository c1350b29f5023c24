"""Which prediction that the API lists is one that was asked for.

It may fill in defaults and show files elsewhere, so that an input is not always shown as it was sent.
"""

from __future__ import annotations

import base64
import enum
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from replicate_kit.batch.identity import FILE, canonical, fingerprint
from replicate_kit.records import parse_time

if TYPE_CHECKING:
    from replicate_kit.batch.clocks import Span
    from replicate_kit.refs import Reference

__all__ = ["Likeness", "Listed", "Wanted", "is_of", "likeness", "matched"]


class Wanted(NamedTuple):
    """What is looked for: a fingerprint of what was sent, the row's canonical input, and when it was created."""

    fingerprint: bytes
    input: str
    window: Span


class Listed(NamedTuple):
    """A prediction that is listed: when it was created, and a fingerprint of its input where that is shown."""

    prediction: dict[str, Any]
    created: float | None
    fingerprint: bytes | None

    @classmethod
    def of(cls, prediction: dict[str, Any]) -> Listed:
        """Read what a listing has."""
        moment = parse_time(prediction.get("created_at"))
        input = None if prediction.get("data_removed") else prediction.get("input")
        return cls(
            prediction,
            None if moment is None else moment.timestamp(),
            fingerprint(input) if isinstance(input, dict) else None,
        )

    def is_exact(self, wanted: Wanted, defaults: Mapping[str, Any]) -> bool:
        """Whether it shows exactly what was sent."""
        return self.fingerprint == wanted.fingerprint and self._is_after(wanted.window)

    def is_same(self, wanted: Wanted, defaults: Mapping[str, Any]) -> bool:
        """Whether it shows the same in another form."""
        return self._is_after(wanted.window) and self._likeness(wanted, defaults) is Likeness.SAME

    def may_be(self, wanted: Wanted, defaults: Mapping[str, Any]) -> bool:
        """Whether it may be what was asked for, and does not show it."""
        return self.is_in_time(wanted) and self._likeness(wanted, defaults) is not Likeness.OTHER

    def is_in_time(self, wanted: Wanted) -> bool:
        """Whether it was created while the server may have acted on the request."""
        return self.created is None or wanted.window.first <= self.created <= wanted.window.last

    def _is_after(self, window: Span) -> bool:
        return self.created is None or self.created >= window.first

    def _likeness(self, wanted: Wanted, defaults: Mapping[str, Any]) -> Likeness:
        if self.fingerprint is None:
            return Likeness.PERHAPS
        return likeness(self.prediction["input"], json.loads(wanted.input), defaults)


def matched(wanted: Sequence[Wanted], free: list[Listed], defaults: Mapping[str, Any]) -> list[Listed | None]:
    """Take the first prediction that fits out of those that are free, first what is shown as it was sent.

    One that was created later than the request may be another row's, where one that is hidden was in time.
    """
    found: list[Listed | None] = [None] * len(wanted)
    hidden = [each for each in free if each.fingerprint is None]
    may_be_late = [not any(each.is_in_time(row) for each in hidden) for row in wanted]
    oldest_first = sorted(range(len(wanted)), key=lambda index: wanted[index].window.first)
    for fits in (Listed.is_exact, Listed.is_same):
        for index in (each for each in oldest_first if found[each] is None):
            row, late = wanted[index], may_be_late[index]
            fitting = (each for each in free if (late or each.is_in_time(row)) and fits(each, row, defaults))
            if (match := next(fitting, None)) is not None:
                free.remove(match)
                found[index] = match
    return found


def is_of(target: Reference, prediction: Mapping[str, Any]) -> bool:
    """Whether a prediction is of what was run; where only a version or a deployment is known, by that."""
    if target.model is not None:
        return prediction.get("model") in (target.model, None)
    if target.deployment:
        return prediction.get("deployment") in (f"{target.owner}/{target.name}", target.name, None)
    return prediction.get("version") in (target.version, "hidden", None)


class Likeness(enum.IntEnum):
    """How alike two inputs are."""

    OTHER = 0
    PERHAPS = 1
    """They differ only in URLs, which may lead to the same files, or nothing is shown."""
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
