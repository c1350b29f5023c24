"""Standard error as JSON, an object a line, for log collectors: `--log-json`, or `REPLICATE_KIT_LOG=json`."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, TextIO

import click

from replicate_kit._formats.json_logs import JSONFormatter, json_line
from replicate_kit.config import logs_json

__all__ = ["at_end", "is_json", "log_json", "logged", "say"]

_LEVELS = {"Error": "error", "Usage": "error", "Traceback": "error", "Warning": "warning"}
"""The levels of texts that begin so; others tell how it goes."""


class _Lines(io.TextIOBase):
    """Standard error that makes an object of each text that is written to it; it has the attributes of a stream."""

    def __init__(self, stream: TextIO) -> None:
        self.stream, self._text = stream, ""
        self.last: Callable[[], tuple[str, Mapping[str, Any]]] | None = None
        self._handler = logging.StreamHandler(stream)
        self._handler.setFormatter(JSONFormatter())

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the stream."""
        return self.stream.encoding

    def writable(self) -> bool:
        """Whether it can be written to."""
        return True

    def write(self, text: str, /) -> int:
        """Take a text; what ends with its line is written."""
        self._text += text
        if text.endswith("\n"):
            self.flush()
        return len(text)

    def flush(self) -> None:
        """Write what was taken."""
        text, self._text = self._text.strip(), ""
        if text:
            self.say(*_read(text))

    def say(self, level: str, fields: Mapping[str, Any]) -> None:
        """Write one object."""
        self.stream.write(json_line(level, fields) + "\n")
        self.stream.flush()

    def begin(self) -> None:
        """Take the place of standard error, and have loggers and Python's warnings write objects, too."""
        sys.stderr = self
        logging.getLogger().addHandler(self._handler)
        logging.captureWarnings(True)

    def end(self) -> None:
        """Write what is to be last, and give standard error back."""
        with suppress(OSError, ValueError):  # where nobody listens any more
            self.flush()
            if self.last is not None:
                event, fields = self.last()
                self.say("info", {"event": event, **fields})
        logging.captureWarnings(False)
        logging.getLogger().removeHandler(self._handler)
        sys.stderr = self.stream


def _read(text: str) -> tuple[str, dict[str, Any]]:
    """The level and the fields of what a command has written: a message, or an object as `--progress json` has it."""
    with suppress(ValueError):
        if text.startswith("{") and isinstance(found := json.loads(text), dict):
            kind, error = ("error", found["error"]) if "error" in found else ("result", None)
            message = error.get("message") if isinstance(error, dict) else error
            return "error" if kind == "error" else "info", {
                "event": kind,
                "message": message or kind,
                **found,
            }
    level = _LEVELS.get(text.partition(":")[0].partition(" ")[0], "info")
    said = text.removeprefix("Error: ")
    return level, {"event": "message" if said == text else "error", "message": said}


def is_json() -> bool:
    """Whether standard error takes objects."""
    return isinstance(sys.stderr, _Lines)


def say(event: str, message: str, *, level: str = "info", **fields: Any) -> None:
    """Write an object with fields. To be called where `is_json()`."""
    assert isinstance(sys.stderr, _Lines)
    sys.stderr.say(level, {"event": event, "message": message, **fields})


def at_end(last: Callable[[], tuple[str, Mapping[str, Any]]]) -> None:
    """Have an object written as the last line of the command, however it ends; nothing where no JSON is asked for."""
    if isinstance(sys.stderr, _Lines):
        sys.stderr.last = last


@contextmanager
def logged() -> Iterator[None]:
    """While a command runs, write JSON if the environment asks for it, or once `--log-json` does."""
    before = sys.stderr
    if logs_json():
        _begin()
    try:
        yield
    finally:
        if isinstance(sys.stderr, _Lines) and sys.stderr is not before:
            sys.stderr.end()


def _begin() -> None:
    """Write JSON from now on."""
    if sys.stderr is not None and not is_json():
        _Lines(sys.stderr).begin()


def _ask(_: click.Context, __: click.Parameter, value: bool) -> None:
    """Begin where the option stands."""
    if value:
        _begin()


log_json = click.option(
    "--log-json",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_ask,
    help="Write messages, warnings and progress as JSON, an object a line.",
)
