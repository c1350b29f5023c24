"""Context variables that have a value for as long as a block runs, also where nobody ends the block."""

from __future__ import annotations

from contextlib import suppress
from contextvars import ContextVar, Token
from typing import Generic, TypeVar

__all__ = ["Within"]

T = TypeVar("T")


class Within(Generic[T]):
    """A block in which a context variable has another value.

    A coroutine that was left in the middle of the block is closed by the garbage collector, in whatever context runs
    just then, perhaps in the middle of setting this very variable. So the block's end changes nothing in a context that
    is not its own: that would give others its value, and has crashed CPython 3.11.

    >>> from contextvars import ContextVar
    >>> variable = ContextVar("variable", default=1)
    >>> with Within(variable, 2):
    ...     variable.get()
    2
    >>> variable.get()
    1
    """

    __slots__ = ("_token", "_value", "_variable")

    def __init__(self, variable: ContextVar[T], value: T) -> None:
        self._variable, self._value = variable, value

    def __enter__(self) -> None:
        self._token: Token[T] = self._variable.set(self._value)

    def __exit__(self, kind: object, error: BaseException | None, trace: object, /) -> None:
        with suppress(ValueError):  # it is of another context
            self._variable.reset(self._token)
