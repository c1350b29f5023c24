"""Tables and series of pandas, polars and Arrow as columns, without an import of any of them."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Protocol

from replicate_kit.errors import InputError, MissingExtraError
from replicate_kit.tables._columns import Cells, Columns, OneColumn, is_null
from replicate_kit.tables._matching import are_whole, whole

__all__ = ["ArrowStream", "columns_of", "is_dataset", "is_table"]


class ArrowStream(Protocol):
    """A table by the interface that Arrow defines.

    See https://arrow.apache.org/docs/format/CDataInterface/PyCapsuleInterface.html.
    """

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Give the table as a stream of Arrow."""
        ...


def columns_of(data: Any) -> Columns | OneColumn | None:
    """See a table or a series of pandas, polars or Arrow as columns; None for anything else.

    Tables of other packages, such as DuckDB's, come by the interface that Arrow defines for them. Raises `InputError`
    for a lazy table, of which there are no rows yet, and `MissingExtraError` where pyarrow is needed and not there.

    >>> from replicate_kit.tables import columns_of
    >>> columns_of([{"prompt": "sea"}]) is None
    True
    """
    if (known := _kind(data)) is not None:
        return known(data)
    return _of_stream(data) if _gives_arrow(data) else None


def is_table(data: object) -> bool:
    """Whether `columns_of` knows what to do with something."""
    return _kind(data) is not None or _gives_arrow(data)


def is_dataset(data: object) -> bool:
    """Whether something is a dataset of Hugging Face, which is read row by row: its images would not fit in memory."""
    return any(_named(each) in _DATASETS for each in type(data).__mro__)


def _kind(data: object) -> Callable[[Any], Columns | OneColumn] | None:
    """What reads an object of this class."""
    for each in type(data).__mro__:
        if (known := _KINDS.get(_named(each))) is not None:
            return known
    return None


def _named(kind: type) -> tuple[str, str]:
    """A class by its package and name."""
    return kind.__module__.partition(".")[0], kind.__name__


def _gives_arrow(data: object) -> bool:
    """Whether a table of another package can be had by the interface that Arrow defines."""
    return hasattr(data, "__arrow_c_stream__")


# pandas: https://pandas.pydata.org/docs/reference/frame.html


def _of_pandas(frame: Any) -> Columns:
    """A DataFrame; its rows are named by their labels."""
    return Columns(
        list(frame.columns),
        lambda number: _cells_of_pandas(frame.iloc[:, number]),
        len(frame),
        lambda position: frame.index[position],
    )


def _series_of_pandas(series: Any) -> OneColumn:
    """A Series."""
    return OneColumn(series.name, _cells_of_pandas(series), lambda position: series.index[position])


def _cells_of_pandas(series: Any) -> Cells:
    """Take the values out of a series, whatever its dtype."""
    if hasattr(series.dtype, "fill_value") and hasattr(
        series.dtype, "subtype"
    ):  # sparse: most of it is not there
        series = series.astype(series.dtype.subtype)
    values = series.tolist()
    # Arrow and masked floats tell "no value" from "not a number"; neither can be an input.
    null = [missing or is_null(each) for each, missing in zip(values, series.isna().tolist(), strict=True)]
    if str(series.dtype) == "float64" and any(null):
        if are_whole(each for each, missing in zip(values, null, strict=True) if not missing):
            values = list(map(whole, values))  # pandas makes 1842.0 of a year beside a null
    elif getattr(series.dtype, "kind", "") == "m":
        values = [
            each if missing else each.to_pytimedelta() for each, missing in zip(values, null, strict=True)
        ]
    return Cells(values, null)


# polars: https://docs.pola.rs/api/python/stable/reference/dataframe/index.html


def _of_polars(frame: Any) -> Columns:
    """A DataFrame of polars."""
    return Columns(frame.columns, lambda number: Cells.of(frame.to_series(number).to_list()), frame.height)


def _series_of_polars(series: Any) -> OneColumn:
    """A Series of polars; one without a name has the empty one."""
    return OneColumn(series.name or None, Cells.of(series.to_list()))


def _lazy(frame: Any) -> Columns:
    """A lazy table of polars, whose rows nobody has read yet."""
    raise InputError(
        f"The rows are a {type(frame).__name__}. Pass those that it gives: frame.collect(). Nothing was created."
    )


# Arrow: https://arrow.apache.org/docs/python/api/tables.html


def _of_arrow(table: Any) -> Columns:
    """A Table or RecordBatch."""
    return Columns(
        table.schema.names, lambda number: Cells.of(table.column(number).to_pylist()), table.num_rows
    )


def _of_stream(data: Any) -> Columns | OneColumn:
    """A table or an array of another package, read by pyarrow."""
    kind = type(data).__name__
    try:
        arrow = import_module("pyarrow")
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"A table that is a {kind}", "parquet") from error
    try:
        return _of_arrow(arrow.table(data))
    except (arrow.ArrowException, TypeError, ValueError) as error:
        try:
            return _array_of_arrow(arrow.chunked_array(data))
        except (arrow.ArrowException, TypeError, ValueError):
            raise InputError(
                f"The rows are a {kind}, which Arrow cannot read ({error}). Pass a list of mappings. Nothing was "
                "created."
            ) from error


def _array_of_arrow(array: Any) -> OneColumn:
    """An Array or ChunkedArray, which has no name."""
    return OneColumn(None, Cells.of(array.to_pylist()))


_KINDS: dict[tuple[str, str], Callable[[Any], Columns | OneColumn]] = {
    ("pandas", "DataFrame"): _of_pandas,
    ("pandas", "Series"): _series_of_pandas,
    ("pandas", "Index"): lambda index: _series_of_pandas(index.to_series()),
    ("polars", "DataFrame"): _of_polars,
    ("polars", "Series"): _series_of_polars,
    ("polars", "LazyFrame"): _lazy,
    ("pyarrow", "Table"): _of_arrow,
    ("pyarrow", "RecordBatch"): _of_arrow,
    ("pyarrow", "Array"): _array_of_arrow,
    ("pyarrow", "ChunkedArray"): _array_of_arrow,
}
"""What reads which class, by its package and name; subclasses, such as those of geopandas, are read likewise."""

_DATASETS = frozenset({("datasets", "Dataset"), ("datasets", "IterableDataset")})
"""Classes whose rows are read one by one: https://huggingface.co/docs/datasets/package_reference/main_classes"""
