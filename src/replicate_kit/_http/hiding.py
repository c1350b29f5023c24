"""Blocks of code whose errors tell no secrets, whoever has written those there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from typing import Any

from replicate_kit._formats.redacting import DEEPEST, HIDDEN, scrubbed, secrets_of, spellings
from replicate_kit._runtime.context import ScopedVariable, Within

__all__ = ["clean_error", "hidden_in_errors", "quoted", "secrets_hidden"]

_Kind = tuple[Callable[[], Collection[str]], str]
_hiding: ScopedVariable[tuple[_Kind, ...]] = ScopedVariable("replicate_kit_hiding", default=())


def secrets_hidden(
    find: Callable[[], Collection[str]], shown: str = HIDDEN, *more: _Kind
) -> AbstractContextManager[None]:
    """Take secrets out of the errors of a block; `find` gives them, and is called only if there is an error.

    `more` are others of the same, each with what is shown in its place.
    """
    return _Hiding((find, shown), *more)


class _Hiding(Within[tuple[_Kind, ...]]):
    """A block without secrets in its errors: a class, as each request enters one or two, and generators cost more."""

    __slots__ = ("_kinds",)

    def __init__(self, *kinds: _Kind) -> None:
        self._kinds, self._variable, self._value = kinds, _hiding, (*_hiding.get(), *kinds)

    def __exit__(self, kind: object, error: BaseException | None, trace: object, /) -> None:
        self._variable._leave(self._before)
        if isinstance(error, Exception):
            for find, shown in self._kinds:
                clean_error(error, find(), shown)


def quoted(value: Any) -> Any:
    """Take out of JSON, or of a text, what the blocks around us hide: to be called before a text is cut short."""
    # Whoever cuts a text in the middle of a secret leaves its beginning, which would not be found any more.
    for find, shown in _hiding.get():
        value = _cleaned(value, find(), shown)
    return value


def hidden_in_errors(url: str, options: Mapping[str, Any] | None = None) -> AbstractContextManager[None]:
    """Take the secrets of a URL and its options out of the errors of a block, whoever has written them there."""
    return secrets_hidden(lambda: secrets_of(url, options))


def clean_error(error: BaseException, secrets: Collection[str], shown: str = HIDDEN) -> None:
    """Take secrets out of an error and of ours behind it.

    Those of libraries that tell one are left out of the chain, as a library may keep its text anywhere.
    """
    if not secrets:
        return
    for each in (error, *(behind for behind in _behind(error) if hasattr(behind, "_quotes"))):
        if _tells(each, secrets):
            _scrub(each, secrets, shown)
    if any(_tells(each, secrets) for each in _behind(error)):
        error.__cause__ = error.__context__ = None
        error.__suppress_context__ = True


def _cleaned(value: Any, secrets: Collection[str], shown: str, depth: int = 0) -> Any:
    """Take secrets out of all texts in JSON."""
    if isinstance(value, str):
        return scrubbed(value, secrets, shown)
    if depth > DEEPEST:
        return None
    if isinstance(value, Mapping):
        return {name: _cleaned(each, secrets, shown, depth + 1) for name, each in value.items()}
    return [_cleaned(each, secrets, shown, depth + 1) for each in value] if isinstance(value, list) else value


def _scrub(error: BaseException, secrets: Collection[str], shown: str) -> None:
    """Take secrets out of what an error says, and out of what it quotes."""
    error.args = tuple(
        _cleaned(each, secrets, shown) if isinstance(each, str) else each for each in error.args
    )
    quotes = getattr(error, "_quotes", ())
    for name in ("filename", "filename2", "strerror", "__notes__", *quotes):
        value = getattr(error, name, None)
        if isinstance(value, str | list) or (value and name in quotes):
            with suppress(AttributeError):  # libraries compute theirs
                setattr(error, name, _cleaned(value, secrets, shown))


def _tells(error: BaseException, secrets: Collection[str]) -> bool:
    """Whether an error shows a secret: what it says, and what it keeps. Ours keep the request, which is data."""
    quotes = getattr(error, "_quotes", None)
    kept = vars(error) if quotes is None else [getattr(error, name, None) for name in quotes]
    said = f"{error} {error!r} {kept!r} {getattr(error, '__notes__', '')}"
    return any(form in said for each in secrets for form in spellings(each))


def _behind(error: BaseException) -> Iterator[BaseException]:
    """The errors behind one; a group has others within."""
    waiting = [error.__cause__, error.__context__]
    seen: set[int] = set()
    while waiting:
        each = waiting.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            yield each
            waiting += [each.__cause__, each.__context__, *getattr(each, "exceptions", ())]
