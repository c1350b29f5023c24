"""What stays of a traceback: frames of callers and plugins, the last of a library's, and all of a bug's."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import traceback
from collections.abc import AsyncIterator, Callable
from types import ModuleType
from typing import Any

import pytest

from replicate_kit._runtime.blocking import blocking
from replicate_kit._runtime.tracebacks import async_entrance, entrance, shorten
from replicate_kit.errors import InputError, PluginError, ReplicateError

Body = Callable[[], Any]


@pytest.fixture(autouse=True)
def _nobody_asks_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REPLICATE_KIT_TRACEBACKS", raising=False)


def names(error: BaseException) -> list[str]:
    """The functions in an error's traceback."""
    return [each.name for each in traceback.extract_tb(error.__traceback__)]


def module(name: str, source: str, file: str | None = None) -> dict[str, Any]:
    """Run a source as if it were a module's of this name, in this file."""
    scope: dict[str, Any] = {"__name__": name}
    exec(compile(source, file or f"/somewhere/{name.replace('.', '/')}.py", "exec"), scope)
    return scope


def passing(name: str, file: str | None = None) -> Callable[[Body], Any]:
    """A function of this module that calls another; it is called by the last part of the module's name."""
    function = name.rpartition(".")[2]
    found: Callable[[Body], Any] = module(name, f"def {function}(body):\n    return body()", file)[function]
    return found


def chain(*functions: Callable[[Body], Any], end: Body) -> Any:
    """Call each function by the one before it."""
    body = end
    for each in reversed(functions):
        body = lambda each=each, body=body: each(body)  # noqa: E731
    return body()


def refused() -> None:
    raise InputError("no")


def caught(body: Body) -> BaseException:
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - each test looks at what it is
        body()
    return caught.value


OURS = passing("replicate_kit.inner")
USERS = passing("notebook")
PLUGINS = passing("surf_plugin.hooks", "/v/lib/python3/site-packages/surf_plugin/hooks.py")
CARRIER = passing("httpx.carrier")


@pytest.mark.parametrize(
    ("functions", "kept"),
    [
        ([OURS], []),
        ([OURS, CARRIER, OURS], []),
        ([USERS], ["notebook"]),
        ([OURS, USERS, OURS], ["notebook"]),
        ([OURS, PLUGINS, OURS, USERS], ["hooks", "notebook"]),
        ([passing("token")], ["token"]),  # a module of the user's, named as one of the standard library
    ],
)
def test_frames_of_callers_and_plugins_stay(functions: list[Callable[[Body], Any]], kept: list[str]) -> None:
    raising = module("replicate_kit.raising", "def raising(error):\n    raise error")["raising"]
    error = caught(lambda: chain(*functions, end=lambda: raising(InputError("no"))))
    assert isinstance(error, ReplicateError)
    shorten(error)
    assert [name for name in names(error) if name not in {"caught", "chain", "<lambda>"}] == kept


def test_a_package_can_hide_its_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    hiding = ModuleType("surf_plugin")
    hiding.__tracebackhide__ = True  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "surf_plugin", hiding)
    error = caught(lambda: chain(PLUGINS, USERS, end=refused))
    assert isinstance(error, ReplicateError)
    shorten(error)
    assert "hooks" not in names(error)
    assert "notebook" in names(error)


class Entered:
    """Each way in, over the same failing operation."""

    async def async_get(self, error: Exception) -> None:
        """Fail."""
        await _inner(error)

    async def async_walk(self, error: Exception) -> AsyncIterator[int]:
        """Give one number, and fail."""
        yield 1
        await _inner(error)

    def async_given(self, error: Exception) -> AsyncIterator[int]:
        """Give the same by a function that is no generator itself."""
        return self._walk(error)

    async def _walk(self, error: Exception) -> AsyncIterator[int]:
        yield 1
        await _inner(error)

    get = blocking(async_get)
    walk = blocking(async_walk)
    given = blocking(async_given)

    @entrance
    def plain(self, error: Exception) -> None:
        """Fail at once."""
        _plain(error)

    @async_entrance
    async def by_hand(self, error: Exception) -> None:
        """Fail later."""
        await _inner(error)


_plain = module("replicate_kit.raising", "def raising(error):\n    raise error")["raising"]
_inner = module("replicate_kit.raising", "async def inner(error):\n    raise error")["inner"]


