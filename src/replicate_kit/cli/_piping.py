"""What another command pipes in: the prediction that templates such as `{{.output[0]}}` are filled from, or inputs."""

from __future__ import annotations

import codecs
import contextlib
import itertools
import os
import re
import select
import stat
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from replicate_kit.cli._cells import as_json
from replicate_kit.cli._values import loads, read_standard

__all__ = ["filled", "has_templates", "piped_input", "piped_prediction"]

_ADVICE = "`</dev/null` after the command keeps standard input from it."
_LOOKED_AT = 4096  # bytes in which a JSON object begins; a pipe holds as many everywhere
_PATIENCE = 3.0  # seconds of waiting that need no explanation
_NOTHING: dict[str, Any] = {}
_SHOWN = 20  # paths that an error names
_TEMPLATE = re.compile(r"\{\{\s*(\.[^{}]*?)\s*\}\}")
_PATH = re.compile(r"(\.[A-Za-z_][\w-]*)(\.[\w-]+|\[-?\d+\])*")
_STEP = re.compile(r"\.([\w-]+)|\[(-?\d+)\]")


def has_templates(values: Sequence[str]) -> bool:
    """Whether there is a template in one of some texts.

    >>> has_templates(["image={{.output[0]}}"]), has_templates(["prompt={animal}"])
    (True, False)
    """
    return any(_TEMPLATE.search(each) for each in values)


def filled(value: Any, prediction: Mapping[str, Any]) -> Any:
    """Put what a prediction has in the place of templates: a value that is one template becomes what it names.

    Raises `click.UsageError` for what it does not have.

    >>> filled(["{{.output[0]}}", "n is {{.n}}", "{{.n}}"], {"output": ["a"], "n": 2})
    ['a', 'n is 2', 2]
    """
    if isinstance(value, str):
        whole = _TEMPLATE.fullmatch(value)
        if whole is not None:
            return _found(whole[1], prediction)
        return _TEMPLATE.sub(lambda found: _as_text(_found(found[1], prediction)), value)
    if isinstance(value, dict):
        return {name: filled(each, prediction) for name, each in value.items()}
    return [filled(each, prediction) for each in value] if isinstance(value, list) else value


def _as_text(value: Any) -> str:
    """Write what stands inside of other text."""
    return value if isinstance(value, str) else as_json(value)


def _found(path: str, prediction: Mapping[str, Any]) -> Any:
    """Find what a path names."""
    if not _PATH.fullmatch(path):
        raise click.UsageError(
            f"{{{{{path}}}}} is no template. Write a path in the prediction, such as {{{{.output}}}} or "
            "{{.output[0]}}. To send the text as it is, put it into a file: NAME=@FILE."
        )
    value: Any = prediction
    for name, index in _STEP.findall(path):
        inner = isinstance(value, list) if index else isinstance(value, Mapping)
        try:
            value = value[int(index) if index else name] if inner else _NOTHING[path]
        except (KeyError, IndexError):
            whole = "" if "id" in prediction else ". `run --json` prints a whole prediction"
            raise click.UsageError(
                f"The prediction on standard input has no {path}. It has: {_paths_of(prediction)}{whole}."
            ) from None
    return value


def _paths_of(prediction: Mapping[str, Any]) -> str:
    """Name the paths that there are, those of the output first."""
    paths = sorted(_paths(prediction), key=lambda path: not path.startswith(".output"))
    return ", ".join(paths[:_SHOWN]) + (", …" if len(paths) > _SHOWN else "")


def _paths(value: Any, path: str = "") -> Iterator[str]:
    """Name the paths in a value; of a list, the first few."""
    if path:
        yield path
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _paths(each, f"{path}.{name}")
    for number, each in enumerate(itertools.islice(value, 3) if isinstance(value, list) else ()):
        yield from _paths(each, f"{path}[{number}]")


def piped_prediction() -> Mapping[str, Any]:
    """Read from standard input the prediction that templates name parts of.

    Other JSON is an output alone, of a prediction that has nothing else. Raises `click.UsageError` for what templates
    cannot be filled from: nothing is sent then.
    """
    where = (
        "Templates such as {{.output}} are filled from what is piped in, as in: replicate-kit run … --json | "
    )
    where += 'replicate-kit run … image="{{.output[0]}}". To send the text as it is, put it into a file: NAME=@FILE.'
    if sys.stdin is None or sys.stdin.isatty():
        raise click.UsageError(f"Nothing is piped in. {where}")
    text = read_standard()
    if not text.strip():
        raise click.UsageError(f"There is nothing in standard input: did the command before it fail? {where}")
    try:
        found = loads(text)
    except ValueError as error:
        raise click.UsageError(
            f"What is piped in is not JSON ({error}). Add --json to the command before it."
        ) from None
    if isinstance(found, dict) and found.keys() == {"error"} and isinstance(found["error"], dict):
        raise click.UsageError(f"The command before it failed: {found['error'].get('message', '')}")
    prediction = found if _is_prediction(found) else {"output": found}
    _check_output(prediction)
    return prediction


def _is_prediction(found: Any) -> bool:
    """Whether something is a prediction, or a training, as the API gives them."""
    return isinstance(found, dict) and all(
        isinstance(found.get(name), str) for name in ("id", "status", "created_at")
    )


