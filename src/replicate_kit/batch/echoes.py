"""How a server shows inputs: learned from predictions whose inputs are known, so that others can be told apart.

A server need not show an input as it was sent. It redacts secrets, fills in defaults, normalises text, rounds numbers,
cuts what is long. So a difference proves that a prediction is another row's only where the server is known to show
such a value as it was sent: it did so for a prediction that a row owns, with a value of the same field, made of the
same kinds of characters or numbers, and no shorter. What is not known like that is *perhaps* the same.
"""

from __future__ import annotations

import base64
import enum
import hashlib
import html
import math
import struct
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from replicate_kit.batch.identity import FILE, canonical

if TYPE_CHECKING:
    from replicate_kit.schema import ModelSchema

__all__ = ["Echoes", "Likeness"]

_SHORT = (
    64  # characters; what is no longer is not taken to be cut, once any value of the field was shown in full
)
_MARK = 16  # characters that may stand at the end of a text that was cut, such as "… [truncated]"


class Likeness(enum.IntEnum):
    """How alike a shown input and one that was sent are."""

    OTHER = 0
    """The prediction is another one's."""
    PERHAPS = 1
    """It cannot be told: the server may show that input like this."""
    SAME = 2
    """The server shows that input like this."""


class Echoes:
    """Compares inputs that a server shows with those that were sent, by what it has shown of known ones.

    `defaults` are those that the model's schema names; `secrets` the inputs that are never compared, because the
    server hides them. `trusting` says that a difference counts although nothing is known of the server yet, `partial`
    that another operation may show more, so that equality does not count as long as nothing is known.

    >>> echoes = Echoes({"by": 3}, {"key"})
    >>> echoes.compare({"n": 1.0, "by": 3, "key": "[REDACTED]"}, {"n": 1, "key": "hunter2"})
    <Likeness.SAME: 2>
    >>> echoes.compare({"n": 2}, {"n": 1})  # who knows what this server does to numbers
    <Likeness.PERHAPS: 1>
    >>> echoes.learn({"n": 7}, {"n": 7})
    >>> echoes.compare({"n": 2}, {"n": 1})  # it shows them as they are
    <Likeness.OTHER: 0>
    """

    def __init__(
        self,
        defaults: Mapping[str, Any] | None = None,
        secrets: Collection[str] = (),
        *,
        trusting: bool = False,
        partial: bool = False,
    ) -> None:
        self._defaults, self._secrets, self._partial = defaults or {}, secrets, partial
        self._unless_known = Likeness.OTHER if trusting else Likeness.PERHAPS
        self._fields: dict[str, _Field] = {}
        self._added: dict[str, set[str]] = {}
        self._sent: Counter[str] = Counter()
        self.count = 0
        """How many known inputs were taken in."""

    @classmethod
    def of(cls, schema: ModelSchema | None, *, trusting: bool = False, partial: bool = False) -> Echoes:
        """Begin with what a model's schema says, where there is one."""
        defaults, secrets = (schema.defaults, schema.secret_inputs) if schema is not None else ({}, ())
        return cls(defaults, secrets, trusting=trusting, partial=partial)

    def learn(self, sent: Mapping[str, Any], shown: Mapping[str, Any]) -> None:
        """Take in how an input is shown that is known to be this one; an empty one is not shown at all."""
        given = _given(sent)
        if given and not shown:
            return
        self.count += 1
        self._sent.update(given.keys())
        for name, value in given.items():
            self._fields.setdefault(name, _Field()).learn(value, shown.get(name))
        for name, value in _given(shown).items():
            if name not in given:
                self._added.setdefault(name, set()).add(canonical(value))

    def compare(self, shown: Mapping[str, Any], sent: Mapping[str, Any]) -> Likeness:
        """Tell whether what is shown may be what was sent."""
        given = _given(sent)
        known = [name for name in given if name not in self._secrets]
        if given and not (shown and known):
            return Likeness.PERHAPS  # all that could tell it from others is hidden
        each = (self._compare_given(name, shown.get(name), given[name]) for name in known)
        least = min(
            _least(each), Likeness.PERHAPS if self._partial and not self.tells(sent) else Likeness.SAME
        )
        more = [name for name in _given(shown) if name not in given and name not in self._secrets]
        return min(least, _least(self._compare_added(name, shown[name]) for name in more))

    def tells(self, sent: Mapping[str, Any]) -> bool:
        """Whether what is shown just like this is this: nothing else is known to be shown so."""
        each = {name: value for name, value in _given(sent).items() if name not in self._secrets}
        if not self._partial:
            return all(
                self._fields[name].tells(value) for name, value in each.items() if name in self._fields
            )
        return all(name in self._fields and self._fields[name].vouches(value) for name, value in each.items())

    def _compare_given(self, name: str, shown: Any, sent: Any) -> Likeness:
        """Compare what is shown of an input that was sent; None where nothing is."""
        if shown is None and name in self._defaults and _equal(sent, self._defaults[name]):
            return Likeness.SAME  # it shows only what is no default
        alike = _alike(shown, sent)
        if alike is Likeness.SAME and name in self._fields and not self._fields[name].tells(sent):
            return Likeness.PERHAPS
        if alike is not Likeness.OTHER:
            return alike
        return self._fields[name].compare(sent, shown) if name in self._fields else self._unless_known

    def _compare_added(self, name: str, value: Any) -> Likeness:
        """Judge an input that is shown and was not sent: the server has filled it in, or somebody else sent it."""
        seen = self._added.get(name, set())
        if canonical(value) in seen or len(seen) > 1:  # it fills in another one each time, such as a seed
            return Likeness.SAME
        if seen:
            return Likeness.PERHAPS
        if self.count > self._sent[name]:
            return Likeness.OTHER  # others left it out as well, and nothing was filled in
        known = name in self._defaults and _equal(value, self._defaults[name])
        return Likeness.SAME if known else self._unless_known


