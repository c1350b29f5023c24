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
import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from replicate_kit._unresolved.canonical import FILE, canonical, fingerprint, is_equal
from replicate_kit._unresolved.changes import CHANGES, Change, is_cut, is_edited, kinds, numbers, relates

if TYPE_CHECKING:
    from replicate_kit.schema import ModelSchema

__all__ = ["Echoes", "Similarity"]

# Characters; what is no longer is not taken to be cut, once any value of the field was shown in full.
_SHORT = 64


class Similarity(enum.IntEnum):
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
    <Similarity.SAME: 2>
    >>> echoes.compare({"n": 2}, {"n": 1})  # who knows what this server does to numbers
    <Similarity.PERHAPS: 1>
    >>> for number in (0, 7):
    ...     echoes.learn({"n": number}, {"n": number})
    >>> echoes.compare({"n": 2}, {"n": 1})  # it shows them as they are
    <Similarity.OTHER: 0>
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
        self._unless_known = Similarity.OTHER if trusting else Similarity.PERHAPS
        self._fields: dict[str, _Field] = {}
        self._added: dict[str, set[str]] = {}
        self._sent: Counter[str] = Counter()
        self.is_unsure = False
        """Whether something is shown otherwise than it was sent, and it is not known how."""
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

    def learn_hashed(self, hash: bytes | None, shown: Mapping[str, Any]) -> None:
        """Take in how an input is shown of which the fingerprint alone is known.

        It teaches something where it is shown as it was sent, defaults that were filled in aside. If not, this server
        changes inputs in ways that nobody can tell any more: from then on no difference proves anything.

        >>> from replicate_kit._unresolved.canonical import fingerprint
        >>> echoes = Echoes()
        >>> echoes.learn_hashed(fingerprint({"n": 1}), {"n": 1})
        >>> echoes.compare({"n": 1}, {"n": 1}), echoes.count
        (<Similarity.SAME: 2>, 1)
        """
        others = {name: value for name, value in shown.items() if not self._is_default(name, value)}
        sent = next((each for each in (shown, others) if fingerprint(each) == hash), None)
        if sent is not None:
            self.learn(sent, shown)
        elif shown:
            self.is_unsure = True

    def _is_default(self, name: str, value: Any) -> bool:
        """Whether the model fills in this value where an input is left out."""
        return name in self._defaults and is_equal(value, self._defaults[name])

    def compare(self, shown: Mapping[str, Any], sent: Mapping[str, Any]) -> Similarity:
        """Tell whether what is shown may be what was sent."""
        found = self._compared(shown, sent)
        return max(found, Similarity.PERHAPS) if self.is_unsure else found

    def _compared(self, shown: Mapping[str, Any], sent: Mapping[str, Any]) -> Similarity:
        """Compare each input, by what is known."""
        given = _given(sent)
        known = [name for name in given if name not in self._secrets]
        if given and not (shown and known):
            return Similarity.PERHAPS  # all that could tell it from others is hidden
        each = (self._compare_given(name, shown.get(name), given[name]) for name in known)
        least = min(
            _least(each), Similarity.PERHAPS if self._partial and not self.tells(sent) else Similarity.SAME
        )
        more = [name for name in _given(shown) if name not in given and name not in self._secrets]
        return min(least, _least(self._compare_added(name, shown[name]) for name in more))

    def tells(self, sent: Mapping[str, Any]) -> bool:
        """Whether what is shown just like this is this: nothing else is known to be shown so."""
        if self.is_unsure and self._partial:
            return False
        each = {name: value for name, value in _given(sent).items() if name not in self._secrets}
        if not self._partial:
            return all(
                self._fields[name].tells(value) for name, value in each.items() if name in self._fields
            )
        return all(name in self._fields and self._fields[name].vouches(value) for name, value in each.items())

    def _compare_given(self, name: str, shown: Any, sent: Any) -> Similarity:
        """Compare what is shown of an input that was sent; None where nothing is."""
        if shown is None and name in self._defaults and is_equal(sent, self._defaults[name]):
            return Similarity.SAME  # it shows only what is no default
        alike = _alike(shown, sent)
        # Other values are known to be shown like this as well, as are all that were cut to the same beginning.
        if alike is Similarity.SAME and name in self._fields and self._fields[name].is_shared(sent):
            return Similarity.PERHAPS
        if alike is not Similarity.OTHER:
            return alike
        return self._fields[name].compare(sent, shown) if name in self._fields else self._unless_known

    def _compare_added(self, name: str, value: Any) -> Similarity:
        """Judge an input that is shown and was not sent: the server has filled it in, or somebody else sent it."""
        seen = self._added.get(name, set())
        if canonical(value) in seen or len(seen) > 1:  # it fills in another one each time, such as a seed
            return Similarity.SAME
        if seen:
            return Similarity.PERHAPS
        if self.count > self._sent[name]:
            return Similarity.OTHER  # others left it out as well, and nothing was filled in
        known = name in self._defaults and is_equal(value, self._defaults[name])
        return Similarity.SAME if known else self._unless_known