def _check_output(prediction: Mapping[str, Any]) -> None:
    """Refuse a prediction without an output."""
    id, status = prediction.get("id"), prediction.get("status", "succeeded")
    if status != "succeeded":
        raise click.UsageError(
            f"The prediction {id} on standard input is {status!r}, and has no output to go on with. "
            f"`replicate-kit predictions wait {id} --json` prints it once it has ended."
        )
    if prediction.get("output") is None:
        raise click.UsageError(
            "The prediction on standard input has no output. Those of the API lose it after an hour."
        )


def piped_input(inputs: Sequence[str]) -> dict[str, Any]:
    """Read the JSON object that was piped in, as the whole input where none is typed; else leave it where it is.

    A pipe is waited for until it ends. A file of which something was read already belongs to the shell's loop or script
    that the command runs in, and is left to it. Raises `click.UsageError` where nobody knows what was meant: nothing is
    sent then.
    """
    standard = _standard()
    if standard is None or any(each.endswith("=@-") for each in inputs):
        return {}
    number, mode = standard
    beginning = _beginning(number, mode, waits=not inputs)
    if inputs:
        _check_is_left(beginning)
        return {}
    # What is no object belongs to a loop, perhaps, which then keeps its lines.
    seen = number is None or (beginning and beginning.strip() and not _begins_object(beginning))
    with _telling():
        text = beginning if seen and beginning is not None else read_standard()
    if not text.strip():
        if number is None:
            return {}
        raise click.UsageError(
            f"There is nothing in standard input: did the command before it fail? {_ADVICE}"
        )
    try:
        found = loads(text)
    except ValueError as error:
        found = error
    if not isinstance(found, dict):
        why = f" ({found})" if isinstance(found, ValueError) else ""
        raise click.UsageError(
            f'What is piped in is no JSON object{why}. Pipe one such as {{"prompt": "a wombat"}}, or write the '
            f"inputs as NAME=VALUE. {_ADVICE}"
        )
    if _is_prediction(found):
        raise click.UsageError(
            'A prediction is piped in, and no input is filled from it. Write one such as image="{{.output[0]}}".'
        )
    return found


def _standard() -> tuple[int | None, int] | None:
    """Give the number and mode of a standard input that may hold an input for us; None where there is none.

    A stream in memory has no number, and is taken for a file.
    """
    if sys.stdin is None or sys.stdin.isatty():
        return None
    try:
        number = sys.stdin.fileno()
        mode = os.fstat(number).st_mode
    except (OSError, ValueError):
        return None, stat.S_IFREG
    if stat.S_ISREG(mode):
        return (number, mode) if os.lseek(number, 0, os.SEEK_CUR) == 0 else None
    return (number, mode) if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) else None


def _check_is_left(beginning: bytes | None) -> None:
    """Refuse to leave alone what may be an input: JSON, or what cannot be looked at."""
    if beginning is None or _begins_object(beginning):
        what = "a JSON object" if beginning else "something"
        raise click.UsageError(
            f"There is {what} in standard input, which is not read where inputs are typed. `--input -` takes it as "
            "input, below what is typed; a template such as {{.output}} takes a part of it. " + _ADVICE
        )


def _begins_object(text: bytes) -> bool:
    """Whether a JSON object begins a text."""
    return text.removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"{")


def _beginning(number: int | None, mode: int, *, waits: bool) -> bytes | None:
    """Look at what standard input begins with, and leave it there; None for what is there and cannot be seen.

    Programs that start others may give them a pipe into which nothing ever comes. That is only waited for to the end
    where it would be the input.
    """
    if number is None:
        text = read_standard()
        return text.encode() if isinstance(text, str) else text
    if stat.S_ISREG(mode):
        found = os.read(number, _LOOKED_AT)
        os.lseek(number, 0, os.SEEK_SET)
        return found
    # A socket comes from a program that started this one, as Node's do, and most write nothing.
    if os.name == "nt" or not stat.S_ISFIFO(mode):
        return b""
    if waits:
        with _telling():
            select.select([number], [], [])
    elif not select.select([number], [], [], _PATIENCE)[0]:
        click.echo(f"Nothing has come from standard input, so it is left alone. {_ADVICE}", err=True)
        return b""
    return _in_pipe(number)


def _in_pipe(number: int) -> bytes | None:
    """Look at what is in a pipe, as `_beginning` does."""
    import ctypes
    import fcntl
    import termios

    if not any(fcntl.ioctl(number, termios.FIONREAD, bytes(4))):
        return b""
    if not sys.platform.startswith("linux"):
        return None
    # tee(2) copies from one pipe to another, and takes nothing away. Python has no name for it.
    ours, theirs = os.pipe()
    try:
        count = ctypes.CDLL(None).tee(number, theirs, ctypes.c_size_t(_LOOKED_AT), 0)
        return os.read(ours, count) if count > 0 else None
    finally:
        os.close(ours)
        os.close(theirs)


@contextlib.contextmanager
def _telling() -> Iterator[None]:
    """Say what is waited for, once that takes a while."""
    text = f"Waiting for what is piped in. {_ADVICE}"
    timer = threading.Timer(_PATIENCE, click.echo, (text,), {"err": True})
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
