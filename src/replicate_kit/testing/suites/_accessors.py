"""What every accessor of a dataframe has to do, whatever library the dataframe is of."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from replicate_kit.client import Client
from replicate_kit.errors import ConfigError, InputError, ReplicateError
from replicate_kit.simulator import Simulator
from replicate_kit.tables import RESULTS, col, template

__all__ = ["AccessorSuite"]

_SHOUT, _FILE = "suite/shout", "suite/file"


class AccessorSuite:
    """Tests of an accessor with a method `run`, such as `df.replicate.run(model, input=…)`.

    Say how a table is made (`table`), and how the outputs of a result are read (`outputs`). `accessor` is the name that
    the accessor has on a table. An accessor that is called in another way overrides `run`. One whose result has a
    column for each detail (`details=True`) says how those are read (`columns`). One that cannot use a simulator of this
    process overrides the fixtures `simulator` and `client`, and publishes the models with `publish`.
    """

    accessor: str = "replicate"
    """The name of the accessor on a table."""
    options: Mapping[str, Any] = {}
    """Options that each run needs."""
    cannot: Collection[str] = ()
    """What it does not offer: `"details"`, `"journal"`, `"save_to"`."""

    def table(self, columns: Mapping[str, Sequence[Any]]) -> Any:
        """Make a table of lists; None is a null. Texts and whole numbers are what is in it."""
        raise TypeError("Override `table` with what makes a table of your library.")

    def outputs(self, result: Any) -> list[Any]:
        """Read the outputs out of a result, row by row; nulls as None."""
        raise TypeError("Override `outputs` with what reads the outputs out of a result.")

    def columns(self, result: Any) -> Mapping[str, Sequence[Any]]:
        """Read the columns of a result with details; nulls as None."""
        raise TypeError("Override `columns`, or say cannot = ('details',).")

    def run(self, table: Any, model: str, input: Mapping[str, Any] | None, **options: Any) -> Any:
        """Run a model over a table, and come back when all rows are done."""
        return getattr(table, self.accessor).run(model, input, **options)

    def publish(self, simulator: Simulator) -> None:
        """Publish the models that the suite runs."""

        @simulator.model(_SHOUT)
        def shout(text: str, times: int = 1) -> str:
            if text == "bad":
                raise ValueError("this text cannot be shouted")
            return text.upper() + "!" * times

        @simulator.model(_FILE)
        def file(text: str) -> bytes:
            return text.encode()

    @pytest.fixture
    def simulator(self) -> Iterator[Simulator]:
        """A service with the models of the suite."""
        with Simulator() as simulator:
            self.publish(simulator)
            yield simulator

    @pytest.fixture
    def client(self, simulator: Simulator) -> Iterator[Client]:
        """A client of that service."""
        with Client(backend=simulator, poll_interval=0.01) as client:
            yield client

    @pytest.fixture
    def given(self) -> Mapping[str, Any]:
        """Options that each run needs; a fixture for what has to be made for each test."""
        return self.options

    @pytest.fixture
    def over(self, client: Client, given: Mapping[str, Any]) -> Callable[..., Any]:
        """Runs a model over a table of lists."""

        def run(columns: Mapping[str, Sequence[Any]], input: Any = None, **options: Any) -> Any:
            model = options.pop("model", _SHOUT)
            return self.run(self.table(columns), model, input, **{"client": client, **given, **options})

        return run

    # Rows.

    def test_outputs_stand_in_the_order_of_the_rows(self, over: Callable[..., Any]) -> None:
        texts = [f"text {number}" for number in range(30)]
        assert self.outputs(over({"text": texts}, concurrency=8)) == [f"{text.upper()}!" for text in texts]

    def test_a_null_costs_nothing_and_stays_one(self, over: Callable[..., Any], simulator: Simulator) -> None:
        assert self.outputs(over({"text": ["a", None, "b"]})) == ["A!", None, "B!"]
        assert simulator.created == 2, "a prediction was created for a row with a null"

    def test_equal_rows_are_paid_for_once(self, over: Callable[..., Any], simulator: Simulator) -> None:
        assert self.outputs(over({"text": ["a", "b", "a"]})) == ["A!", "B!", "A!"]
        assert simulator.created == 2, "equal rows were paid for more than once"

    def test_a_table_without_rows_gives_none(self, over: Callable[..., Any], simulator: Simulator) -> None:
        assert self.outputs(over({"text": []}, {"text": col("text")})) == []
        assert simulator.created == 0

    def test_the_table_stays_as_it_is(self, client: Client, given: Mapping[str, Any]) -> None:
        table = self.table({"text": ["a", None]})
        before = repr(table)
        self.run(table, _SHOUT, None, client=client, **given)
        assert repr(table) == before

    # What fills the inputs.

    def test_columns_templates_and_constants_fill_the_inputs(self, over: Callable[..., Any]) -> None:
        table = {"name": ["sea", "hill"], "count": [1, 2]}
        input = {"text": template("a {name}"), "times": col("count")}
        assert self.outputs(over(table, input)) == ["A SEA!", "A HILL!!"]
        assert self.outputs(over(table, {"text": col("name"), "times": 3})) == ["SEA!!!", "HILL!!!"]

    @pytest.mark.parametrize(
        "input",
        [{"text": col("no such column")}, {"text": template("{no such column}")}, {"texts": col("text")}],
        ids=["column", "template", "input"],
    )
    def test_what_is_not_there_is_refused_before_anything_is_paid_for(
        self, input: Mapping[str, Any], over: Callable[..., Any], simulator: Simulator
    ) -> None:
        with pytest.raises(InputError):
            over({"text": ["a"]}, input)
        assert simulator.created == 0

    @pytest.mark.parametrize("option", [{"there_is_no_such_option": 1}, {"concurrency": "many"}], ids=str)
    def test_an_option_that_cannot_be_meant_is_refused_before_anything_is_paid_for(
        self, option: Mapping[str, Any], over: Callable[..., Any], simulator: Simulator
    ) -> None:
        with pytest.raises(ConfigError):
            over({"text": ["a"]}, **option)
        assert simulator.created == 0

    # Failures.

    def test_a_row_that_fails_is_raised_when_the_others_are_done(
        self, over: Callable[..., Any], simulator: Simulator
    ) -> None:
        with pytest.raises(ReplicateError):
            over({"text": ["bad", "a", "b", "c"]}, concurrency=1)
        assert simulator.created == 4, "a row that failed has kept others from running"

    def test_a_row_that_fails_is_null_where_errors_are_collected(self, over: Callable[..., Any]) -> None:
        result = over({"text": ["a", "bad", "b"]}, errors="collect")
        assert self.outputs(result) == ["A!", None, "B!"]

    # Options of `client.map`.

    def test_the_details_of_each_row_are_columns(self, over: Callable[..., Any]) -> None:
        self._need("details")
        result = over({"text": ["a", None, "bad"]}, details=True, errors="collect")
        columns = self.columns(result)
        assert list(columns) == list(RESULTS)
        assert list(columns["output"]) == ["A!", None, None]
        assert list(columns["status"]) == ["succeeded", "null", "failed"]
        assert "cannot be shouted" in columns["error"][2]

    def test_a_journal_remembers_what_was_paid_for(
        self, over: Callable[..., Any], simulator: Simulator, journal: str
    ) -> None:
        self._need("journal")
        for _ in range(2):
            assert self.outputs(over({"text": ["a", "b"]}, journal=journal)) == ["A!", "B!"]
        assert simulator.created == 2, "what the journal knew was paid for again"

    @pytest.fixture
    def journal(self, tmp_path: Path) -> str:
        """A journal that is new."""
        return str(tmp_path / "journal.sqlite")

    def test_files_are_where_the_output_says(self, over: Callable[..., Any], tmp_path: Path) -> None:
        self._need("save_to")
        result = over({"text": ["a", None, "b"]}, model=_FILE, save_to=str(tmp_path / "files"))
        paths = self.outputs(result)
        assert [each and Path(each).read_text() for each in paths] == ["a", None, "b"]

    def _need(self, what: str) -> None:
        """Skip a test of what the accessor does not offer."""
        if what in self.cannot:
            pytest.skip(f"The accessor has no {what}.")
