"""Columns of a table -> inputs of a model, as `replicate-kit map` is told. No network."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from replicate_kit._formats.wording import brace_advice, did_you_mean
from replicate_kit.cli._cells import is_empty
from replicate_kit.cli._encoding import as_path, as_typed_text
from replicate_kit.cli._tables.tables import Row
from replicate_kit.cli._values import convert
from replicate_kit.errors import InputError

if TYPE_CHECKING:
    from replicate_kit.schema import ModelSchema

__all__ = ["Filling", "check_names", "read_filling"]

Fill = Callable[[Row], Any]


@dataclass(frozen=True)
class Filling:
    """What fills each input: `fills` from the row, `constants` the same for all. `used` are the columns that must
    not be empty, `optional` the inputs that are left out where their column is.

    >>> from replicate_kit.cli._tables.filling import read_filling
    >>> filling = read_filling(["prompt={title} by {artist}"], {"seed": 1}, ["title", "artist"])
    >>> filling({"title": "Sea", "artist": "Turner"})
    {'prompt': 'Sea by Turner', 'seed': 1}
    >>> filling({"title": "Sea", "artist": None}) is None
    True
    """

    fills: Mapping[str, Fill] = field(default_factory=dict)
    constants: Mapping[str, Any] = field(default_factory=dict)
    used: tuple[str, ...] = ()
    optional: frozenset[str] = frozenset()

    def __call__(self, row: Row) -> dict[str, Any] | None:
        """Make the input for a row; None where a cell that it is made of is empty: such rows are skipped."""
        if any(is_empty(row.get(name)) for name in self.used):
            return None
        left_out = {name for name in self.optional if is_empty(row.get(name))}
        filled = {name: fill(row) for name, fill in self.fills.items() if name not in left_out}
        return {**filled, **self.constants}


def read_filling(
    pairs: Sequence[str],
    constants: Mapping[str, Any],
    columns: Sequence[str],
    schema: ModelSchema | None = None,
    folder: Path = Path(),
) -> Filling:
    """Read `INPUT=COLUMN` and `INPUT=TEMPLATE with {columns}`; without any, columns fill inputs of their name,
    and an empty cell leaves out an input that the model does not require.

    Cells are converted to the type that the schema names; a relative path that fills a file input is meant
    from `folder`. Raises `click.UsageError` for a column that is not there, and for an input that is filled twice.
    """
    known = schema.properties if schema else {}
    named = [name for name in columns if name in known and name not in constants]
    chosen = _chosen(pairs, constants) or {name: name for name in named}
    if not chosen:
        raise click.UsageError(_nothing_fits(columns, known))
    optional = frozenset() if pairs or schema is None else frozenset(named) - set(schema.required)
    fills, used = {}, []
    for name, source in chosen.items():
        fill, names = _fill(source, columns)
        used += [] if name in optional else names
        fills[name] = _typed(fill, name, schema, folder)
    return Filling(fills, constants, tuple(dict.fromkeys(used)), optional)


def check_names(names: Iterable[str], schema: ModelSchema | None) -> None:
    """Refuse inputs that the model does not have, which would fail in every row."""
    known = list(schema.properties) if schema else []
    unknown = [name for name in names if name not in known] if known else []
    if unknown:
        raise click.UsageError(
            f"The model has no input {unknown[0]!r}.{did_you_mean(unknown[0], known)} "
            f"Its inputs are: {', '.join(known)}. To send it all the same: --no-check-input."
        )


def _chosen(pairs: Sequence[str], constants: Mapping[str, Any]) -> dict[str, str]:
    """Read the arguments: what fills which input, each of them once."""
    chosen: dict[str, str] = {}
    for name, source in map(_pair, pairs):
        if name in chosen or name in constants:
            other = "--set" if name in constants else "another --input"
            raise click.UsageError(
                f"{name!r} is filled by --input {name}={source} and by {other}. Leave one out, or write a text with "
                f"several {{columns}} in it."
            )
        chosen[name] = source
    return chosen


def _pair(pair: str) -> tuple[str, str]:
    """Read one argument."""
    name, equals, source = as_typed_text(pair).partition("=")
    if not equals or not name or not source:
        raise click.UsageError(f"--input {pair!r}: write INPUT=COLUMN, or INPUT='a text with {{columns}}'.")
    return name, source


def _fill(source: str, columns: Sequence[str]) -> tuple[Fill, list[str]]:
    """Make what reads a column, or fills a template; also name the columns in it."""
    if "{" not in source and "}" not in source:
        _check(source, columns)
        return lambda row: row[source], [source]
    try:
        parts = list(string.Formatter().parse(source))
    except ValueError as error:
        raise click.UsageError(
            f"The template {source!r} cannot be read: {error}.{brace_advice(source, columns)}"
        ) from None
    names = [name for _, name, _, _ in parts if name is not None]
    if any(not name for name in names) and "" not in columns:
        raise click.UsageError(
            f"The template {source!r} has empty braces. Name a column in them, such as {{{_first(columns)}}}; braces "
            f"that are text are doubled: {{{{}}}}. The columns are: {', '.join(columns) or 'none'}."
        )
    for name in names:
        _check(name, columns, brace_advice(source, columns))
    # A column may be named as format() would take for an attribute or an index, so it is not asked to.
    return lambda row: "".join(text + _formatted(row, *field) for text, *field in parts), names


def _formatted(row: Row, name: str | None, spec: str | None, how: str | None) -> str:
    """Write the cell of one field. Raises `InputError` for a format that does not fit it."""
    if name is None:
        return ""
    if not spec and not how:
        return _text(row[name])
    try:
        return format(string.Formatter().convert_field(row[name], how), spec or "")
    except (TypeError, ValueError) as error:
        field = f"{{{name}{'!' + how if how else ''}{':' + spec if spec else ''}}}"
        raise InputError(
            f"The cell {row[name]!r} does not fit the format of {field}: {error}. Correct the template or the cell."
        ) from error


def _check(name: str, columns: Iterable[str], advice: str = "") -> None:
    """Refuse a column that is not there; `advice` follows."""
    known = list(columns)
    if name not in known:
        listed = ", ".join(known) or "none"
        raise click.UsageError(
            f"There is no column {name!r}.{did_you_mean(name, known)} The columns are: {listed}.{advice}"
        )


def _first(columns: Sequence[str]) -> str:
    """A column to show in an example."""
    return next(iter(columns), "column")


def _text(value: Any) -> str:
    """A cell within a text; whole numbers that a spreadsheet made fractional are whole again."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _typed(fill: Fill, name: str, schema: ModelSchema | None, folder: Path) -> Fill:
    """Convert what fills an input to what the model wants."""
    if schema is None:
        return fill
    if name in schema.file_inputs:
        return lambda row: _file(fill(row), folder)
    kind = schema.properties.get(name, {})
    return lambda row: _converted(fill(row), kind)


