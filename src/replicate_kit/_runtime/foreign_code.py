"""What a plugin raises in a hook becomes an error that names the plugin and the hook."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any, NamedTuple, NoReturn

from replicate_kit._runtime.program_end import ends_program
from replicate_kit.errors import FileError, PluginError, ReplicateError

__all__ = ["WATCHING", "HookOf", "described", "said_of"]

log = logging.getLogger("replicate_kit.hooks")

WATCHING = frozenset(
    {
        "replicate_prediction_created",
        "replicate_prediction_changed",
        "replicate_prediction_charged",
        "replicate_file_saved",
    }
)
"""The hooks that only tell: what they raise is logged."""

_PLAIN = WATCHING | frozenset(
    {"replicate_resources", "replicate_backends", "replicate_transport_layer", "replicate_commands"}
)
"""The hooks that no task can be cancelled in the middle of, as they wait for nothing."""

_GIVING_NOTHING = WATCHING | frozenset({"replicate_commands"})
_STORING = frozenset({"replicate_store_output", "replicate_record_files"})
_LATER = frozenset({"replicate_check_target", *_STORING})
"""The hooks that give a coroutine; `replicate_encode_input` may."""
_MARK = "Raised by the plugin "


class HookOf(NamedTuple):
    """One hook of one plugin. `origin` is the plugin's distribution with its version, None if there is none."""

    hook: str
    plugin: str
    origin: str | None = None

    def guard(self, function: Callable[..., Any], kind: type | None = None) -> Callable[..., Any]:
        """Wrap the plugin's function, and the coroutine that it may give, so that errors name the plugin. What it gives
        has to be of a `kind`, where there is one.
        """
        wrap = self._guarded_wrapper if inspect.isgeneratorfunction(function) else self._guarded
        return wrap(function, kind)

    def _guarded(self, function: Callable[..., Any], kind: type | None) -> Callable[..., Any]:
        """Guard a plain function."""

        @functools.wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            began = perf_counter() if log.isEnabledFor(logging.DEBUG) else None
            try:
                given = function(*args, **kwargs)
            except BaseException as error:
                self.log(began, error)
                self.failed(error)
            # What gives nothing, as hooks do that are told of each row, costs nothing more.
            return None if given is None and began is None else self._checked(given, began, kind)

        return guarded

    def _checked(self, given: Any, began: float | None, kind: type | None) -> Any:
        """See that what was given is a coroutine where it must be one, and nowhere else; guard it."""
        is_later = isinstance(given, Awaitable)
        if is_later and (self.hook in _LATER or self.hook == "replicate_encode_input"):
            return _Guarded(self, given, began)
        self.log(began, given)
        if is_later:
            if isinstance(given, Coroutine):
                given.close()
            self.failed(
                TypeError("it gave a coroutine, and this hook is a plain function (def, not async def)")
            )
        if given is not None and self.hook in _LATER:
            self.failed(
                TypeError(f"it gave a {type(given).__name__}, and this hook gives a coroutine or None")
            )
        self._check_kind(given, kind)
        return self._layer(given) if self.hook == "replicate_transport_layer" and given is not None else given

    def _check_kind(self, given: Any, kind: type | None) -> None:
        """See that what was given is of the kind that the hook gives."""
        if given is not None and kind is not None and not isinstance(given, kind):
            self.failed(
                TypeError(f"it gave a {type(given).__name__}, and this hook gives a {kind.__name__} or None")
            )

    def _layer(self, given: Any) -> Callable[..., Any]:
        """See that a layer can be put around a transport, and guard that."""
        if not callable(given):
            self.failed(
                TypeError(
                    f"it gave a {type(given).__name__}, and this hook gives a function from one transport to another, "
                    "or None"
                )
            )
        return functools.update_wrapper(functools.partial(_Layer, self, given), given)

    def call(self, function: Callable[..., Any], /, *args: Any) -> Any:
        """Call something else of the plugin's, which it gave in the hook."""
        with self.blamed():
            return function(*args)

    @contextmanager
    def blamed(self) -> Iterator[None]:
        """Have what is raised in the block name the plugin and the hook."""
        try:
            yield
        except BaseException as error:
            self.failed(error)

    def _guarded_wrapper(self, function: Callable[..., Any], kind: type | None) -> Callable[..., Any]:
        """Guard a generator: pluggy's way to wrap the hooks of other plugins."""

        @functools.wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            began = perf_counter() if log.isEnabledFor(logging.DEBUG) else None
            try:
                given = yield from function(*args, **kwargs)
            except BaseException as error:
                self.log(began, error)
                self.failed(error)
            self.log(began, given)
            self._check_kind(given, kind)
            return given

        return guarded

    def log(self, began: float | None, given: Any) -> None:
        """Log a call that has come to its end, by what it gave or raised; `began` is None where nobody listens."""
        if began is None:
            return
        ms = (perf_counter() - began) * 1000
        came = f", raised {type(given).__name__}" if isinstance(given, BaseException) else ""
        came = ", declined" if given is None and self.hook not in _GIVING_NOTHING else came
        about = {"event": "hook", "hook": self.hook, "plugin": self.plugin, "ms": round(ms, 3)}
        log.debug("%s of the plugin %s: %.3f ms%s", self.hook, self, ms, came, extra=about)

    def failed(self, error: BaseException) -> NoReturn:
        """Raise what the plugin raised: our own errors with a note, anything else as an error of ours.

        What is not an `Exception` stops the program or a task, and passes. A plugin's own `SystemExit` does not: it has
        no say in when a program ends. Nor has what only watches, or adds something, in when a task does: it is a plain
        function, and no task is cancelled in the middle of one.
        """
        if isinstance(error, ReplicateError):
            self.note(error)
            raise error
        is_its_own = isinstance(error, SystemExit) or self.hook in _PLAIN
        if not isinstance(error, Exception) and (ends_program(error) or not is_its_own):
            raise error
        if isinstance(error, OSError) and self.hook == "replicate_check_target":
            self.note(error)  # it is the answer: why files cannot be stored there
            raise error
        if isinstance(error, OSError) and self.hook in _STORING:
            raise FileError(self._said(error)) from error
        raise PluginError(
            f"{self._said(error)}\n{self._next_step}", plugin=self.plugin, hook=self.hook
        ) from error

    def __str__(self) -> str:
        origin = f" of {self.origin}" if self.origin else ""
        return f"{self.plugin!r}{origin}"

    def _said(self, error: BaseException) -> str:
        """Say who failed, where and how."""
        return f"The plugin {self} failed in {self.hook}: {described(error)}"

    def note(self, error: BaseException, more: str = "") -> None:
        """Note whose error it is; one that comes from a plugin within, or names this one, keeps that name."""
        if isinstance(error, PluginError) and (error.plugin, error.hook) == (self.plugin, self.hook):
            return
        if not any(each.startswith(_MARK) for each in getattr(error, "__notes__", ())):
            error.add_note(f"{_MARK}{self} in {self.hook}{more}.")

    @property
    def _next_step(self) -> str:
        """What to do about a plugin that fails."""
        if self.origin is None:
            return "Correct it, or make the client without it: it was given as Client(plugins=[…])."
        return f"Update it, or set REPLICATE_KIT_DISABLE_PLUGINS={self.plugin} to do without it."


