"""What callers pass, checked before anything is sent: each check names the argument and says what to pass instead.

The checks of this module are for everybody; those of money and pace in batches are in `batch.amounts`. Values of
closed lists and limits are those of the API's OpenAPI description, and stand where they are used. What the API alone
can know (which hardware there is, say) is left to it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from datetime import UTC, date, datetime, timedelta
from reprlib import repr as shown
from typing import Any

from replicate_kit._formats.wording import did_you_mean, escaped, listed
from replicate_kit.errors import InputError, ReplicateError

__all__ = [
    "check_function",
    "choice",
    "choices",
    "finite",
    "flag",
    "number",
    "seconds",
    "seconds_or_none",
    "text",
    "timestamp",
    "unix_time",
    "whole",
]

# Seconds; operating systems count the time to wait for a socket in milliseconds, in 31 bits.
_LONGEST = 2_000_000.0
_DAY = len("2026-11-30")
_MANY = 1_000_000  # of anything: from there on it is looked at whether a float can hold it


def number(value: Any) -> float | None:
    """Give a number as a float, infinite ones included; None for what is none, or is only true or false.

    Takes what is a number for Python, numpy's included, and decimals.

    >>> from decimal import Decimal
    >>> number(Decimal("0.5")), number("5"), number(True), number(float("nan"))
    (0.5, None, None, None)
    """
    if type(value) is not float and type(value) is not int and not _is_rare_number(value):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):  # a signaling NaN of a Decimal; a number that no float holds
        return None
    return None if math.isnan(found) else found


def _is_rare_number(value: object) -> bool:
    """Whether it is a number of a kind that most programs load nothing for."""
    from decimal import Decimal
    from numbers import Real

    if isinstance(value, bool) or not isinstance(value, Real | Decimal):
        return False
    # Numpy counts lengths of time as integers.
    return getattr(getattr(value, "dtype", None), "kind", None) != "m"


def finite(value: Any) -> float | None:
    """Give a number as a float; None for what is none, is not finite, or is only true or false."""
    found = number(value)
    return found if found is not None and math.isfinite(found) else None


def seconds(
    name: str,
    value: Any,
    *,
    positive: bool = False,
    endless: bool = False,
    kind: type[ReplicateError] = InputError,
) -> float:
    """Read a length of time in seconds: 0 or more, or more than 0 where it must be `positive`.

    `endless` says that any time will do, infinity included, since nothing waits for all of it at once. Raises an error
    of `kind` for everything else, texts and `timedelta`s included.

    >>> seconds("poll_interval", 2)
    2.0
    """
    if type(value) is float and 0.0 < value <= _LONGEST:
        return value  # as nearly all are
    found = number(value)
    if found is not None and _fits(found, positive, math.inf if endless else _LONGEST):
        return found
    least = "more than 0" if positive else "0 or more"
    most = "or None to wait to the end" if endless else f"at most {_LONGEST:.0f}"
    raise _refusal(name, value, f"seconds, {least}, such as 90, {most}", kind)


def seconds_or_none(name: str, value: Any, **limits: Any) -> float | None:
    """Do the same for what may be left out: None stays None.

    >>> seconds_or_none("timeout", None)
    """
    return None if value is None else seconds(name, value, **limits)


def whole(
    name: str,
    value: Any,
    least: int,
    most: int | None = None,
    *,
    hint: str = "",
    kind: type[ReplicateError] = InputError,
) -> int:
    """Read a number without a fraction, from `least` to `most`; `hint` is what else may be passed.

    >>> whole("limit", 20.0, 1, 50)
    20
    """
    if type(value) is int and least <= value <= (most or _MANY):
        return value  # as nearly all are
    found = finite(value)
    if found is not None and found.is_integer() and _fits(found - least, False, (most or math.inf) - least):
        return int(value)
    limits = f"of {least} or more" if most is None else f"from {least} to {most}"
    raise _refusal(name, value, f"a whole number {limits}{hint}", kind)


def choice(name: str, value: Any, allowed: Collection[str]) -> Any:
    """Give one of the words that are `allowed`; None stays None.

    >>> choice("sort_direction", "desc", ("asc", "desc"))
    'desc'
    """
    if value is None or (isinstance(value, str) and value in allowed):
        return value
    near = did_you_mean(value, allowed) if isinstance(value, str) else ""
    raise _refusal(name, value, _one_of(allowed), near=near)


def choices(name: str, value: Any, allowed: Collection[str]) -> list[str] | None:
    """Give some of the words that are `allowed` as a list; None stays None, and one text is one of them.

    >>> choices("webhook_events_filter", ("start", "completed"), ("start", "output", "logs", "completed"))
    ['start', 'completed']
    """
    if value is None:
        return None
    wanted = f"a list, each of it {_one_of(allowed)}"
    if not isinstance(value, Iterable):
        raise _refusal(name, value, wanted)
    return [_chosen(name, each, allowed, wanted) for each in listed(value)]


def text(name: str, value: Any, wanted: str = "text") -> Any:
    """Give a text; None stays None. `wanted` says what it is to be.

    >>> text("name", "wombat")
    'wombat'
    """
    if value is None or (isinstance(value, str) and escaped(value) == value):
        return value
    half = " It has half of a surrogate pair in it." if isinstance(value, str) else ""
    raise _refusal(name, value, wanted, near=half)


def timestamp(name: str, value: Any, *, hint: str = "") -> str | None:
    """Write a moment in ISO 8601; None stays None. Raises `InputError` for what is none, or has no time zone.

    Texts that are ISO 8601 in any form are left as they are. `hint` is what else may be passed.

    >>> from datetime import UTC, datetime
    >>> timestamp("created_after", datetime(2026, 8, 1, tzinfo=UTC)), timestamp("created_after", "2026-08-01T00:00:00Z")
    ('2026-08-01T00:00:00+00:00', '2026-08-01T00:00:00Z')
    """
    if value is None or (isinstance(value, str) and _is_iso(value)):
        return value
    naive = isinstance(value, datetime) and value.utcoffset() is None
    if isinstance(value, date) and not naive:
        return value.isoformat()
    if getattr(getattr(value, "dtype", None), "kind", None) == "M" and _is_iso(str(value)):
        return str(value)  # numpy's
    why = (
        f" It has no time zone. Pass {name}=moment.astimezone() for a time of this machine." if naive else ""
    )
    wanted = f"a datetime with a time zone, a date, or a text such as '2026-08-01T00:00:00Z'{hint}"
    raise _refusal(name, value, wanted, near=why)


def unix_time(
    name: str, value: datetime | date | str | None, *, ends: bool = False, hint: str = ""
) -> float | None:
    """The Unix time of a moment. A day is one of UTC: it begins there, or `ends` there.

    `hint` is what else may be passed.

    >>> unix_time("until", "1970-01-02", ends=True), unix_time("since", "1970-01-02"), unix_time("until", None)
    (172800.0, 86400.0, None)
    """
    text = timestamp(name, value, hint=hint)
    if text is None:
        return None
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    return (found + timedelta(days=ends and len(text) <= _DAY)).timestamp()


def flag(value: Any) -> Any:
    """Give True or False for those of numpy, and anything else as it is.

    >>> flag(True), flag(5), flag(None)
    (True, 5, None)
    """
    kind = getattr(getattr(value, "dtype", None), "kind", None)
    return bool(value) if kind == "b" and not getattr(value, "shape", None) else value


def check_function(name: str, value: Any, advice: str) -> None:
    """Refuse what cannot be called, unless it is None. Raises `InputError`.

    >>> check_function("progress", print, "one that is called with the Prediction")
    """
    if value is not None and not callable(value):
        raise InputError(f"{name}={_shown(value)} is no function. Pass {advice}.")


def _fits(found: float, positive: bool, most: float) -> bool:
    """Whether a number is in its limits."""
    return (found > 0 if positive else found >= 0) and found <= most


def _chosen(name: str, value: Any, allowed: Collection[str], wanted: str) -> str:
    """Take one word of several."""
    if isinstance(value, str) and value in allowed:
        return value
    raise _refusal(f"{name} with", value, wanted, near=did_you_mean(value, allowed))


def _is_iso(text: str) -> bool:
    """Whether a text is a moment, or a day, in any form of ISO 8601 that Python reads."""
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _one_of(allowed: Collection[str]) -> str:
    """List words to choose from."""
    return f"one of {', '.join(map(repr, allowed))}" if len(allowed) > 1 else f"{next(iter(allowed))!r}"


def _shown(value: object) -> str:
    """Show a value that may be long, or of any kind."""
    return escaped(shown(value))


def _refusal(
    name: str, value: object, wanted: str, kind: type[ReplicateError] = InputError, *, near: str = ""
) -> ReplicateError:
    """Say what is wrong with an argument, and what to pass."""
    between = " " if name.endswith(" with") else "="
    return kind(f"{name}{between}{_shown(value)} cannot be used. Pass {wanted}. Nothing was sent.{near}")
