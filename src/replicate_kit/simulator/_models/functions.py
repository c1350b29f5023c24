"""Models as Python functions: what they are called with, and how their results come out."""

from __future__ import annotations

import collections.abc
import enum
import functools
import inspect
import io
import pathlib
import types
import typing
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import suppress
from typing import IO, Annotated, Any, Protocol, Union, get_args, get_origin, get_type_hints

from replicate_kit.schema import ModelSchema, Problem, openapi

__all__ = ["Canceled", "InputFiles", "ModelFunction"]


class Canceled(BaseException):
    """The prediction was canceled. Let it pass: `except Exception` does not catch it."""


class InputFiles(Protocol):
    """Where the files are that inputs name."""

    def read(self, url: str, /) -> bytes:
        """Give the content of a file."""
        ...

    def path(self, url: str, /) -> pathlib.Path:
        """Give a copy of it on disk."""
        ...


class ModelFunction:
    """A function with a schema. `document` replaces its signature's; `fixed` are inputs given already."""

    def __init__(
        self,
        function: Callable[..., Any],
        document: Mapping[str, Any] | None = None,
        fixed: Mapping[str, Any] | None = None,
    ) -> None:
        self.function, self._fixed = function, fixed or {}
        self.schema = ModelSchema(document or openapi(function))
        self._is_as_published = document is not None
        if document is not None:
            _ = (
                self._hints
            )  # an annotation that means nothing is an error now; without a document it was one above

    @functools.cached_property
    def _hints(self) -> dict[str, Any]:
        """What each parameter takes. Most models of the demo are never called."""
        hints = get_type_hints(self.function, include_extras=True)
        return {name: hint for name, hint in hints.items() if name != "return"}

    def check(self, input: Mapping[str, Any]) -> list[Problem]:
        """List what is wrong with an input. What nobody declared passes, unless a schema that was given forbids it.

        None of the schemas that were recorded forbids them. Ours do, so that clients that check find a misspelt one.
        """
        if self._is_as_published:
            return self.schema.check(input)
        return self.schema.check({name: input[name] for name in input if name in self.schema.properties})

    def arguments(self, input: Mapping[str, Any], files: InputFiles) -> dict[str, Any]:
        """Turn JSON inputs into what the function's annotations ask for; leave out what it does not take."""
        given = {**self._fixed, **input}
        return {
            name: _convert(value, self._hints.get(name, Any), files)
            for name, value in given.items()
            if self._names is None or name in self._names
        }

    @functools.cached_property
    def _names(self) -> frozenset[str] | None:
        """The inputs that the function takes; None if it takes any."""
        parameters = inspect.signature(self.function).parameters
        takes_any = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values())
        return None if takes_any else frozenset(parameters)

    def bound(self, fixed: Mapping[str, Any]) -> ModelFunction:
        """The same function with some inputs given already."""
        made = ModelFunction(self.function, self.schema.document, {**self._fixed, **fixed})
        made._is_as_published = self._is_as_published
        return made

    def items(self, arguments: Mapping[str, Any], ended: Future[None]) -> Iterator[Any]:
        """Call a function that gives its output item by item."""
        result = self.call(arguments, ended)
        return _drain(result) if isinstance(result, AsyncIterator) else iter(result)

    def call(self, arguments: Mapping[str, Any], ended: Future[None]) -> Any:
        """Call the function; one that is asynchronous runs in an event loop of its own."""
        result = self.function(**arguments)
        if isinstance(result, Awaitable):
            import asyncio  # here and below: it takes longer to load than most programs with a simulator run

            return asyncio.run(_until(result, ended))
        return result


async def _until(work: Awaitable[Any], ended: Future[None]) -> Any:
    """Await `work`, but cancel it when the prediction ends before it does."""
    import asyncio

    task, loop = asyncio.ensure_future(work), asyncio.get_running_loop()

    def stop(_: Future[None]) -> None:
        with suppress(RuntimeError):  # the loop has closed: the work was done first
            loop.call_soon_threadsafe(task.cancel)

    ended.add_done_callback(stop)
    try:
        return await task
    except asyncio.CancelledError:
        raise Canceled from None


def _drain(items: AsyncIterator[Any]) -> Iterator[Any]:
    """Iterate an asynchronous generator in an event loop of its own."""
    import asyncio

    # One loop for all items: what a generator has opened is bound to the loop that it ran in.
    with asyncio.Runner() as runner:
        while True:
            try:
                item = runner.run(_next(items))
            except StopAsyncIteration:
                return
            yield item


async def _next(items: AsyncIterator[Any]) -> Any:
    return await anext(items)


_LISTS = (list, tuple, set, frozenset)
_SAME = (str, int, float, bool)  # to be one of these is all that their annotations ask for


def _convert(value: Any, hint: Any, files: InputFiles) -> Any:
    """Turn a JSON value into what an annotation asks for."""
    if type(value) is hint and hint in _SAME:
        return value
    origin, args = get_origin(hint), get_args(hint)
    if value is None:
        return None
    if origin is Annotated:
        return _convert(value, args[0], files)
    if origin in (Union, types.UnionType):
        return _convert(value, _alternative(value, args), files)
    if isinstance(value, list):
        items = [_convert(each, args[0] if args else Any, files) for each in value]
        return origin(items) if origin in _LISTS else items
    if origin is IO or hint in (IO, typing.BinaryIO):
        return io.BytesIO(files.read(value))
    return _construct(value, hint, files) if isinstance(hint, type) else value


def _alternative(value: Any, hints: tuple[Any, ...]) -> Any:
    """Choose what of `A | B` a value is for: a list for a list, a file before a text."""
    others = [hint for hint in hints if hint is not type(None)]
    if isinstance(value, list):
        lists = [hint for hint in others if isinstance(get_origin(hint), type)]
        return lists[0] if lists else Any
    plain = [hint for hint in others if isinstance(hint, type) and isinstance(value, hint)]
    return plain[0] if plain else others[0]


def _construct(value: Any, hint: type, files: InputFiles) -> Any:
    """Make an instance of a class that is not JSON's."""
    if issubclass(hint, pathlib.PurePath):
        return files.path(value)
    if issubclass(hint, bytes | bytearray):
        return hint(files.read(value))
    if issubclass(hint, io.IOBase):
        return io.BytesIO(files.read(value))
    if issubclass(hint, enum.Enum):
        return hint(value)
    # JSON does not tell 1 from 1.0. To Python True is a number, to JSON it is not.
    if hint in (int, float) and not isinstance(value, bool):
        return hint(value)
    if isinstance(value, collections.abc.Sequence) and hint in _LISTS:
        return hint(value)
    return value
