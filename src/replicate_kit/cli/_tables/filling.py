"""Columns of a table in a file → inputs of a model, as `replicate-kit map` is told. No network."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from replicate_kit._formats.wording import brace_advice, did_you_mean, shown_names
from replicate_kit.cli._encoding import as_path, as_typed_text
from replicate_kit.cli._tables.nested import find_paths, reached
from replicate_kit.cli._tables.tables import Row
from replicate_kit.cli._values import convert
from replicate_kit.errors import InputError
from replicate_kit.tables import Cells, Column, Columns, Template, col, template
from replicate_kit.tables._checking import texts_with_columns
from replicate_kit.tables._markers import as_text
from replicate_kit.tables._matching import whole
from replicate_kit.tables._rows import fill

if TYPE_CHECKING:
    from replicate_kit.schema import ModelSchema

__all__ = ["Filling", "UnknownColumns", "read_filling"]

_BATCH = 500  # rows that are filled at once; a cell may hold a picture


_IN_BRACES = re.compile(r"\{([^{}!:]+)")


def _no_rows() -> Generator[Row]:
    """Give no rows: those of a table that has no fields inside of its cells."""
    yield from ()


class UnknownColumns(click.UsageError):
    """Columns that are not there, or none of which has the name of an input."""


@dataclass(frozen=True)
class Filling:
    """What fills each input from `columns`: a column, a template, or a constant; `conversions` make of a cell what the
    model wants, and `paths` are columns that are fields inside of others.

    >>> from replicate_kit.cli._tables.filling import read_filling
    >>> filling = read_filling(["prompt={title} by {artist}"], {"seed": 1}, ["title", "artist"])
    >>> rows = [{"title": "Sea", "artist": "Turner"}, {"title": "Sea", "artist": None}]
    >>> [input for _, input in filling.over(rows)]
    [{'seed': 1, 'prompt': 'Sea by Turner'}, None]
    """

    columns: Sequence[str]
    input: Mapping[str, Any]
    conversions: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)
    paths: Sequence[str] = ()

    def over(self, rows: Iterable[Row]) -> Iterator[tuple[Row, dict[str, Any] | None]]:
        """Give each row with the input that it makes; None where a cell that it is made of is empty: such rows are
        skipped.

        Raises `InputError`, which names the row counted from 1, for a cell that does not fit.
        """
        remaining, before = iter(rows), 0
        while batch := list(islice(remaining, _BATCH)):
            try:
                yield from self._filled(batch, before)
            except InputError:  # one by one, so that all rows before the one that does not fit are given
                for position, row in enumerate(batch):
                    yield from self._filled([row], before + position)
            before += len(batch)

    def _filled(self, rows: Sequence[Row], before: int) -> list[tuple[Row, dict[str, Any] | None]]:
        """Fill some rows at once."""
        found = fill(self._columns(rows, before), self.input, self.conversions)
        inputs = dict(zip(found.positions, found, strict=True))
        return [(row, inputs.get(position)) for position, row in enumerate(rows)]

    def _columns(self, rows: Sequence[Row], before: int) -> Columns:
        """See some rows as columns; `before` are those that came before."""
        names, own = [*self.columns, *self.paths], len(self.columns)
        return Columns(
            names,
            lambda number: Cells.of(
                [(dict.get if number < own else reached)(row, names[number]) for row in rows]
            ),
            len(rows),
            lambda position: before + position + 1,
        )


def read_filling(
    pairs: Sequence[str],
    constants: Mapping[str, Any],
    columns: Sequence[str],
    schema: ModelSchema | None = None,
    folder: Path = Path(),
    rows: Callable[[], Generator[Row]] = _no_rows,
) -> Filling:
    """Read `INPUT=COLUMN` and `INPUT=TEMPLATE with {columns}`; without any, columns fill inputs of their name,
    and an empty cell leaves out an input that the model does not require.

    Cells are converted to the type that the schema names; a relative path that fills a file input is meant
    from `folder`. What is no column may be a path to a field inside of one, in any of the `rows`.

    Raises `click.UsageError` for a column that is not there, and for an input that is filled twice.
    """
    known = schema.properties if schema else {}
    named = [name for name in columns if name in known and name not in constants]
    chosen = _chosen(pairs, constants) or {name: name for name in named}
    if not chosen:
        raise UnknownColumns(_nothing_fits(columns, known))
    optional = frozenset() if pairs or schema is None else frozenset(named) - set(schema.required)
    paths = find_paths(_named([*chosen.values(), *constants.values()]), columns, rows)
    names = [*columns, *paths]
    _check_constants(constants, names)
    fills = {name: _fill(source, names, optional=name in optional) for name, source in chosen.items()}
    return Filling(columns, {**constants, **fills}, _conversions(fills, schema, folder), paths)


def _named(sources: Iterable[Any]) -> Iterator[str]:
    """Name what texts may mean as columns: themselves, and what stands in braces."""
    for source in sources:
        if isinstance(source, str):
            yield from _IN_BRACES.findall(source) if "{" in source else (source,)


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


def _fill(source: str, columns: Sequence[str], *, optional: bool) -> Column | Template:
    """Read what fills an input: a column, or a text with columns in it."""
    if "{" not in source and "}" not in source:
        _check(source, columns)
        return col(source, optional=optional)
    text = template(source, optional=optional)
    try:
        names = text.fields
    except InputError as error:
        raise click.UsageError(
            f"The template {source!r} cannot be read: {error.__cause__}.{brace_advice(source, columns)}"
        ) from None
    if any(not name for name in names) and "" not in columns:
        raise click.UsageError(
            f"The template {source!r} has empty braces. Name a column in them, such as {{{_first(columns)}}}; braces "
            f"that are text are doubled: {{{{}}}}. The columns are: {shown_names(columns)}."
        )
    for name in names:
        _check(name, columns, brace_advice(source, columns))
    return text


def _check_constants(constants: Mapping[str, Any], columns: Sequence[str]) -> None:
    """Refuse a constant that was meant as a template: it would be sent in every row, braces and all."""
    for name, text, column in texts_with_columns(constants, columns):
        raise click.UsageError(
            f"--set {name}={text!r:.80} would be the same text in every row, braces and all. To put columns into it, "
            f"use --input {name}=… instead; to send it as it is, use that with {{{{{column}}}}}. With any --input, "
            "columns fill no inputs by their names: give each of those an --input, too."
        )


def _check(name: str, columns: Iterable[str], advice: str = "") -> None:
    """Refuse a column that is not there; `advice` follows."""
    known = list(columns)
    if name not in known:
        raise UnknownColumns(
            f"There is no column {name!r}.{did_you_mean(name, known)} The columns are: {shown_names(known)}.{advice}"
        )


def _first(columns: Sequence[str]) -> str:
    """A column to show in an example."""
    return next(iter(columns), "column")


def _conversions(
    names: Iterable[str], schema: ModelSchema | None, folder: Path
) -> dict[str, Callable[[Any], Any]]:
    """What cells become for the inputs that they fill: what the model wants."""
    if schema is None:
        return {}
    return {
        name: partial(_file, folder=folder)
        if name in schema.file_inputs
        else partial(_converted, kind=schema.properties.get(name, {}))
        for name in names
    }


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
        return as_text(value)
    return whole(value) if kind.get("type") == "integer" else value


def _separator_advice(columns: Sequence[str]) -> str:
    """Say what separates cells where the header has one column that looks like several; empty where it does not."""
    other = next((each for each in ";\t|," if len(columns) == 1 and each in columns[0]), None)
    if other is None:
        return ""
    return f" If its cells are separated by {other!r}, pass --delimiter '{other}'."


def _nothing_fits(columns: Sequence[str], known: Mapping[str, Any]) -> str:
    """Say what to write where no column bears the name of an input."""
    inputs = f" The model's inputs are: {', '.join(known)}." if known else ""
    return (
        "No column has the name of an input. Say what fills what: --input INPUT=COLUMN."
        f"{inputs} The columns are: {shown_names(columns)}.{_separator_advice(columns)}"
    )