def _file(value: Any, folder: Path) -> Any:
    """Take a URL as it is, and a path from the table's folder; a list of either likewise."""
    if isinstance(value, list):
        return [_file(each, folder) for each in value]
    if not isinstance(value, str) or "://" in value or value[:5].lower() == "data:":
        return value
    return folder / Path(as_path(value)).expanduser()


def _converted(value: Any, kind: Mapping[str, Any]) -> Any:
    """Convert a cell: texts by the schema, numbers to text where the model wants one."""
    if isinstance(value, str):
        return convert(value, kind)
    if kind.get("type") == "string" and isinstance(value, int | float) and not isinstance(value, bool):
        return _text(value)
    if kind.get("type") == "integer" and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _separator_advice(columns: Sequence[str]) -> str:
    """Say what separates cells where the header has one column that looks like several; empty where it does not."""
    other = next((each for each in ";\t|," if len(columns) == 1 and each in columns[0]), None)
    if other is None:
        return ""
    return f" Its cells seem to be separated by {other!r}: save it with commas as .csv, or with tabs as .tsv."


def _nothing_fits(columns: Sequence[str], known: Mapping[str, Any]) -> str:
    """Say what to write where no column bears the name of an input."""
    inputs = f" The model's inputs are: {', '.join(known)}." if known else ""
    return (
        "No column has the name of an input. Say what fills what: --input INPUT=COLUMN."
        f"{inputs} The columns are: {', '.join(columns) or 'none'}.{_separator_advice(columns)}"
    )
