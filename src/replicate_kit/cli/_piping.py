"""What another command pipes in: the prediction that templates such as `{{.output[0]}}` are filled from, or inputs."""

from __future__ import annotations

import itertools
import os
import re
import select
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from replicate_kit.cli._cells import as_json
from replicate_kit.cli._values import loads, read_standard

if TYPE_CHECKING:
    from replicate_kit.schema import ModelSchema

__all__ = ["filled", "has_templates", "piped_input", "piped_prediction"]

_PATIENCE = 3.0  # seconds in which the first byte must come where nothing says that anything will
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


def piped_input(inputs: Sequence[str], schema: ModelSchema | None) -> dict[str, Any]:
    """Read the JSON object that was piped in as inputs; nothing where the command line has all that the model needs.

    What stands in standard input may belong to somebody else, such as the shell's `while read` that a command runs in,
    or may never come. So it is read only where inputs are missing, from a file, or from a pipe that has something soon.
    """
    names = {each.partition("=")[0].removesuffix(":") for each in inputs}
    complete = bool(names) and names.issuperset(() if schema is None else schema.required)
    if complete or any(each.endswith("=@-") for each in inputs) or not _is_piped():
        return {}
    text = read_standard()
    try:
        found = loads(text) if text.strip() else {}
    except ValueError as error:
        found = error
    if not isinstance(found, dict):
        why = f" ({found})" if isinstance(found, ValueError) else ""
        raise click.UsageError(
            f'What is piped in is no JSON object{why}. Pipe one such as {{"prompt": "a wombat"}}, or write the '
            "inputs as NAME=VALUE. `</dev/null` after the command keeps standard input from it."
        )
    if _is_prediction(found):
        raise click.UsageError(
            'A prediction is piped in, and no input is filled from it. Write one such as image="{{.output[0]}}".'
        )
    return found


def _is_piped() -> bool:
    """Whether there is something to read; nothing waits for long for a pipe that nobody writes to."""
    if sys.stdin is None:
        return False
    try:
        number = sys.stdin.fileno()
        mode = os.fstat(number).st_mode
    except (OSError, ValueError):  # a stream in memory
        return not sys.stdin.isatty()
    if not stat.S_ISFIFO(mode) or os.name == "nt":
        return stat.S_ISREG(mode)
    if select.select([number], [], [], _PATIENCE)[0]:
        return True
    click.echo(
        "Nothing comes from standard input, so it was not read. To wait for it, pass --input -", err=True
    )
    return False
