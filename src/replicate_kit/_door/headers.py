"""Headers: names of any case with their values."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any

from replicate_kit._formats.pairs import entries
from replicate_kit._formats.wording import with_safe_repr

__all__ = ["Headers"]


@with_safe_repr
class Headers(MutableMapping[str, str]):
    """The headers of a request or a response. Names may be written in any case.

    `given` is a mapping of texts, or pairs, of which a name may occur more than once; bytes are read as Latin-1, as
    HTTP has them (https://www.rfc-editor.org/rfc/rfc9112#section-2.2).

    >>> headers = Headers({"Content-Type": "text/plain"})
    >>> headers["content-type"], "CONTENT-TYPE" in headers, headers.get("date", "none")
    ('text/plain', True, 'none')
    >>> Headers([("Set-Cookie", "a=1"), ("set-cookie", "b=2")]).get_list("set-cookie")
    ['a=1', 'b=2']
    """

    __slots__ = ("_items",)

    def __init__(self, given: Any = None, /) -> None:
        # By the name in small letters: the name as it was written, and its values.
        self._items: dict[str, tuple[str, ...]] = {}
        if isinstance(given, Headers):
            self._items = given._items.copy()
        elif given:
            items = self._items
            for name, value in entries(given):
                if type(name) is type(value) is bytes:
                    name, value = name.decode("latin-1"), value.decode("latin-1")
                if type(name) is type(value) is str and (key := name.lower()) not in items:
                    items[key] = (name, value)  # as nearly all are
                else:
                    self.add(name, value)

    def add(self, name: str | bytes, value: str | bytes) -> None:
        """Add a value, and keep those that the name has."""
        name, value = _text(name), _text(value)
        key = name.lower()
        self._items[key] = (*self._items.get(key, (name,)), value)

    def get_list(self, name: str) -> list[str]:
        """The values of a name, each as it came."""
        return list(self._items.get(name.lower(), ("",))[1:])

    def multi_items(self) -> list[tuple[str, str]]:
        """All names and values; a name with several values more than once."""
        pairs: list[tuple[str, str]] = []
        for each in self._items.values():
            pairs += [each] if len(each) == 2 else [(each[0], value) for value in each[1:]]
        return pairs

    @property
    def raw(self) -> list[tuple[bytes, bytes]]:
        r"""All names and values as they are on a wire.

        >>> from replicate_kit.transport import Headers
        >>> Headers({"X-Name": b"caf\xe9"}).raw
        [(b'X-Name', b'caf\xe9')]
        """
        return [(_raw(name), _raw(value)) for name, value in self.multi_items()]

    def copy(self) -> Headers:
        """Give other headers with the same content."""
        return Headers(self)

    def update(self, other: Any = (), /, **more: str) -> None:
        """Set headers; several values of one name all count."""
        self._items.update((other if isinstance(other, Headers) else Headers(other))._items)
        for name, value in more.items():
            self[name] = value

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a name, or `default` where there is none."""
        found = self._items.get(name.lower())
        if found is None:
            return default
        return found[1] if len(found) == 2 else ", ".join(found[1:])

    def setdefault(self, name: str, default: str = "") -> str:
        """The value of a name, which is set to `default` where there is none."""
        found = self._items.setdefault(name.lower(), (name, default))
        return found[1] if len(found) == 2 else ", ".join(found[1:])

    def __getitem__(self, name: str) -> str:
        found = self._items[name.lower()]
        return found[1] if len(found) == 2 else ", ".join(found[1:])

    def __setitem__(self, name: str, value: str) -> None:
        self._items[name.lower()] = (name, _text(value))

    def __delitem__(self, name: str) -> None:
        del self._items[name.lower()]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._items

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Headers):
            return dict(self) == other
        return {name: each[1:] for name, each in self._items.items()} == {
            name: each[1:] for name, each in other._items.items()
        }

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        # Without values: those of some are secrets.
        return f"<Headers: {', '.join(self)}>"


def _raw(text: str) -> bytes:
    """A name or a value in Latin-1, or in UTF-8 where it does not fit."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


def _text(given: str | bytes) -> str:
    """A name or a value as text."""
    return given if isinstance(given, str) else given.decode("latin-1")
