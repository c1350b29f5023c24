"""The suite of accessors, held against one over lists, and against some that are wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from replicate_kit import Client
from replicate_kit.batch.accessors import AccessorOptions, check_options
from replicate_kit.errors import BatchError
from replicate_kit.resources.models import reference_of
from replicate_kit.tables import Cells, Collector, Columns, bind
from replicate_kit.testing.suites import AccessorSuite

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]


class Table:
    """A table of lists, whose accessor is the table itself."""

    def __init__(self, columns: Mapping[str, Sequence[Any]]) -> None:
        self.columns = {name: list(values) for name, values in columns.items()}

    def __repr__(self) -> str:
        return repr(self.columns)

    @property
    def replicate(self) -> Table:
        return self

    def run(self, model: str, input: Any = None, *, details: bool = False, **options: Any) -> Any:
        check_options(options, AccessorOptions.__optional_keys__, "run")
        client: Client = options.pop("client")
        values = list(self.columns.values())
        count = len(values[0])
        table = Columns(list(self.columns), lambda number: Cells.of(values[number]), count)
        schema = client.models.resolve(reference_of(model, client.session)).schema
        rows = bind(table, input, schema, model=model)
        collector = Collector(count, dict.fromkeys(rows.positions, "unfinished"), details=details)
        raises = options.pop("errors", "raise") == "raise"
        for result in self.results(client, model, rows, options):
            collector.add(result, rows.positions[result.index])
        if raises and collector.errors:
            raise BatchError(f"{len(collector.errors)} rows failed.")
        columns = collector.lines().columns
        return columns if details else columns["output"]

    def results(self, client: Client, model: str, rows: Any, options: Any) -> Any:
        return client.map(model, rows, ordered=False, errors="collect", **options)


class OfTable(AccessorSuite):
    kind = Table

    def table(self, columns: Mapping[str, Sequence[Any]]) -> Any:
        return self.kind(columns)

    def outputs(self, result: Any) -> list[Any]:
        return list(result)

    def columns(self, result: Any) -> Mapping[str, Sequence[Any]]:
        return result  # type: ignore[no-any-return]


class TestTable(OfTable):
    """It passes, so that what fails below fails for its own fault."""


class Unordered(Table):
    """Gives the outputs as they come."""

    def run(self, *args: Any, **options: Any) -> Any:
        return super().run(*args, **options)[::-1]


class Wasteful(Table):
    """Pays for equal rows again."""

    def results(self, client: Client, model: str, rows: Any, options: Any) -> Any:
        return client.map(model, rows, ordered=False, errors="collect", **{**options, "dedupe": False})


class Hasty(Table):
    """Stops at the first row that fails."""

    def results(self, client: Client, model: str, rows: Any, options: Any) -> Any:
        return client.map(model, rows, ordered=False, errors="raise", **options)


class Forgetful(Table):
    """Leaves the journal out."""

    def results(self, client: Client, model: str, rows: Any, options: Any) -> Any:
        options.pop("journal", None)
        return super().results(client, model, rows, options)


class Lax(Table):
    """Passes over options that it does not know."""

    def run(self, model: str, input: Any = None, **options: Any) -> Any:
        known = {*AccessorOptions.__optional_keys__, "details"}
        return super().run(model, input, **{name: options[name] for name in known & set(options)})


@pytest.mark.slow
class TestASuiteFindsWhatIsWrong:
    """A suite that anything passes would prove nothing."""

    @pytest.mark.parametrize(
        ("kind", "test"),
        [
            ("Unordered", "test_outputs_stand_in_the_order_of_the_rows"),
            ("Wasteful", "test_equal_rows_are_paid_for_once"),
            ("Hasty", "test_a_row_that_fails_is_raised_when_the_others_are_done"),
            ("Forgetful", "test_a_journal_remembers_what_was_paid_for"),
            ("Lax", "test_an_option_that_cannot_be_meant_is_refused_before_anything_is_paid_for"),
        ],
    )
    def test_an_accessor_that_is_wrong_fails(self, pytester: pytest.Pytester, kind: str, test: str) -> None:
        pytester.makepyfile(f"""
            from tests.testing.test_accessor_suite import {kind}, OfTable

            class TestWrong(OfTable):
                kind = {kind}
        """)
        pytester.makeini(f"[pytest]\npythonpath = {ROOT}")
        done = pytester.runpytest_subprocess("-q", "-k", test)
        assert done.ret == pytest.ExitCode.TESTS_FAILED, done.stdout.str()
        assert f"FAILED test_an_accessor_that_is_wrong_fails.py::TestWrong::{test}" in done.stdout.str()
