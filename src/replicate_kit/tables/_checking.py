"""Refuse, before anything is spent, an `input=` that cannot be meant as it is written."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

from replicate_kit.errors import InputError
from replicate_kit.tables._markers import inner, is_bound

__all__ = ["check_constants", "check_kind", "texts_with_columns"]

_OF_COLUMNS = frozenset(
    {"pandas", "polars", "pyarrow"}
)  # what these packages have is columns, and no constant

_EXPRESSIONS = frozenset({("polars", "Expr"), ("pandas", "Expression")})  # what pl.col and pd.col give


def check_kind(input: object) -> None:
    """Refuse an `input` that is no mapping, and columns of data in it; raises `InputError`."""
    if input is None:
        return
    if not isinstance(input, Mapping):
        raise InputError(
            f"input= names what fills the model's inputs, as in {{'prompt': col('title')}}, and is not {input!r:.60}. "
            "Nothing was created."
        )
    for name, value in input.items():
        _check_value(name, value)


def _check_value(name: object, value: object) -> None:
    """Refuse a Series in place of the name of a column: it would be sent whole, with every row."""
    library = type(value).__module__.partition(".")[0]
    if (library, type(value).__name__) in _EXPRESSIONS:
        raise InputError(
            f"{name!r} is filled with an expression of {library}, which is not evaluated in input=. Write the name of "
            f"a column with replicate_kit's own col: {{{name!r}: replicate_kit.col('…')}}. Make a column of the "
            "expression before, if it is more than one. Nothing was created."
        )
    if _is_column(value):
        column = getattr(value, "name", None)
        raise InputError(
            f"{name!r} is filled with a {type(value).__name__}, which every row would send whole. Write the name of "
            f"its column: {{{name!r}: col({'…' if column is None else column!r})}}. Nothing was created."
        )
    for each in inner(value):
        _check_value(name, each)


def _is_column(value: object) -> bool:
    """Whether a value is a column, or a whole table."""
    is_of_columns = type(value).__module__.partition(".")[0] in _OF_COLUMNS
    return is_of_columns and hasattr(value, "__len__") and hasattr(value, "__getitem__")


def check_constants(input: Mapping[str, Any], columns: Sequence[Hashable], *, dedupe: bool) -> None:
    """Refuse texts that were meant as templates, and inputs that are alike in all rows; raises `InputError`."""
    for name, text, column in texts_with_columns(input, columns):
        raise InputError(_is_template(name, text, column))
    if columns and dedupe and not any(map(is_bound, input.values())):
        raise InputError(_all_alike(input, columns))


def texts_with_columns(
    input: Mapping[str, Any], columns: Sequence[Hashable]
) -> Iterator[tuple[str, str, Hashable]]:
    """Find constants with a column in braces, which would be the same text in every row: the name of the input, the
    text, at any depth, and the column.
    """
    for name, value in input.items():
        for text in _texts(value):
            for column in columns:
                if f"{{{column}}}" in text:
                    yield name, text, column


def _texts(value: Any) -> Iterator[str]:
    """Find the texts in a value, inside of lists and dicts too."""
    if isinstance(value, str):
        yield value
    for each in inner(value):
        yield from _texts(each)


def _is_template(name: str, text: str, column: Hashable) -> str:
    """Say how a column gets into a text."""
    return (
        f"{name!r} would be {text!r:.80} in every row, and nothing was created. To put columns into it, write "
        f"template({text!r:.80}); to send it as it is, a template with {{{{{column}}}}}."
    )


def _all_alike(input: Mapping[str, Any], columns: Sequence[Hashable]) -> str:
    """Say that no column is used, and how one is."""
    meant = [(name, value) for name, value in input.items() if isinstance(value, str) and value in columns]
    name, column = meant[0] if meant else ("prompt", "…")
    return (
        "Nothing in input= is made of a column, so that all rows would be the same prediction, and nothing was "
        f"created. To fill an input with a column, write {{{name!r}: col({column!r})}}: columns fill inputs by their "
        "names only where input= is left out. To have samples of one input, fill another one, such as a seed, with a "
        "column, or pass dedupe=False where that is an option."
    )
