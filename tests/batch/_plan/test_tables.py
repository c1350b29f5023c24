"""Rows of `map` and `plan`: mappings, texts, and tables of any library; whatever is none is one clear error."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from replicate_kit import Client, Result
from replicate_kit.errors import ConfigError, InputError
from replicate_kit.simulator import Simulator
from replicate_kit.tables import to_arrow

DATA = {"text": ["a", None, "c"], "times": [1, 2, None], "id": [7, 8, 9]}
TABLES: dict[str, Callable[[Any], Any]] = {
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
    "Arrow": pa.table,
    "a batch of Arrow": pa.RecordBatch.from_pydict,
}
SERIES: dict[str, Callable[[list[Any]], Any]] = {
    "a list": list,
    "a generator": lambda values: (each for each in values),
    "pandas": pd.Series,
    "an index": pd.Index,
    "polars": pl.Series,
    "an array of Arrow": pa.array,
    "a chunked array": lambda values: pa.chunked_array([values]),
    "numpy": np.array,
}


class Foreign:
    """A table of a library that nobody has heard of; what it gives one by one are the names of its columns."""

    columns = ("text", "title")
    dtypes = (str, str)

    def __iter__(self) -> Any:
        return iter(self.columns)


class Unreadable:
    """Says that it gives Arrow, and gives none."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return object()


