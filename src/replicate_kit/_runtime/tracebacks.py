"""Tracebacks of mistakes: who reads one wants their own line and what is said, and not how the package works inside."""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from types import FrameType, TracebackType
from typing import Any, ParamSpec, TypeVar, cast

from replicate_kit._runtime.awaited import AwaitableGenerator
from replicate_kit.errors import PluginError, ReplicateError

__all__ = ["async_entrance", "callers_line", "entrance", "shorten"]

P = ParamSpec("P")
R = TypeVar("R")

_SWITCH = "REPLICATE_KIT_TRACEBACKS"
_OURS = __name__.partition(".")[0]
_CARRIERS = frozenset(
    {"aiohttp", "anyio", "h11", "h2", "httpcore", "httpcore2", "httpx", "httpx2", "pluggy", "sniffio", "trio"}
)
"""Packages that call us back on a call's way: hooks are called by them, requests are sent by them."""

_STANDARD = os.path.dirname(os.__file__) + os.sep
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


def shorten(error: ReplicateError) -> None:
    """Leave out of an error's traceback the frames of the package, and of what it calls on the way.

    Frames of the caller's functions and of plugins stay. Of the libraries behind an error that caused it, the frame
    stays that raised. `REPLICATE_KIT_TRACEBACKS=full` leaves all as it is.
    """
    if os.environ.get(_SWITCH, "").strip().lower() == "full":
        return
    kept = [each for each in _each(error.__traceback__) if not _is_inner(each.tb_frame)]
    error.__traceback__ = _joined(kept)
    if isinstance(error, PluginError):
        return  # what the plugin raised is for its author, who needs all of it
    writers = {_root(each.tb_frame) for each in kept}
    for behind in _behind(error):
        behind.__traceback__ = _joined(list(_telling(behind.__traceback__, writers)))


def entrance(function: Callable[P, R]) -> Callable[P, R]:
    """Shorten the tracebacks of mistakes that leave a function which people call."""

    @functools.wraps(function)
    def entered(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except ReplicateError as error:
            shorten(error)
            raise

    return entered


def async_entrance(operation: Callable[P, R]) -> Callable[P, R]:
    """Do the same for an `async def`, and for what gives an async generator."""
    kept = cast("Callable[P, Any]", operation)

    @functools.wraps(operation)
    async def awaited(*args: P.args, **kwargs: P.kwargs) -> Any:
        try:
            return await kept(*args, **kwargs)
        except ReplicateError as error:
            shorten(error)
            raise

    @functools.wraps(operation)
    def called(*args: P.args, **kwargs: P.kwargs) -> Any:
        given = kept(*args, **kwargs)
        if not isinstance(given, AsyncGenerator):
            return given
        items = _items(given)
        return AwaitableGenerator(items) if isinstance(given, AwaitableGenerator) else items

    return cast("Callable[P, R]", awaited if inspect.iscoroutinefunction(operation) else called)


async def _items(source: AsyncGenerator[R]) -> AsyncGenerator[R]:
    """Give what a generator does, and leave it when we are left."""
    try:
        async with aclosing(source):
            async for item in source:
                yield item
    except ReplicateError as error:
        shorten(error)
        raise


def callers_line() -> tuple[str, int]:
    """The file and the line that called the package: those of the nearest frame that no traceback leaves out."""
    frame = sys._getframe(1)
    while frame.f_back is not None and _is_inner(frame):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


def _each(trace: TracebackType | None) -> Iterator[TracebackType]:
    """The entries of a traceback, from the caller's to the one that raised."""
    while trace is not None:
        yield trace
        trace = trace.tb_next


def _joined(entries: list[TracebackType]) -> TracebackType | None:
    """Make a traceback of those entries that are left."""
    joined: TracebackType | None = None
    for each in reversed(entries):
        joined = TracebackType(joined, each.tb_frame, each.tb_lasti, each.tb_lineno)
    return joined


def _telling(trace: TracebackType | None, writers: set[str]) -> Iterator[TracebackType]:
    """The entries that tell something: of libraries in a row, the last; of those who wrote the error behind, all."""
    last: TracebackType | None = None
    for each in _each(trace):
        if _is_inner(each.tb_frame):
            continue
        if _root(each.tb_frame) not in writers and any(part in _file(each.tb_frame) for part in _INSTALLED):
            last = each
            continue
        if last is not None:
            yield last
        last = None
        yield each
    if last is not None:
        yield last


def _is_inner(frame: FrameType) -> bool:
    """Whether a frame is of this package, of what it calls on the way, or of a package that hides its own."""
    root = _root(frame)
    if root == _OURS or root in _CARRIERS:
        return True
    if root in sys.stdlib_module_names:
        # A module of the caller's may have a name of the standard library's.
        return _file(frame).startswith((_STANDARD, "<frozen ")) and not any(
            part in _file(frame) for part in _INSTALLED
        )
    return getattr(sys.modules.get(root), "__tracebackhide__", False) is True


def _root(frame: FrameType) -> str:
    """The package that a frame's code is of."""
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _file(frame: FrameType) -> str:
    """The file that a frame's code is in."""
    return frame.f_code.co_filename


def _behind(error: BaseException) -> Iterator[BaseException]:
    """The errors that are shown before one."""
    seen = {id(error)}
    behind = _shown_before(error)
    while behind is not None and id(behind) not in seen:
        seen.add(id(behind))
        yield behind
        behind = _shown_before(behind)


def _shown_before(error: BaseException) -> BaseException | None:
    """The error that caused one, or that it was raised in spite of."""
    return error.__cause__ or (None if error.__suppress_context__ else error.__context__)
