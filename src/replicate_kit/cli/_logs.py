"""Standard error as JSON, an object a line, for log collectors: `--log-json`, or `REPLICATE_KIT_LOG=json`."""

from __future__ import annotations

import codecs
import io
import itertools
import json
import logging
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TextIO

import click

from replicate_kit._formats.json_logs import JSONFormatter, json_line
from replicate_kit._runtime.foreign_code import described
from replicate_kit.config import logs_json

__all__ = ["at_end", "is_json", "log_json", "logged", "say"]

_LEVELS = {"Error": "error", "Usage": "error", "Traceback": "error", "Warning": "warning"}
"""The levels of texts that begin so; others tell how it goes."""
_LEVEL_OF = {0: "info", 3: "warning", 130: "warning", 143: "warning"}
"""The level of the last line by the exit code: rows that failed and signals are no errors of the command."""


class _Lines(io.TextIOBase):
    """Standard error that makes an object of each text that is written to it; it has the attributes of a stream."""

    def __init__(self, stream: TextIO) -> None:
        self.stream, self.buffer = stream, _Bytes(self)
        self.last: Callable[[], tuple[str, Mapping[str, Any]]] | None = None
        self._texts: dict[int, str] = {}  # of each thread, what it has not ended with a line
        self._lock = threading.RLock()
        self._handler = logging.StreamHandler(stream)
        self._handler.setFormatter(JSONFormatter())
        self._before: tuple[Any, Any] = (threading.excepthook, logging.Handler.handleError)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the stream."""
        return self.stream.encoding

    def writable(self) -> bool:
        """Whether it can be written to."""
        return True

    def write(self, text: str, /) -> int:
        """Take a text; what ends with its line is written."""
        thread = threading.get_ident()
        with self._lock:
            self._texts[thread] = self._texts.get(thread, "") + text
            if text.endswith("\n"):
                self._write(thread)
        return len(text)

    def flush(self) -> None:
        """Write what this thread has given."""
        with self._lock:
            self._write(threading.get_ident())

    def _write(self, thread: int) -> None:
        """Write what a thread has given."""
        if text := self._texts.pop(thread, "").strip():
            self.say(*_read(text))

    def say(self, level: str, fields: Mapping[str, Any]) -> None:
        """Write one object."""
        line = json_line(level, fields) + "\n"
        with self._lock:
            self.stream.write(line)
            self.stream.flush()

    def failed(self, message: str, error: BaseException | None, **fields: Any) -> None:
        """Write one object for what nobody has caught, with its traceback."""
        known = {"event": "error", "message": message, "kind": type(error).__name__, **fields}
        trace = traceback.format_exception(error) if error is not None else []
        self.say("error", {**known, "exception": "".join(trace).rstrip()})

    def _thread_failed(self, args: threading.ExceptHookArgs) -> None:
        """Write what has ended a thread, as `threading.excepthook` does."""
        if args.exc_type is not SystemExit:
            name = args.thread.name if args.thread is not None else None
            self.failed(f"A thread has failed: {_said(args.exc_value)}", args.exc_value, thread=name)

    def _handler_failed(self, record: logging.LogRecord) -> None:
        """Write what a handler of logs has raised, as `logging.Handler.handleError` does."""
        error = sys.exception()
        with suppress(OSError, ValueError):  # which may be why: nobody listens any more
            self.failed(f"A handler of logs has failed: {_said(error)}", error, logger=record.name)

    def begin(self) -> None:
        """Take the place of standard error, and have loggers and Python's warnings write objects, too."""
        sys.stderr = self
        threading.excepthook = self._thread_failed
        failed = self._handler_failed

        def handle_error(_: logging.Handler, record: logging.LogRecord) -> None:
            failed(record)

        ours: Any = handle_error  # mypy takes a method that is assigned to a class for one of each object
        logging.Handler.handleError = ours  # type: ignore[method-assign]
        logging.getLogger().addHandler(self._handler)
        logging.captureWarnings(True)

    def end(self, code: int) -> None:
        """Write what is to be last, and give standard error back."""
        with suppress(OSError, ValueError):  # where nobody listens any more
            for thread in list(self._texts):
                with self._lock:
                    self._write(thread)
            if self.last is not None:
                event, fields = self.last()
                self.say(_LEVEL_OF.get(code, "error"), {"event": event, **fields, "exit_code": code})
        threading.excepthook, logging.Handler.handleError = self._before  # type: ignore[method-assign]
        logging.captureWarnings(False)
        logging.getLogger().removeHandler(self._handler)
        sys.stderr = self.stream


class _Bytes(io.RawIOBase):
    """What takes bytes for `_Lines`, as `sys.stderr.buffer` does."""

    def __init__(self, lines: _Lines) -> None:
        self._lines = lines
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def writable(self) -> bool:
        """Whether it can be written to."""
        return True

    def write(self, data: Any, /) -> int:
        """Take bytes; what ends with its line is written."""
        self._lines.write(self._decoder.decode(bytes(data)))
        return len(data)

    def flush(self) -> None:
        """Write what was taken."""
        self._lines.flush()


def _said(error: BaseException | None) -> str:
    """Say the kind of an error and what it says."""
    return "it is not known why" if error is None else described(error)


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
    """Have an object written as the last line of the command, however it ends; nothing where no JSON is asked for.

    The exit code is added, by which the level goes.
    """
    if isinstance(sys.stderr, _Lines):
        sys.stderr.last = last


@contextmanager
def logged(arguments: Sequence[str]) -> Iterator[None]:
    """While a command runs, write JSON if the environment asks for it, or its arguments do.

    They are looked at before they are parsed, since that may end in an error.
    """
    asked = logs_json() or "--log-json" in itertools.takewhile(lambda each: each != "--", arguments)
    if not asked or sys.stderr is None or is_json():
        yield
        return
    lines, code = _Lines(sys.stderr), 0
    lines.begin()
    try:
        yield
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        raise
    except Exception as error:
        code = 1
        lines.failed(_said(error), error, exit_code=code)
        raise SystemExit(code) from error
    except BaseException:
        code = 1
        raise
    finally:
        lines.end(code)


log_json = click.option(
    "--log-json",
    is_flag=True,
    expose_value=False,
    help="Write messages, warnings and progress as JSON, an object a line.",
)
