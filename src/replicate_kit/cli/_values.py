"""NAME=VALUE on the command line -> a model's input, by the model's own schema. No network."""

from __future__ import annotations

import json
import re
import stat
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from replicate_kit._formats.redacting import HIDDEN_INPUT, is_secret_input
from replicate_kit.cli._encoding import as_path, as_typed_text

if TYPE_CHECKING:
    from replicate_kit.schema import ModelSchema

__all__ = ["convert", "loads", "read_input", "read_json", "read_standard"]

_TRUE, _FALSE = frozenset({"true", "yes", "1", "on"}), frozenset({"false", "no", "0", "off"})


def read_input(
    pairs: Iterable[str],
    schema: ModelSchema | None = None,
    given: Mapping[str, Any] | None = None,
    fill: Callable[[Any], Any] = lambda value: value,
) -> dict[str, Any]:
    """Make an input of `NAME=VALUE`, `NAME=@FILE` and `NAME:=JSON`, over what is `given`.

    Values are converted to the type that the schema names; a name that comes twice makes a list. `fill` is called
    with what was typed for a value, and gives what stands for it; it never sees what is in files. Raises
    `click.UsageError` for what is none of the three.

    >>> from replicate_kit.schema import ModelSchema
    >>> properties = {"prompt": {"type": "string"}, "steps": {"type": "integer"}}
    >>> schema = ModelSchema({"components": {"schemas": {"Input": {"properties": properties}}}})
    >>> read_input(["prompt=42", "steps=4", "flags:=[true]"], schema)
    {'prompt': '42', 'steps': 4, 'flags': [True]}
    """
    found: dict[str, list[Any]] = {}
    for pair in pairs:
        name, value = _read_pair(pair, schema, fill)
        found.setdefault(name, []).append(value)
    lists = {name for name in found if _property(schema, name).get("type") == "array"}
    return {**(given or {}), **{name: _one_or_list(name, each, lists) for name, each in found.items()}}


def _read_pair(pair: str, schema: ModelSchema | None, fill: Callable[[Any], Any]) -> tuple[str, Any]:
    """Read one argument."""
    name, equals, text = as_typed_text(pair).partition("=")
    if not equals or not name.strip(":"):
        raise click.UsageError(
            f'{pair!r} is not an input. Write NAME=VALUE, such as prompt="a wombat", NAME=@FILE or NAME:=JSON.'
        )
    if name.endswith(":"):
        # No JSON begins so, but a template that stands for a value of any type.
        return name[:-1], fill(text if text.startswith("{{") else _json(name[:-1], text, schema))
    if text.startswith("@@"):
        return name, fill(text[1:])
    if text.startswith("@"):
        return name, _file(name, text[1:], schema)
    value = fill(text)
    return name, convert(value, _property(schema, name)) if isinstance(value, str) else value


def _one_or_list(name: str, values: list[Any], lists: set[str]) -> Any:
    """Take the one value, or the list that a repeated name makes."""
    if name in lists:
        return [item for each in values for item in (each if isinstance(each, list) else [each])]
    if len(values) > 1:
        raise click.UsageError(f"{name!r} is given {len(values)} times, and the model takes one.")
    return values[0]


def convert(text: str, schema: Mapping[str, Any]) -> Any:
    """Make the type that a schema names of a text; what does not fit stays text, for the check to explain.

    >>> convert("0.5", {"type": "number"}), convert("yes", {"type": "boolean"}), convert("a", {"type": "integer"})
    (0.5, True, 'a')
    """
    kind = schema.get("type")
    if kind == "boolean":
        lowered = text.lower()
        return True if lowered in _TRUE else False if lowered in _FALSE else text
    if kind == "array" and not text.lstrip().startswith("["):
        return convert(text, schema.get("items", {}))
    if kind in ("integer", "number", "array", "object"):
        return _number(text) if kind in ("integer", "number") else _loads(text)
    return text


