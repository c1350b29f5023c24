"""Records: typed, lenient views over the JSON that came.

What the API adds is kept, what it leaves out is None, and nothing is converted before it is asked for: a
record costs a dictionary and a little.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, KeysView, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, ClassVar, Generic, Self, TypeVar, cast, overload

from replicate_kit._formats.patterns import pattern
from replicate_kit._formats.wording import with_safe_repr
from replicate_kit._moved import advice
from replicate_kit._runtime.default_session import default_session

__all__ = ["Field", "Record", "parse_duration", "parse_time", "records"]

T = TypeVar("T")
R = TypeVar("R")

_TIME = pattern(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d:?\d\d)?")

_KEPT = 40  # characters of a time that is kept: others are none, or have digits that say nothing
_DURATION = pattern(r"(?:(\d{1,5})h)?(?:(\d{1,7})m)?(?:(\d{1,9})s?)?", re.ASCII)


def parse_time(value: Any) -> datetime | None:
    """Read a timestamp with any number of fractional digits as an aware datetime; None for what is none.

    The API writes 3, 6 or 9 digits. Python keeps microseconds; what is finer is cut off.

    >>> parse_time("2024-10-04T18:07:40.328123456Z")
    datetime.datetime(2024, 10, 4, 18, 7, 40, 328123, tzinfo=datetime.timezone.utc)
    """
    if not isinstance(value, str):
        return None
    return _read_time(value) if len(value) <= _KEPT else _read_time.__wrapped__(value)


@lru_cache(maxsize=256)  # whoever looks at a prediction asks for the same times
def _read_time(text: str) -> datetime | None:
    """Read a text that may be a timestamp."""
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    try:
        if match.end(3) == 26 and match[4] == "Z":  # as nearly all are
            return datetime.fromisoformat(text)
        day, clock, fraction, zone = match.groups()
        timestamp = datetime.fromisoformat(f"{day}T{clock}.{(fraction or '0')[:6]:0<6}{zone or 'Z'}")
        return timestamp.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def parse_duration(text: str) -> int:
    """Read a length of time as the API takes it, such as 90, 45s or 1h30m, in seconds; 0 for what is none.

    The units are those of the header Cancel-After in the API's OpenAPI description.

    >>> parse_duration("1h30m45s"), parse_duration("90"), parse_duration("soon")
    (5445, 90, 0)
    """
    match = _DURATION.fullmatch(text.strip())
    hours, minutes, seconds = (int(part or 0) for part in match.groups()) if match else (0, 0, 0)
    return hours * 3600 + minutes * 60 + seconds


class Field(Generic[T]):
    """An attribute that reads its key of the JSON, through `convert` where one is given.

    What is absent, null, of another kind than `default` or not convertible is `default`; `record["key"]` has it
    as it came.
    """

    def __init__(self, convert: Callable[[Any], T] | None = None, *, default: Any = None) -> None:
        self._convert, self._default = convert, default

    def __set_name__(self, owner: type, name: str) -> None:
        self._key = name

    @overload
    def __get__(self, record: None, owner: type) -> Self: ...
    @overload
    def __get__(self, record: Record, owner: type) -> T: ...
    def __get__(self, record: Record | None, owner: type) -> T | Self:
        if record is None:
            return self
        value, default = record._json.get(self._key), self._default
        if value is not None and self._fits(value):
            try:
                return self._convert(value) if self._convert is not None else value
            except (TypeError, ValueError):
                pass
        # A copy: what somebody adds to an empty mapping must not show in other records.
        return cast(T, default.copy() if isinstance(default, dict | list) else default)

    def _fits(self, value: Any) -> bool:
        """Whether a value is of the kind of the default, where that says of which kind it is."""
        kind = type(self._default)
        return self._default is None or isinstance(value, int | float if kind is int else kind)


def records(kind: Callable[[dict[str, Any], Any], R], values: Any, session: Any) -> list[R]:
    """Make the records of a list that came, without whatever in it is no object."""
    listed = values if isinstance(values, list) else []
    return [kind(each, session) for each in listed if isinstance(each, dict)]


@with_safe_repr
class Record:
    """A view over one JSON object. Behaves as a mapping of the keys that came: `dict(record)` is what the API
    sent.

    >>> record = Record({"id": "abc", "novel": 1})
    >>> record.novel, dict(record)
    (1, {'id': 'abc', 'novel': 1})
    """

    _named_by: ClassVar[tuple[str, ...]] = ("id",)

    def __init__(self, json: Mapping[str, Any], session: Any = None) -> None:
        self._json: dict[str, Any] = json if isinstance(json, dict) else dict(json)
        self._session = session

    @property
    def session(self) -> Any:
        """The `Session` that it asks the API through; a record that was unpickled uses the default
        client's.
        """
        if self._session is None:
            self._session = default_session()
        return self._session

    def keys(self) -> KeysView[str]:
        """The keys that the API sent."""
        return self._json.keys()

    def __getitem__(self, key: str) -> Any:
        return self._json[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._json)

    def __len__(self) -> int:
        return len(self._json)

    def __contains__(self, key: object) -> bool:
        return key in self._json

    def __getattr__(self, name: str) -> Any:
        # Only names that the class lacks come here: fields that the API has added since.
        if name == "_json":  # it is not made yet
            raise AttributeError(name)
        if not name.startswith("_") and name in self._json:
            return self._json[name]
        raise AttributeError(
            f"{type(self).__name__} has no {name!r}.{advice(type(self), name)} It has: {', '.join(self._known())}"
        )

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._json})

    def __bool__(self) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        return (
            type(other) is type(self) and other._json == self._json
            if isinstance(other, Record)
            else NotImplemented
        )

    __hash__ = None  # type: ignore[assignment]  # a record is mutable, as a dictionary is

    def __reduce__(self) -> tuple[Any, ...]:
        # A session holds connections and a token. Records that travel find the default client's again.
        return type(self), (self._json,)

    def __repr__(self) -> str:
        name = "/".join(str(self._json.get(key)) for key in self._named_by)
        return f"<{type(self).__name__}: {name}>"

    def _known(self) -> list[str]:
        """The names that make sense to ask for."""
        fields = (
            name
            for kind in type(self).__mro__
            for name, each in vars(kind).items()
            if isinstance(each, Field)
        )
        return sorted({*fields, *self._json})


def json_of(record: Record) -> dict[str, Any]:
    """Copy the JSON of a record: what `dict(record)` gives, without a step for each key."""
    return record._json.copy()
