"""The namespaces pass what every accessor has to pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from replicate_kit.testing.suites import AccessorSuite
from replicate_kit_polars import accessor_of


class TestDataFrame(AccessorSuite):
    def table(self, columns: Mapping[str, Sequence[Any]]) -> Any:
        return pl.DataFrame(columns)

    def outputs(self, result: Any) -> list[Any]:
        return list(result)

    def columns(self, result: Any) -> Mapping[str, Sequence[Any]]:
        made: dict[str, list[Any]] = result.to_dict(as_series=False)
        return made


class TestExpression(TestDataFrame):
    def run(self, table: Any, model: str, input: Mapping[str, Any] | None, **options: Any) -> Any:
        made = accessor_of(pl.struct(pl.all())).run(model, input, **options)
        result = table.select(made).to_series()
        return result.struct.unnest() if options.get("details") else result


class TestLazyFrame(TestDataFrame):
    def table(self, columns: Mapping[str, Sequence[Any]]) -> Any:
        return pl.LazyFrame(columns)

    def run(self, table: Any, model: str, input: Mapping[str, Any] | None, **options: Any) -> Any:
        made = table.replicate.run(model, input, **options).drop(table.collect_schema().names()).collect()
        return made if options.get("details") else made.to_series()