def _number(text: str) -> Any:
    """Read a number as JSON and spreadsheets write it."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _loads(text: str) -> Any:
    """Read JSON, or leave the text."""
    try:
        return loads(text)
    except ValueError:
        return text


def loads(text: str | bytes) -> Any:
    """Read JSON. Raises `ValueError` also for what Python's reader fails at otherwise, or takes one part of.

    >>> loads('{"a": 1, "a": 2}')
    Traceback (most recent call last):
    ValueError: the name 'a' comes twice in one object; keep one of them
    """
    try:
        return json.loads(text, object_pairs_hook=_object)
    except UnicodeDecodeError:
        raise ValueError("it is not in UTF-8") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError as error:
        if "set_int_max_str_digits" in str(error):
            raise ValueError("a number has too many digits; write it as a text, in quotes") from None
        raise


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object, of which no name may be lost."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {twice!r} comes twice in one object; keep one of them")
    return found


def _json(name: str, text: str, schema: ModelSchema | None) -> Any:
    """Read the JSON of one input."""
    try:
        return loads(text)
    except ValueError as error:
        shown = HIDDEN_INPUT if _is_secret(name, schema) else f"{text!r:.80}"
        raise click.UsageError(
            f"{name}:={shown} is not JSON ({error}). Write {name}=… for plain text."
        ) from None


def _file(name: str, path: str, schema: ModelSchema | None) -> Any:
    """Take a file for an input that is one (or where nobody knows), and the text in it for any other."""
    if path == "-":
        if not (text := as_typed_text(sys.stdin.read()).removesuffix("\n")):
            raise click.UsageError(
                f"There is nothing in standard input for {name}. Write {name}= for no text."
            )
        return text
    try:
        found = _found_file(path)
    except ValueError as error:
        text = f"To send text that begins with @, write {name}=@@…"
        shown = HIDDEN_INPUT if _is_secret(name, schema) else f"{path!s:.120}"  # a password may begin with @
        raise click.UsageError(f"{name}=@{shown}: {error} {text}") from None
    is_file = schema is None or name in schema.file_inputs
    return found if is_file else convert(_text_in(found, name), _property(schema, name))


def _found_file(path: str) -> Path:
    """Find a file that was named after `@`. Raises `ValueError`, which says why it is none."""
    if not path:
        raise ValueError("no file is named. Write its path after the @.")
    if "\0" in path:
        raise ValueError("a NUL character can be in no file's name.")
    try:
        found = Path(as_path(path)).expanduser()
        if found.is_dir():
            raise ValueError("this is a folder. Name a file in it.")
        if not stat.S_ISREG(found.stat().st_mode):
            raise ValueError("this is a device or a pipe, and not an ordinary file. @- reads standard input.")
    except FileNotFoundError:
        raise ValueError("there is no such file.") from None
    except RuntimeError:
        raise ValueError("there is no such user, whose home folder it could be in.") from None
    except OSError as error:
        raise ValueError(f"the file cannot be read ({error.strerror or error}).") from None
    return found


def _text_in(path: Path, name: str) -> str:
    """Read the text in a file, for an input that is no file."""
    try:
        return path.read_text("utf-8").removesuffix("\n")
    except ValueError:
        raise click.UsageError(
            f"{name}=@{path}: {name} takes text, and this file is no text in UTF-8. Name a file of text."
        ) from None
    except OSError as error:
        raise click.UsageError(
            f"{name}=@{path}: the file cannot be read ({error.strerror or error})."
        ) from None


def _is_secret(name: str, schema: ModelSchema | None) -> bool:
    """Whether what was typed for an input is not to be shown."""
    return is_secret_input(name) or (schema is not None and name in schema.secret_inputs)


def _property(schema: ModelSchema | None, name: str) -> Mapping[str, Any]:
    """What the schema says of one input."""
    return schema.properties.get(name, {}) if schema else {}


def read_json(text: str | None, option: str = "--input") -> dict[str, Any]:
    """Read the JSON object that an option was given: JSON, `@FILE` that holds it, or `-` for standard input."""
    if text is None:
        return {}
    source = _source(text, option)
    try:
        found = loads(source)
    except ValueError as error:
        raise click.UsageError(f"{option} is not JSON: {error}.{_json_advice(text, source)}") from None
    if not isinstance(found, dict):
        raise click.UsageError(f'{option} must be a JSON object, such as \'{{"name": "value"}}\'.')
    return found


def _json_advice(text: str, source: str | bytes) -> str:
    """Say how JSON comes to an option, as a sentence after others."""
    if not source.strip():
        what = (
            "standard input"
            if text == "-"
            else f"the file {text[1:]}"
            if text.startswith("@")
            else "the text"
        )
        return f" There is nothing in {what}."
    if text == "-" or text.startswith("@"):
        return ""
    if re.match(r"[\w-]+=", text):
        return " An input by its name is an argument of its own, without --input: NAME=VALUE."
    return ' Write it in quotes, such as \'{"name": "value"}\', or name a file that holds it: @FILE.'


def _source(text: str, option: str) -> str | bytes:
    """Find the JSON that an option was given."""
    if text.startswith("@"):
        try:
            return _found_file(text[1:]).read_bytes()
        except ValueError as error:
            raise click.UsageError(f"{option} {text!r:.120}: {error}") from None
        except OSError as error:
            raise click.UsageError(
                f"{option} {text}: the file cannot be read ({error.strerror or error})."
            ) from None
    return read_standard() if text == "-" else as_typed_text(text)


def read_standard() -> str | bytes:
    """Read all of standard input as JSON has it: bytes are UTF-8, whatever the terminal has."""
    given: bytes | str = sys.stdin.buffer.read() if hasattr(sys.stdin, "buffer") else sys.stdin.read()
    return given