class Arrow:
    """What another library gives by the interface of Arrow."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.data.__arrow_c_stream__(requested_schema)


class Reader:
    """Reads mappings, as libraries of JSON lines do: it has a `read` of its own, and is no file."""

    def __iter__(self) -> Any:
        yield {"text": "a"}

    def read(self) -> Any:
        raise EOFError


@pytest.fixture
def simulator() -> Simulator:
    simulator = Simulator()

    @simulator.model("acme/repeat")
    def repeat(text: str, times: int = 1) -> str:
        return text * times

    @simulator.model("acme/pair")
    def pair(first: str, second: str) -> str:
        return first + second

    @simulator.model("acme/free")
    def free(text: str = "x") -> str:
        return text

    return simulator


@pytest.fixture
def client(simulator: Simulator) -> Client:
    return Client(backend=simulator)


@pytest.mark.parametrize("make", TABLES.values(), ids=TABLES)
def test_a_table_fills_the_inputs_that_its_columns_are_named_for(client: Client, make: Any) -> None:
    results = list(client.map("acme/repeat", make(DATA)))
    assert [each.status for each in results] == ["succeeded", "invalid", "succeeded"]
    assert [each.output for each in results] == ["a", None, "c"]
    assert [each.input for each in results] == [{"text": "a", "times": 1}, {"times": 2}, {"text": "c"}]
    assert client.plan("acme/repeat", make(DATA)).to_pay == 2


@pytest.mark.parametrize("make", TABLES.values(), ids=TABLES)
def test_a_table_is_taken_by_the_asynchronous_form(client: Client, make: Any) -> None:
    async def main() -> list[Any]:
        async with client.async_map("acme/repeat", make(DATA)) as batch:
            return [each.output async for each in batch]

    assert asyncio.run(main()) == ["a", None, "c"]


@pytest.mark.parametrize("make", TABLES.values(), ids=TABLES)
def test_a_table_without_a_column_for_any_input_is_one_error(
    simulator: Simulator, client: Client, make: Any
) -> None:
    with pytest.raises(
        InputError, match=r"No column has the name of an input.*text \(required\).*columns are: x"
    ):
        list(client.map("acme/repeat", make({"x": ["a"]})))
    assert simulator.created == 0


@pytest.mark.parametrize("make", SERIES.values(), ids=SERIES)
def test_texts_fill_the_only_required_input(client: Client, make: Any) -> None:
    results = list(client.map("acme/repeat", make(["a", "b"])))
    assert [each.output for each in results] == ["a", "b"]
    assert client.plan("acme/repeat", make(["a", "a"])).distinct == 1


@pytest.mark.parametrize("make", SERIES.values(), ids=SERIES)
@pytest.mark.parametrize("model", ["acme/pair", "acme/free"])
def test_texts_for_a_model_that_needs_more_or_nothing_are_one_error(
    simulator: Simulator, client: Client, make: Any, model: str
) -> None:
    with pytest.raises(InputError, match=r"(?s)texts|unclear which input") as caught:
        list(client.map(model, make(["a", "b"]), errors="collect"))
    assert "Nothing was created" in str(caught.value) or "nothing was created" in str(caught.value)
    assert simulator.created == 0


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("a", "are a str"),
        (b"a", "are a bytes"),
        (bytearray(b"a"), "are a bytearray"),
        ({"text": "a"}, "are a dict"),
        (None, "are a NoneType"),
        (5, "are a int"),
        (object(), "are a object"),
        ({"a"}, "set, which has no order"),
        (frozenset("a"), "frozenset, which has no order"),
        (io.StringIO("a"), "an open file"),
        (io.BytesIO(b"a"), "an open file"),
        ([1, 2], "first row is a int"),
        (Foreign(), "Foreign of a package that replicate_kit does not know"),
        (Unreadable(), "Unreadable, which Arrow cannot read"),
        ([None], "first row is a NoneType"),
        ([["a"]], "first row is a list"),
        (np.array([[1]]), "first row is a ndarray"),
        (pl.LazyFrame({"text": ["a"]}), r"LazyFrame.*collect\(\)"),
    ],
)
@pytest.mark.parametrize("errors", ["raise", "collect"])
def test_what_is_no_rows_is_one_error(
    simulator: Simulator, client: Client, rows: Any, said: str, errors: Any
) -> None:
    with pytest.raises(InputError, match=f"(?s){said}.*Nothing was created"):
        list(client.map("acme/repeat", rows, errors=errors))
    assert simulator.created == 0


@pytest.mark.parametrize("at", range(4))
@pytest.mark.parametrize("odd", [None, 5, ["a"]])
def test_a_row_of_another_kind_among_others_is_an_error_of_its_own(client: Client, odd: Any, at: int) -> None:
    rows: list[Any] = ["a", {"text": "b"}, "c"]
    rows.insert(at, odd)
    results = list(client.map("acme/repeat", rows))
    assert [each.status for each in results] == [
        "invalid" if number == at else "succeeded" for number in range(4)
    ]


@pytest.mark.parametrize(
    "make", [list, pd.Series, pl.Series, pa.array, iter], ids=lambda each: each.__module__
)
def test_a_series_of_mappings_has_the_rows_in_it(client: Client, make: Any) -> None:
    results = list(client.map("acme/repeat", make([{"text": "a", "times": 2}, {"text": "b", "times": 1}])))
    assert [each.output for each in results] == ["aa", "b"]


@pytest.mark.parametrize("make", SERIES.values(), ids=SERIES)
def test_the_input_of_a_text_is_what_it_fills(client: Client, make: Any) -> None:
    assert [each.input for each in client.map("acme/repeat", make(["a", "b"]))] == [
        {"text": "a"},
        {"text": "b"},
    ]


@pytest.mark.parametrize(
    "data", [pa.table({"text": ["a"]}), pl.Series(["a"]), pa.chunked_array([["a"]])], ids=type
)
def test_what_gives_arrow_is_read(client: Client, data: Any) -> None:
    assert [each.output for each in client.map("acme/repeat", Arrow(data))] == ["a"]


@pytest.mark.parametrize("rows", [Reader(), {"a": 1}.keys()], ids=type)
def test_iterables_of_other_kinds_are_rows(client: Client, rows: Any) -> None:
    assert [each.output for each in client.map("acme/repeat", rows)] == ["a"]


def test_results_are_an_arrow_table(client: Client) -> None:
    with client.map("acme/repeat", pl.DataFrame(DATA), ordered=False) as results:
        table = to_arrow(results)
    assert table.column_names[:3] == ["index", "output", "status"]
    assert table.column("index").to_pylist() == [0, 1, 2]
    assert table.column("output").to_pylist() == ["a", None, "c"]
    assert pl.from_arrow(table).height == 3


@pytest.mark.parametrize(
    "outputs", [[2**60 + 1, 1.5], [2**70, 1.5], [2**70, 1], [1, "a"], [{"a": 1}, [2]], [True, None]]
)
def test_any_outputs_make_an_arrow_table(outputs: list[Any]) -> None:
    made = to_arrow([Result(number, {}, output) for number, output in enumerate(outputs)]).column("output")
    given = [json.loads(each) if isinstance(each, str) else each for each in made.to_pylist()]
    assert given == outputs


def test_what_is_no_results_makes_no_arrow_table(client: Client) -> None:
    with pytest.raises(InputError, match=r"AsyncBatch.*async for"):
        to_arrow(client.async_map("acme/repeat", ["a"]))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="'explode'"):
        to_arrow([], files="all")  # type: ignore[arg-type]