class _Field:
    """What is known of how the server shows one input."""

    def __init__(self) -> None:
        self._kinds: set[str] = set()
        self._shown: set[str] = set()
        self._longest = 0
        self._least, self._most = math.inf, -math.inf
        self._pairs: set[tuple[str, str]] = set()
        self._changes: set[Change] = set()
        self._cut_to: int | None = None
        self._hides = False

    def learn(self, sent: Any, shown: Any) -> None:
        """Take in how a value is shown."""
        alike = _alike(shown, sent)
        if alike is not Similarity.SAME:
            self._pairs.add((canonical(sent), canonical(shown)))
        if alike is not Similarity.OTHER or self._explains(sent, shown):
            self._shown |= set(kinds(shown))
            self._longest = max(self._longest, 0 if is_cut(shown, sent) else _length(sent))
            for number in numbers(sent):
                self._least, self._most = min(self._least, number), max(self._most, number)
        self._kinds |= set(kinds(sent))

    def _explains(self, sent: Any, shown: Any) -> bool:
        """Take in what was done to a value: one of the known changes, or else something that hides it."""
        changes = {each for each in CHANGES if relates(each, shown, sent)}
        self._changes |= changes
        cut = is_cut(shown, sent)
        if cut:
            self._cut_to = min(len(shown), len(shown) if self._cut_to is None else self._cut_to)
        self._hides = self._hides or not (changes or cut)
        return bool(changes) or cut

    def compare(self, sent: Any, shown: Any) -> Similarity:
        """Judge a value that is shown otherwise than it was sent."""
        if self._pairs and (canonical(sent), canonical(shown)) in self._pairs:
            return Similarity.SAME  # this very value was shown like this before
        if any(relates(each, shown, sent) for each in self._changes):
            return Similarity.SAME
        if self._hides or not self._is_of_known_kind(sent, shown) or is_edited(shown, sent):
            return Similarity.PERHAPS
        length = _length(sent)
        if length <= self._longest:
            return Similarity.OTHER
        # From here on the value is longer than any that is known to be shown in full, so that it may have been cut.
        if is_cut(shown, sent):
            return Similarity.PERHAPS
        return Similarity.OTHER if length <= _SHORT or self._cut_to is not None else Similarity.PERHAPS

    def _is_of_known_kind(self, sent: Any, shown: Any) -> bool:
        """Whether values like this are shown as they are sent, and what is shown is like what was shown of others.

        A server may change only some values: blot out a word, or keep numbers within bounds.
        """
        return (
            self._kinds.issuperset(kinds(sent))
            and self._shown.issuperset(kinds(shown))
            and (
                all(self._least <= number <= self._most for number in numbers(sent))
                or all(self._least < number < self._most for number in numbers(shown))  # it is no bound
            )
        )

    def is_shared(self, sent: Any) -> bool:
        """Whether what is shown as this value is known to be shown of other values as well."""
        if self._cut_to is not None and isinstance(sent, str) and len(sent) >= self._cut_to:
            return True
        return bool(self._pairs) and canonical(sent) in {shown for _, shown in self._pairs}

    def tells(self, sent: Any) -> bool:
        """Whether what is shown as this value is this value, as far as is known."""
        return not (self._changes or self.is_shared(sent))

    def vouches(self, sent: Any) -> bool:
        """Whether it is known that values like this are shown as they are sent."""
        changed = self._hides or self._changes or self._cut_to is not None
        return not changed and self._longest >= _length(sent) and self._is_of_known_kind(sent, sent)


def _length(value: Any) -> int:
    """How long a value is, in characters."""
    return len(value) if isinstance(value, str) else len(canonical(value))


def _given(input: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs that are not null."""
    return {name: value for name, value in input.items() if value is not None}


def _least(each: Iterable[Similarity]) -> Similarity:
    """As alike as the parts that are least so."""
    least = Similarity.SAME
    for one in each:
        least = min(least, one)
        if least is Similarity.OTHER:
            break
    return least


# What is shown of a value, without any knowledge of the server.


def _alike(shown: Any, sent: Any) -> Similarity:
    """Compare two values; a link may lead to the same file."""
    if isinstance(sent, dict) and isinstance(sent.get(FILE), str):
        return _shows_file(shown, sent[FILE])
    if isinstance(sent, dict) and isinstance(shown, dict) and sent.keys() == shown.keys():
        return _least(_alike(shown[key], sent[key]) for key in sent)
    if isinstance(sent, list) and isinstance(shown, list) and len(sent) == len(shown):
        return _least(map(_alike, shown, sent))
    if is_equal(shown, sent):
        return Similarity.SAME
    inline = isinstance(sent, str) and (
        sent.startswith("data:") or ("://" in sent[:12] and not sent.startswith("http"))
    )
    return Similarity.PERHAPS if inline and _is_url(shown) else Similarity.OTHER


def _shows_file(shown: Any, hash: str) -> Similarity:
    """Compare with a file: its content where it is shown, else it may be any."""
    if _is_url(shown):
        return Similarity.PERHAPS
    if not isinstance(shown, str) or not shown.startswith("data:"):
        return Similarity.OTHER
    try:
        content = base64.b64decode(shown.partition(",")[2], validate=True)
    except ValueError:
        return Similarity.PERHAPS
    return Similarity.SAME if hashlib.sha256(content).hexdigest() == hash else Similarity.OTHER


def _is_url(value: Any) -> bool:
    """Whether it is a link."""
    return isinstance(value, str) and value.startswith(("http://", "https://"))
