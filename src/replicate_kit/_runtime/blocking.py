"""All there is of sync and async: run an operation to its end on the caller's thread.

Blocking I/O is asynchronous I/O that never suspends. An operation is therefore written once, as `async def`,
and its blocking twin steps that coroutine a single time: no event loop, no second thread, no generated code.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from types import CellType, FunctionType, MethodType
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, cast, overload

from replicate_kit._runtime.context import ScopedVariable, Within
from replicate_kit._runtime.tracebacks import async_entrance, shorten
from replicate_kit.errors import ReplicateError

__all__ = ["blocking", "is_blocking", "iterate", "run"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

_driving = ScopedVariable("replicate_kit_blocking", default=False)


def is_blocking() -> bool:
    """Tell whether the operation that asks is being stepped by `run`."""
    return _driving.get()


class _Driver(Within[bool]):
    """Marks this thread's context as blocking, and keeps a running loop's hands off our async generators."""

    __slots__ = ("_hooks",)

    def __init__(self) -> None:
        super().__init__(_driving, True)

    def __enter__(self) -> None:
        super().__enter__()
        self._hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(None, None)

    def __exit__(self, kind: object, error: BaseException | None, trace: object, /) -> None:
        sys.set_asyncgen_hooks(*self._hooks)
        super().__exit__(kind, error, trace)


def run(operation: Coroutine[Any, Any, T]) -> T:
    """Step `operation` once and return its result; raise `RuntimeError` if it suspended.

    >>> async def answer() -> int:
    ...     return 42
    >>> run(answer())
    42
    """
    with _Driver():
        try:
            operation.send(None)
        except StopIteration as stop:
            return cast(T, stop.value)
        operation.close()
    raise RuntimeError(
        f"{getattr(operation, '__qualname__', operation)} waited for an event loop inside a blocking call. "
        "Await only the session in an operation, or call its async_ form."
    )


def iterate(source: AsyncIterator[T]) -> Iterator[T]:
    """Iterate `source` on the caller's thread, one step for each item, and close it in the end.

    >>> async def count():
    ...     yield 1
    ...     yield 2
    >>> list(iterate(count()))
    [1, 2]
    """
    try:
        while True:
            try:
                item = run(_step(source))
            except StopAsyncIteration:
                return
            yield item
    except ReplicateError as error:
        shorten(error)
        raise
    finally:
        if isinstance(source, AsyncGenerator):
            run(_close(source))


async def _close(source: AsyncGenerator[Any, Any]) -> None:
    """Let a generator that was left early leave its own blocks."""
    await source.aclose()


async def _step(source: AsyncIterator[T]) -> T:
    """Take the next item (`anext` itself is an awaitable, not a coroutine that `run` could step)."""
    return await anext(source)


class blocking(Generic[P, R]):  # noqa: N801 - used like `property`
    """The blocking twin of an `async_…` method: same parameters, same docstring, result instead of awaitable.

    An `async def` becomes a plain method; an async generator becomes one that returns an iterator. Both the twin and
    the method that it is of are where people enter, so both shorten the tracebacks of mistakes.
    """

    @overload
    def __init__(
        self: blocking[P, Iterator[T]], operation: Callable[Concatenate[Any, P], AsyncIterator[T]], /
    ) -> None: ...
    @overload
    def __init__(
        self: blocking[P, T], operation: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]], /
    ) -> None: ...
    def __init__(self, operation: Callable[..., Any], /) -> None:
        self._operation, self._twin = operation, _twin_of(operation)
        self.__doc__ = operation.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        qualified = f"{owner.__qualname__}.{name}"
        self._twin = functools.update_wrapper(_twin_of(_renamed(self._operation, qualified)), self._operation)
        self._twin.__name__, self._twin.__qualname__ = name, qualified
        # People enter by the operation, too; what the twin runs is the operation itself.
        own = getattr(self._operation, "__name__", "")
        if isinstance(self._operation, FunctionType) and vars(owner).get(own) is self._operation:
            entered = async_entrance(self._operation)
            setattr(owner, own, entered)
            self._twin.__wrapped__ = entered

    def __get__(self, instance: object, owner: type | None = None) -> Callable[P, R]:
        bound = self._twin if instance is None else MethodType(self._twin, instance)
        return cast("Callable[P, R]", bound)


def _renamed(operation: Callable[..., Any], name: str) -> Callable[..., Any]:
    """The same operation by the twin's name, by which Python's own errors tell of a call that does not fit."""
    if not isinstance(operation, FunctionType):
        return operation
    defaults, closure = operation.__defaults__, operation.__closure__
    inner = vars(operation).get("__wrapped__")
    if inner is not None and closure:  # a decorator's: the errors are those of what it wraps
        closure = tuple(
            CellType(_renamed(inner, name)) if cell.cell_contents is inner else cell for cell in closure
        )
    again = FunctionType(operation.__code__, operation.__globals__, operation.__name__, defaults, closure)
    functools.update_wrapper(again, operation)
    again.__kwdefaults__, again.__qualname__ = operation.__kwdefaults__, name
    return again


def _twin_of(operation: Callable[..., Any]) -> Callable[..., Any]:
    """Make the function that runs `operation`, or iterates what it yields."""

    @functools.wraps(operation)
    def twin(*args: Any, **kwargs: Any) -> Any:
        try:
            started = operation(*args, **kwargs)
            return run(started) if isinstance(started, Coroutine) else iterate(started)
        except ReplicateError as error:
            shorten(error)
            raise

    return twin
