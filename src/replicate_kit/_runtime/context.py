"""Context variables that have a value for as long as a block runs, also where nobody ends the block."""

from __future__ import annotations

import gc
import sys
from contextvars import ContextVar, Token
from threading import get_ident
from typing import Generic, TypeVar

__all__ = ["ScopedVariable", "Within"]

T = TypeVar("T")

_collector: int | None = None  # the thread on which the garbage collector runs, where that matters


def _collects() -> bool:
    """Whether the garbage collector called what runs here: it ends what nobody has ended."""
    return _collector is not None and _collector == get_ident()


if sys.version_info < (3, 12):
    # Up to 3.11 the collector runs wherever memory is taken, in the middle of setting a context variable too. If that
    # variable's context is changed meanwhile, the interpreter goes on with memory that was freed, and crashes. Later
    # ones collect between two instructions only.
    def _note(phase: str, info: dict[str, int]) -> None:
        """Note which thread collects."""
        global _collector
        _collector = get_ident() if phase == "start" else None

    gc.callbacks.append(_note)


class ScopedVariable(Generic[T]):
    """A context variable that only blocks give a value.

    >>> variable = ScopedVariable("variable", 1)
    >>> with variable.within(2):
    ...     variable.get()
    2
    >>> variable.get()
    1
    """

    __slots__ = ("_collected", "_variable")

    def __init__(self, name: str, default: T) -> None:
        self._variable: ContextVar[T] = ContextVar(name, default=default)
        self._collected: list[T] = []  # the values of blocks that the collector is in: no context has those

    def get(self) -> T:
        """The value that the innermost block around us gives it."""
        if self._collected and _collects():
            return self._collected[-1]
        return self._variable.get()

    def within(self, value: T) -> Within[T]:
        """A block in which it has this value."""
        return Within(self, value)

    def _enter(self, value: T) -> Token[T] | int:
        """Take a value; give what `_leave` needs to take it back."""
        if _collector is None or not _collects():
            return self._variable.set(value)
        self._collected.append(value)
        return len(self._collected) - 1

    def _leave(self, before: Token[T] | int) -> None:
        """Take a value back where it was given."""
        if isinstance(before, int):
            del self._collected[before:]
        elif _collector is None or not _collects():
            try:  # noqa: SIM105 - each request passes here several times
                self._variable.reset(before)
            except ValueError:  # it is of another context
                pass


class Within(Generic[T]):
    """A block in which a variable has another value.

    A coroutine that was left in the middle of the block is closed by the garbage collector, in whatever context runs
    just then, perhaps in the middle of setting this very variable. So the block's end changes nothing in a context that
    is not its own, nor in any while the collector runs.
    """

    __slots__ = ("_before", "_value", "_variable")

    def __init__(self, variable: ScopedVariable[T], value: T) -> None:
        self._variable, self._value = variable, value

    def __enter__(self) -> None:
        self._before = self._variable._enter(self._value)

    def __exit__(self, kind: object, error: BaseException | None, trace: object, /) -> None:
        self._variable._leave(self._before)
