"""Evaluate what stands in `input=` over a table: one list of Python values for each input."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from string import Formatter
from typing import Any, TypeAlias

from replicate_kit._formats.wording import nothing_created, shown_label
from replicate_kit.errors import InputError
from replicate_kit.tables._columns import Cells, Columns, OneColumn
from replicate_kit.tables._markers import Column, Template, as_cell, as_text, is_function

__all__ = ["LEFT_OUT", "Table", "evaluate", "on_row"]

Table: TypeAlias = Columns | OneColumn

LEFT_OUT: Any = object()
"""Stands where an optional value is null."""


def evaluate(value: Any, table: Table, todo: Sequence[bool]) -> Cells:
    """Give the cells that a value in `input=` makes of a table.

    Functions and templates are evaluated where `todo` is true. Raises `InputError` for a column that is not
    there, and for a function or a template that fails.
    """
    match value:
        case Column():
            return _optional(_column(value, table), value.optional)
        case Template():
            return _optional(_template(value, table, todo), value.optional)
        case Mapping():
            return _gathered(value, table, todo)
        case list() | tuple():
            together = _gathered(dict(enumerate(value)), table, todo)
            return Cells([list(each.values()) for each in together.values], together.null)
        case _ if is_function(value):
            return _called(value, table, todo)
        case _:
            return Cells([value] * len(todo), [False] * len(todo))


def _column(column: Column, table: Table) -> Cells:
    """Read a column; cells that are paths become such, for which the client sends the file."""
    cells = table.cells(column.name)
    if not column.path:
        return cells
    return Cells([_path(each) for each in cells.values], cells.null)


def _path(value: Any) -> Any:
    """Make a path of a text, unless it is an address."""
    is_path = isinstance(value, str) and "://" not in value and value[:5].lower() != "data:"
    return Path(value) if is_path else value


def _template(template: Template, table: Table, todo: Sequence[bool]) -> Cells:
    """Fill in the columns that a template names."""
    parts = template.parts
    try:
        read = [table.cells(name) for name in template.fields]
    except InputError as error:
        raise template.refused(error, table.names) from None
    null = _any_null([each.null for each in read], len(todo))
    rows = zip(*(each.values for each in read), strict=True) if read else iter([()] * len(todo))
    texts = [
        on_row(lambda cells: _formatted(parts, cells), cells, table, position)
        if wanted and not missing
        else None
        for position, (cells, wanted, missing) in enumerate(zip(rows, todo, null, strict=True))
    ]
    return Cells(texts, null)


def _formatted(parts: Sequence[tuple[str, str | None, str, str | None]], cells: Sequence[Any]) -> str:
    """Format one row, as `str.format` would, but for whole numbers."""
    values, text = iter(cells), ""
    for literal, name, spec, how in parts:
        text += literal
        if name is not None:
            value = next(values) if how else as_cell(next(values), name)
            text += as_text(value) if not spec and not how else _as_told(value, name, spec, how)
    return text


def _as_told(value: Any, name: str, spec: str, how: str | None) -> str:
    """Write a cell by the format of its field; raises `InputError` for one that does not fit it."""
    try:
        return format(Formatter().convert_field(value, how or None), spec)
    except (TypeError, ValueError) as error:
        field = f"{{{name}{'!' + how if how else ''}{':' + spec if spec else ''}}}"
        raise InputError(f"the cell {value!r:.80} does not fit the format of {field}: {error}") from error


def _called(function: Callable[[Any], Any], table: Table, todo: Sequence[bool]) -> Cells:
    """Call a function of the row where it is wanted; what it gives is null where it says so."""
    given = [
        on_row(function, row, table, position) if wanted else None
        for position, (row, wanted) in enumerate(zip(table.rows(), todo, strict=True))
    ]
    return Cells.of(given)


def on_row(function: Callable[[Any], Any], row: Any, table: Table, position: int) -> Any:
    """Call a function, and name the row in which it failed."""
    try:
        return function(row)
    except Exception as error:
        raise _of_row(error, table, position) from error


def _of_row(error: Exception, table: Table, position: int) -> InputError:
    """Make the error of a row whose input could not be made."""
    said = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
    return InputError(
        f"The input of row {shown_label(table.label(position))} could not be made ({said})."
        f"{nothing_created(said)} Correct the row, or what makes its input."
    )


def _gathered(parts: Mapping[Any, Any], table: Table, todo: Sequence[bool]) -> Cells:
    """Evaluate each part, and put those of a row together; a null part makes the whole null."""
    read = {key: evaluate(each, table, todo) for key, each in parts.items()}
    rows = zip(*(each.values for each in read.values()), strict=True)
    together = [
        {key: each for key, each in zip(read, row, strict=True) if each is not LEFT_OUT} for row in rows
    ]
    return Cells(together, _any_null([each.null for each in read.values()], len(todo)))


def _any_null(masks: Sequence[Sequence[bool]], count: int) -> Sequence[bool]:
    """Join masks of `count` rows."""
    if len(masks) == 1:
        return masks[0]
    return list(map(any, zip(*masks, strict=True))) if masks else [False] * count


def _optional(cells: Cells, optional: bool) -> Cells:
    """Leave nulls out where that was asked for."""
    if not optional:
        return cells
    values = [LEFT_OUT if null else each for each, null in zip(cells.values, cells.null, strict=True)]
    return Cells(values, [False] * len(values))