async def _all(source: AsyncIterator[int]) -> None:
    async for _ in source:
        pass


WAYS: dict[str, Callable[[Exception], Any]] = {
    "blocking": lambda error: Entered().get(error),
    "blocking generator": lambda error: list(Entered().walk(error)),
    "blocking given": lambda error: list(Entered().given(error)),
    "plain": lambda error: Entered().plain(error),
    "async": lambda error: asyncio.run(Entered().async_get(error)),
    "async generator": lambda error: asyncio.run(_all(Entered().async_walk(error))),
    "async given": lambda error: asyncio.run(_all(Entered().async_given(error))),
    "async by hand": lambda error: asyncio.run(Entered().by_hand(error)),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_in_shortens_mistakes(way: str) -> None:
    shown = names(caught(lambda: WAYS[way](InputError("no"))))
    assert not {"raising", "inner", "twin", "iterate", "entered", "awaited", "called", "_items"} & set(shown)
    assert "<lambda>" in shown


@pytest.mark.parametrize("way", WAYS)
def test_bugs_keep_every_frame(way: str) -> None:
    assert names(caught(lambda: WAYS[way](ValueError("a bug"))))[-1] in {"raising", "inner"}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("spelling", ["full", " FULL "])
def test_all_frames_stay_for_whoever_asks(way: str, spelling: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLICATE_KIT_TRACEBACKS", spelling)
    assert names(caught(lambda: WAYS[way](InputError("no"))))[-1] in {"raising", "inner"}


def test_generators_are_left_when_their_reader_leaves() -> None:
    left = []

    class Source:
        async def async_walk(self) -> AsyncIterator[int]:
            try:
                while True:
                    yield 1
            finally:
                left.append(True)

        walk = blocking(async_walk)

    async def one() -> None:
        async with contextlib.aclosing(Source().async_walk()) as source:  # type: ignore[type-var]
            await anext(source)

    asyncio.run(one())
    next(iter(Source().walk()))
    assert left == [True, True]


def test_arguments_that_do_not_fit_a_generator_are_told_when_it_is_called() -> None:
    with pytest.raises(TypeError, match="async_walk"):
        Entered().async_walk()  # type: ignore[call-arg]


def library(name: str, depth: int) -> Callable[[], None]:
    """A function of an installed library that fails some calls deep."""
    source = "def deep(depth):\n    if depth == 1:\n        raise OSError('deep')\n    deep(depth - 1)\n"
    deep = module(name, source, f"/v/lib/python3/site-packages/{name}/deep.py")["deep"]
    return lambda: deep(depth)


def from_library(kind: type[ReplicateError], *functions: Callable[[Body], Any]) -> ReplicateError:
    """An error of ours that a library's deep failure caused."""

    def fail() -> None:
        try:
            chain(*functions, end=library("deeplib", 30))
        except OSError as cause:
            raise kind("no") from cause

    error = caught(fail)
    assert isinstance(error, kind)
    shorten(error)
    return error


def test_of_a_librarys_frames_behind_an_error_the_last_stays() -> None:
    cause = from_library(InputError).__cause__
    assert cause is not None
    assert names(cause).count("deep") == 1
    assert str(cause) == "deep"


def test_users_frames_stay_behind_an_error() -> None:
    cause = from_library(InputError, USERS, OURS).__cause__
    assert cause is not None
    assert "notebook" in names(cause)


def test_what_a_plugin_raised_stays_whole_for_its_author() -> None:
    cause = from_library(PluginError).__cause__
    assert cause is not None
    assert names(cause).count("deep") == 30


def test_frames_of_the_standard_library_go() -> None:
    def hook(pairs: object) -> None:
        raise InputError("no")

    error = caught(lambda: json.loads("{}", object_pairs_hook=hook))
    assert isinstance(error, ReplicateError)
    assert "raw_decode" in names(error)
    shorten(error)
    assert names(error)[-2:] == ["<lambda>", "hook"]


def test_errors_in_a_ring_are_shortened_once() -> None:
    first, second = InputError("one"), InputError("two")
    first.__cause__, second.__cause__ = second, first
    shorten(first)


def test_error_is_the_same_that_was_raised() -> None:
    error = InputError("no")
    assert caught(lambda: Entered().get(error)) is error
    assert error.__context__ is None