class _Guarded(Coroutine[Any, Any, Any]):
    """A plugin's coroutine whose errors name the plugin; closing it before it began closes the plugin's, too."""

    def __init__(self, hook: HookOf, given: Awaitable[Any], began: float | None) -> None:
        self._hook, self._began = hook, began
        self._inner = given if isinstance(given, Coroutine) else _waiting(given)

    def send(self, value: Any, /) -> Any:
        """Go on."""
        return self._step(self._inner.send, value)

    def throw(self, *error: Any) -> Any:
        """Go on with an error."""
        return self._step(self._inner.throw, *error)

    def close(self) -> None:
        """Leave it."""
        self._inner.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self  # pyright: ignore[reportReturnType]  # it has all that awaiting takes

    def __iter__(self) -> _Guarded:
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def _step(self, step: Callable[..., Any], *args: Any) -> Any:
        """Take one step; its end, which is a StopIteration, is no failure."""
        try:
            return step(*args)
        except StopIteration as end:
            self._hook.log(self._began, () if end.value is None else end.value)
            raise
        except BaseException as error:
            self._hook.log(self._began, error)
            self._hook.failed(error)


class _Layer:
    """A plugin's layer around a transport. What it raises itself names the plugin, and stays what it is: a caller may
    catch it, and another layer, too. What comes from below it is of others.
    """

    def __init__(self, hook: HookOf, make: Callable[[Any], Any], inner: Any) -> None:
        self._hook, self._below = hook, _Below(inner)
        self._layer = hook.call(make, self._below)

    async def send(self, request: Any, /, *, stream: bool = False) -> Any:
        """Send a request through the layer."""
        try:
            if (response := await self._layer.send(request, stream=stream)) is None:
                raise TypeError(
                    "The layer's send gave None. Return the response that the inner transport gives."
                )
            return response
        except Exception as error:
            reached = id(request) in self._below.reached
            self._blame(error, ", after the request was sent: it may have been acted on" if reached else "")
            raise
        finally:
            self._below.reached.discard(id(request))

    async def aclose(self) -> None:
        """Close the layer, and with it what is below."""
        try:
            await self._layer.aclose()
        except Exception as error:
            self._blame(error)
            raise

    def _blame(self, error: Exception, more: str = "") -> None:
        """Name the plugin, unless the error has passed what is below."""
        trace = error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code in _BELOW:
                return
            trace = trace.tb_next
        self._hook.note(error, more)


class _Below:
    """What a layer is put around: its frames tell in a traceback that an error came from there."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.reached = set[int]()  # the ids of requests under way

    async def send(self, request: Any, /, *, stream: bool = False) -> Any:
        """Send a request."""
        self.reached.add(id(request))
        return await self._inner.send(request, stream=stream)

    async def aclose(self) -> None:
        """Close it."""
        await self._inner.aclose()


_BELOW = frozenset({_Below.send.__code__, _Below.aclose.__code__})


async def _waiting(given: Awaitable[Any]) -> Any:
    """Make a coroutine of whatever else can be awaited."""
    return await given


def described(error: BaseException) -> str:
    """Say the kind of an error and what it says, if it can.

    >>> described(KeyError("frames"))
    "KeyError: 'frames'"
    """
    try:
        text = str(error)
    except Exception:  # other people's errors may fail at that, too
        return f"{type(error).__name__} (what it says cannot be shown)"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


@contextmanager
def said_of(whose: str) -> Iterator[None]:
    """Say of what is raised in the block by whom it was: a function that the caller passed, whose errors are theirs.

    >>> with said_of("on_plan="):
    ...     raise RuntimeError("too much")
    Traceback (most recent call last):
        ...
    RuntimeError: too much
    Raised by on_plan=.
    """
    try:
        yield
    except Exception as error:
        error.add_note(f"Raised by {whose}.")
        raise