class _Field:
    """What is known of how the server shows one input."""

    def __init__(self) -> None:
        self._kinds: set[str] = set()
        self._longest = 0
        self._pairs: set[tuple[str, str]] = set()
        self._changes: set[Callable[[Any, Any], bool]] = set()
        self._cut_to: int | None = None
        self._hides = False

    def learn(self, sent: Any, shown: Any) -> None:
        """Take in how a value is shown."""
        alike = _alike(shown, sent)
        if alike is Likeness.SAME:
            self._longest = max(self._longest, len(canonical(sent)))
        else:
            self._pairs.add((canonical(sent), canonical(shown)))
            if alike is Likeness.OTHER:
                self._learn_change(sent, shown)
        self._kinds |= set(_kinds(sent))

    def _learn_change(self, sent: Any, shown: Any) -> None:
        """Take in what was done to a value: one of the known changes, or something that hides it."""
        changes = {each for each in _CHANGES if _relates(each, shown, sent)}
        self._changes |= changes
        if _is_cut(shown, sent):
            self._cut_to = min(len(shown), len(shown) if self._cut_to is None else self._cut_to)
        elif not changes:
            self._hides = True

    def compare(self, sent: Any, shown: Any) -> Likeness:
        """Judge a value that is shown otherwise than it was sent."""
        if (canonical(sent), canonical(shown)) in self._pairs:
            return Likeness.SAME  # this very value was shown like this before
        if any(_relates(each, shown, sent) for each in self._changes):
            return Likeness.SAME
        if self._hides or not self._kinds.issuperset(_kinds(sent)):
            return Likeness.PERHAPS
        length = len(canonical(sent))
        if length <= self._longest:
            return Likeness.OTHER
        if _is_cut(shown, sent):
            return Likeness.PERHAPS
        return Likeness.OTHER if length <= _SHORT or self._cut_to is not None else Likeness.PERHAPS

    def tells(self, sent: Any) -> bool:
        """Whether what is shown as this value is not known to be shown of other values as well."""
        if self._cut_to is not None and isinstance(sent, str) and len(sent) >= self._cut_to:
            return False
        shown = canonical(sent)
        return not any(other == shown for _, other in self._pairs)

    def vouches(self, sent: Any) -> bool:
        """Whether it is known that values like this are shown as they are sent."""
        changed = self._hides or self._changes or self._cut_to is not None
        return not changed and self._longest >= len(canonical(sent)) and self._kinds.issuperset(_kinds(sent))


