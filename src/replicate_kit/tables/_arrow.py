"""Results as an Arrow table, which any dataframe library reads; pyarrow is an optional part."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any

from replicate_kit.errors import InputError, MissingExtraError
from replicate_kit.tables._collecting import RESULTS, Collector, Files, RowResult, check_files, kind_of

__all__ = ["to_arrow"]


def to_arrow(results: Iterable[RowResult], *, files: Files = "auto") -> Any:
    """Make a `pyarrow.Table` of results, such as those of `client.map`, with a line for each in the order of the rows.

    Its columns are `index` (the position of the row, counted from 0) and output, status, error, prediction_id,
    seconds, cached and cost. An output that is a structure is JSON in it. `files` says what becomes of lists of files:
    "auto" makes one of each where no row has more, "list" leaves lists, "first" takes the first of each, and "explode"
    gives each a line of its own.

    Raises `MissingExtraError` without pyarrow, which the extra `parquet` brings, `ConfigError` for other `files` and
    `InputError` for what is no results, all before any of them is asked for.

    >>> from replicate_kit import Client
    >>> from replicate_kit.tables import to_arrow
    >>> table = to_arrow(Client(backend="mock").map("demo/poet", [{"prompt": "sea"}, {"prompt": "hills"}]))
    >>> table.column("status").to_pylist()
    ['succeeded', 'succeeded']
    """
    check_files(files)
    if not isinstance(results, Iterable):
        raise InputError(
            f"The results are a {type(results).__name__}. Pass a list of them: [result async for result in …]."
        )
    try:
        arrow = import_module("pyarrow")
    except ModuleNotFoundError as error:
        raise MissingExtraError("to_arrow", "parquet") from error
    found = sorted(results, key=lambda result: result.index)
    collector = Collector(len(found), {}, details=True, files=files)
    for line, result in enumerate(found):
        collector.add(result, line)
    columns, rows = collector.lines()
    types = {"string": arrow.string(), "float64": arrow.float64(), "bool": arrow.bool_()}
    outputs = {
        "text": arrow.string(),
        "truth": arrow.bool_(),
        "whole": arrow.int64(),
        "number": arrow.float64(),
        "texts": arrow.list_(arrow.string()),
        "empty": arrow.string(),
    }
    made = {"index": arrow.array([found[row].index for row in rows or range(len(found))], arrow.int64())}
    for name, values in columns.items():
        kind = RESULTS[name]
        made[name] = arrow.array(values, outputs[kind_of(values)] if kind is None else types[kind])
    return arrow.table(made)
