"""What checkers see of the namespaces of polars. Nobody runs this file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_type

import polars as pl

from replicate_kit.batch import Plan, Result
from replicate_kit.errors import ReplicateError
from replicate_kit_polars import (
    DataFrameAccessor,
    ExprAccessor,
    LazyFrameAccessor,
    RowsFailed,
    SeriesAccessor,
    accessor_of,
    col,
    template,
)


def check_accessors(series: pl.Series, frame: pl.DataFrame) -> None:
    assert_type(accessor_of(series), SeriesAccessor)
    assert_type(accessor_of(frame), DataFrameAccessor)
    assert_type(accessor_of(frame.lazy()), LazyFrameAccessor)
    assert_type(accessor_of(pl.col("text")), ExprAccessor)


def check_results(series: pl.Series) -> None:
    accessor = accessor_of(series)
    assert_type(accessor.run("acme/shout", {"times": 2}, into="text"), pl.Series)
    assert_type(accessor.run("acme/shout", details=True, files="explode", journal="j.sqlite"), pl.DataFrame)
    assert_type(accessor.plan("acme/shout"), Plan)
    assert_type(accessor.iter("acme/shout", ordered=True), Iterator[tuple[int, Result]])


def check_lazy(frame: pl.LazyFrame) -> None:
    assert_type(accessor_of(frame).run("acme/shout", {"text": col("title")}, details=True), pl.LazyFrame)
    assert_type(accessor_of(pl.col("text")).run("acme/shout", journal="j.sqlite"), pl.Expr)


async def check_async(frame: pl.DataFrame) -> None:
    accessor = accessor_of(frame)
    assert_type(await accessor.async_run("acme/shout", {"text": col("title")}), pl.Series)
    assert_type(
        await accessor.async_run("acme/shout", {"text": template("{title}")}, details=True), pl.DataFrame
    )
    assert_type(await accessor.async_plan("acme/shout"), Plan)
    async for row, result in accessor.async_iter("acme/shout"):
        assert_type(row, int)
        assert_type(result, Result)


def check_retry(frame: pl.DataFrame, error: RowsFailed) -> None:
    accessor = accessor_of(frame)
    assert_type(error.statuses, pl.Series)
    assert_type(error.errors, dict[int, ReplicateError])
    assert_type(accessor.run("acme/shout", retry=frame), pl.Series)
    assert_type(accessor.run("acme/shout", retry=error, details=True), pl.DataFrame)
    assert_type(accessor.run("acme/shout", retry=("failed", "expired")), pl.Series)
    accessor.run("acme/shout", retry=frame["output"])  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]


def check_options(frame: pl.DataFrame) -> None:
    accessor_of(frame).run("acme/shout", seed=42)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    accessor_of(frame.lazy()).run("acme/shout", dedupe=False)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    accessor_of(pl.col("text")).run("acme/shout", files="some")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