def _given(input: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs that are not null."""
    return {name: value for name, value in input.items() if value is not None}


def _equal(value: Any, other: Any) -> bool:
    """Whether two values have one canonical form."""
    return canonical(value) == canonical(other)


def _least(each: Iterable[Likeness]) -> Likeness:
    """As alike as the parts that are least so."""
    least = Likeness.SAME
    for one in each:
        least = min(least, one)
        if least is Likeness.OTHER:
            break
    return least


# What is shown of a value, without any knowledge of the server.


def _alike(shown: Any, sent: Any) -> Likeness:
    """Compare two values; a link may lead to the same file."""
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


# What a server may do to a value. Each says whether `shown` may be what becomes of `sent`.


def _relates(change: Callable[[Any, Any], bool], shown: Any, sent: Any) -> bool:
    """Whether a change leads from one value to the other, at any depth."""
    if isinstance(sent, dict) and isinstance(shown, dict):
        return sent.keys() == shown.keys() and all(_relates(change, shown[key], sent[key]) for key in sent)
    if isinstance(sent, list) and isinstance(shown, list):
        return len(sent) == len(shown) and all(map(_relates, [change] * len(sent), shown, sent))
    return _equal(shown, sent) or change(shown, sent)


def _of_texts(change: Callable[[str], str]) -> Callable[[Any, Any], bool]:
    """A change that makes one text of several."""
    return lambda shown, sent: (
        isinstance(shown, str) and isinstance(sent, str) and change(shown) == change(sent)
    )


def _of_numbers(change: Callable[[float], Any]) -> Callable[[Any, Any], bool]:
    """A change that makes one number of several."""
    return lambda shown, sent: (
        _is_number(shown) and _is_number(sent) and _result(change, shown) == _result(change, sent)
    )


def _is_number(value: Any) -> bool:
    """Whether JSON has it as a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _result(change: Callable[[float], Any], number: float) -> Any:
    """What becomes of a number, or itself where it is too large for that."""
    try:
        return change(float(number))
    except OverflowError:
        return number


def _in_text(shown: Any, sent: Any) -> bool:
    """Whether one is the text that the other would be written as."""
    return isinstance(shown, str) != isinstance(sent, str) and _text(shown) == _text(sent)


def _text(value: Any) -> str:
    """Write a value as text; numbers in their canonical form."""
    if not isinstance(value, str):
        return canonical(value).lower()
    try:
        return canonical(float(value)) if math.isfinite(float(value)) else value.lower()
    except ValueError:
        return value.lower()


_CHANGES: tuple[Callable[[Any, Any], bool], ...] = (
    _of_texts(lambda text: unicodedata.normalize("NFKC", text)),
    _of_texts(lambda text: " ".join(text.split())),
    _of_texts(str.casefold),
    _of_texts(html.unescape),
    _of_texts(lambda text: text.encode("ascii", "ignore").decode()),
    _of_numbers(float),
    _of_numbers(lambda number: struct.pack("f", number)),
    _of_numbers(lambda number: f"{number:.6g}"),
    _in_text,
)


def _is_cut(shown: Any, sent: Any) -> bool:
    """Whether a text may be the beginning of another, with a mark at its end or none."""
    if not (isinstance(shown, str) and isinstance(sent, str)) or len(shown) >= len(sent):
        return False
    same = next(
        (at for at, (one, two) in enumerate(zip(shown, sent, strict=False)) if one != two), len(shown)
    )
    return same * 2 >= len(shown) and same >= len(shown) - _MARK


# What a server may treat in its own way: of these, each must have been seen before a difference counts.


def _kinds(value: Any) -> Iterator[str]:
    """What a value is made of."""
    if isinstance(value, str):
        yield from _kinds_of_text(value)
    elif _is_number(value):
        yield from _kinds_of_number(value)
    elif isinstance(value, list):
        yield "list" if value else "empty list"
        for each in value:
            yield from _kinds(each)
    elif isinstance(value, dict):
        yield from ("object", *(f"key {key}" for key in value if key != FILE))
        for key, each in value.items():
            yield from ("file",) if key == FILE else _kinds(each)
    else:
        yield str(value)


def _kinds_of_text(text: str) -> Iterator[str]:
    """The kinds of characters in a text, and what else is changed at times."""
    yield "text" if text else "empty text"
    for character in set(text):
        yield _kind_of_character(character)
    if text != text.strip():
        yield "space at an end"
    if text != " ".join(text.split()):
        yield "space of another kind"
    if not unicodedata.is_normalized("NFC", text):
        yield "not composed"
    if _text(text) != text.lower() or text.lower() in ("true", "false", "null", "none") or text.isdecimal():
        yield "looks like a number or constant"
    if "://" in text[:12] or text.startswith("data:"):
        yield "URL"


def _kind_of_character(character: str) -> str:
    """Letters and digits of ASCII are alike; marks are not, since each may be escaped or removed."""
    if character.isascii():
        return (character.isalpha() and ("A-Z" if character.isupper() else "a-z")) or (
            "0-9" if character.isdigit() else character
        )
    plane = "beyond the first plane" if character > "\uffff" else ""
    return f"{unicodedata.category(character)} {plane}"


def _kinds_of_number(number: float) -> Iterator[str]:
    """The ways in which numbers are stored: which of them keep this one as it is."""
    yield "negative number" if number < 0 else "number"
    if isinstance(number, int) or number.is_integer():
        yield next((f"{bits} bits" for bits in (24, 31, 53, 63) if abs(number) < 2**bits), "many bits")
    else:
        single = _result(lambda each: struct.unpack("f", struct.pack("f", each))[0], number) == number
        yield "fraction of 24 bits" if single else "fraction"
        yield "more than 6 digits" if float(f"{number:.6g}") != number else "6 digits"
        yield "exponent" if not 1e-4 <= abs(number) < 1e15 else "no exponent"
