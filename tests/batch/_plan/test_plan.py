"""What is known before money is spent."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from replicate_kit import Budget, Client
from replicate_kit.errors import ConfigError, InputError, InvalidReference, JournalError, NotFound
from replicate_kit.transport import Abilities

from ..conftest import Service, numbers


def test_a_plan_counts_and_creates_nothing(service: Service, client: Client, journal: Path) -> None:
    list(client.map("acme/double", numbers(3), journal=journal))
    rows = [*numbers(10), {"n": 1}, {"n": "x"}, {}]
    plan = client.plan("acme/double", rows, journal=journal, price=0.5)
    assert (plan.rows, plan.invalid, plan.distinct, plan.cached, plan.to_pay) == (13, 2, 10, 3, 7)
    assert plan.cost == 3.5
    assert plan.cost_with_retries == 10.5
    assert [each.row for each in plan.problems] == [11, 12]
    assert "input.n: Invalid type. Expected: integer, given: string" in plan.problems[0].message
    assert service.creates == 3
    assert repr(plan).startswith("<Plan: 13 rows of acme/double: 7 predictions to pay")
    assert "\n" not in repr(plan)
    text = str(plan)
    printed: list[str] = []
    plan._repr_pretty_(SimpleNamespace(text=printed.append), False)
    assert printed == [text]
    for said in (
        "13 rows of acme/double",
        "7 predictions to pay",
        "costs at most 3.50, or 10.50 if",
        "share",
        "no fixed",
    ):
        assert said in text


def test_a_plan_of_one_row_speaks_of_one(client: Client) -> None:
    plan = client.plan("acme/double", [{"n": 1}])
    assert str(plan).startswith("1 row of acme/double: 1 prediction to pay, 0 in the journal, ")
    assert "costs at most 0.003, or 0.009" in str(client.plan("acme/double", [{"n": 1}], price=0.003))
    assert "1 row shares the prediction of an equal row" in str(client.plan("acme/double", [{"n": 1}] * 2))
    with pytest.raises(InputError, match="1 of 1 row cannot be sent"):
        client.plan("acme/double", [{}]).raise_for_problems()


def test_a_run_shows_how_far_it_is(client: Client) -> None:
    results = client.map("acme/double", [*numbers(3), {"n": "x"}], on_plan=lambda plan: None)
    assert repr(results) == "<Batch: not started>"
    assert len(list(results)) == 4
    assert repr(results) == "<Batch of acme/double: 4 of 4 rows done, 1 of them failed>"
    assert repr(client.async_map("acme/double", numbers(1))) == "<AsyncBatch: not started>"


def test_a_plan_works_under_every_driver(client: Client, drive: Any) -> None:
    async def main() -> int:
        return (await client.async_plan("acme/double", numbers(4))).to_pay

    assert drive(main()) == 4


def test_what_a_dead_run_left_is_counted_as_under_way(
    service: Service, client: Client, journal: Path
) -> None:
    with client.map("acme/patient", numbers(4), journal=journal, on_interrupt="detach"):
        while service.creates < 4:
            pass
    plan = client.plan("acme/patient", numbers(5), journal=journal)
    assert (plan.in_flight, plan.to_pay) == (4, 1)


def test_a_model_without_a_version_stays_at_the_one_that_was_recorded_first(
    service: Service, client: Client, journal: Path
) -> None:
    first = client.plan("acme/community", numbers(1), journal=journal)
    old = service.simulator.version("acme/community")
    assert first.model == f"acme/community:{old}"
    assert first.pinned
    list(client.map("acme/community", numbers(2), journal=journal))

    @service.simulator.model("acme/community", official=False)
    def community(n: int, extra: int = 0) -> int:
        return -n

    new = service.simulator.version("acme/community")
    assert new != old
    with service.client() as later:
        plan = later.plan("acme/community", numbers(2), journal=journal)
        assert (plan.model, plan.newer, plan.to_pay) == (f"acme/community:{old}", new, 0)
        assert "newer version" in str(plan)
        made = service.creates
        outputs = [each.output for each in later.map("acme/community", numbers(2), journal=journal)]
        assert outputs == [0, 1]
        assert service.creates == made
        results = list(later.map("acme/community", numbers(2), journal=journal, refresh_version=True))
        assert [each.output for each in results] == [0, -1]
        assert later.plan("acme/community", numbers(2), journal=journal).newer is None


def test_equal_rows_are_sampled_one_by_one_if_that_is_asked_for(
    service: Service, client: Client, journal: Path
) -> None:
    rows = [{"n": 1}] * 4 + [{"n": 2}]
    assert len(list(client.map("acme/double", rows, dedupe=False, journal=journal))) == 5
    assert service.creates == 5
    list(client.map("acme/double", [{"n": 1}] * 6, dedupe=False, journal=journal))
    assert service.creates == 7  # the first four samples are known


def test_a_generator_is_read_once_and_its_rows_come_back(service: Service, client: Client) -> None:
    results = list(client.map("acme/double", ({"n": number} for number in range(5))))
    assert [each.input for each in results] == numbers(5)


def test_what_a_generator_raises_comes_out_before_anything_is_spent(service: Service, client: Client) -> None:
    def rows() -> Any:
        yield {"n": 1}
        raise RuntimeError("the file ends here")

    with pytest.raises(RuntimeError, match="ends here"):
        list(client.map("acme/double", rows()))
    assert service.creates == 0


def test_no_rows_give_no_results(client: Client) -> None:
    with client.map("acme/double", []) as batch:
        assert list(batch) == []
        assert batch.plan is not None
        assert batch.plan.rows == 0
    assert list(client.map("acme/double", [], ordered=False)) == []


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"n": float("nan")}, "n: is nan"),
        ({"n": object()}, "cannot be sent"),
        ({"n": Path("missing.png")}, "given: a file"),
        ({3: 4}, "n is required"),
    ],
)
def test_a_row_that_cannot_be_sent_says_why(client: Client, row: Any, said: str) -> None:
    (result,) = client.map("acme/double", [row])
    assert result.status == "invalid"
    assert said in str(result.error)


@pytest.mark.parametrize("inputs", [{"n": 1}, "n", b"n"], ids=type)
def test_one_row_in_place_of_a_list_is_refused_at_once(client: Client, inputs: Any) -> None:
    with pytest.raises(InputError, match=f"The rows are a {type(inputs).__name__}. Pass a list of them"):
        client.map("acme/double", inputs)


def test_the_text_of_a_model_is_no_rows_of_words() -> None:
    mock = Client(backend="mock")
    verses = mock.run("demo/poet", {"prompt": "sea"})
    with pytest.raises(InputError, match=r"text of a model .*str\(output\) is a row"):
        mock.map("demo/poet", verses)
    (result,) = mock.map("demo/poet", [{"prompt": verses}])  # as an input it is its text
    assert result.input == {"prompt": str(verses)}


def test_rows_may_go_unchecked(service: Service, client: Client) -> None:
    (result,) = client.map("acme/double", [{"n": "x"}], check_input=False)
    assert result.status == "rejected"
    assert "Expected: integer" in str(result.error)
    assert service.creates == 0


LABELS: tuple[Any, ...] = (
    "",
    " ",
    "a ",
    "a\nb",
    "a\x1b[31m",
    "a\u2028b",
    "\ud83d",
    "x" * 101,
    7,
    b"a",
    ["a"],
)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"erors": "raise"}, "does not know the option erors"),
        ({"errors": "ignore"}, "'collect', 'raise'"),
        ({"on_interrupt": "stop"}, "'cancel', 'detach'"),
        ({"retry": ("canceled",)}, "'failed', 'unknown', 'expired'"),
        ({"concurrency": 0}, "at least 1"),
        ({"creates_per_minute": 0}, "more than 0"),
        ({"retries": -1}, "0 or more"),
        ({"budget": 3.0}, "price="),
        *(({"label": each}, "1 to 100 characters") for each in LABELS),
    ],
)
def test_settings_that_cannot_be_meant_are_refused_at_once(
    client: Client, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        client.map("acme/double", numbers(1), **options)


def test_a_model_that_does_not_exist_is_an_error_before_anything_else(client: Client) -> None:
    with pytest.raises(NotFound, match="nothing was created"):
        list(client.map("acme/nothing", numbers(1)))
    with pytest.raises(InvalidReference):
        list(client.map("nothing", numbers(1)))


def test_budgets_of_predictions_and_seconds_need_no_price(service: Service, client: Client) -> None:
    results = list(client.map("acme/double", numbers(10), budget=Budget(predictions=4)))
    assert [each.status for each in results].count("skipped") == 6
    assert service.creates == 4
    results = list(
        client.map("acme/double", numbers(10, 100), budget=Budget(seconds=30), cancel_after=10, ordered=False)
    )
    assert sorted(each.index for each in results) == list(range(10))  # each took no time at all


def test_files_are_hashed_counted_and_sent_once(service: Service, client: Client, tmp_path: Path) -> None:
    @service.simulator.model("acme/weigh", workers=8)
    def weigh(file: Path, label: str = "") -> int:
        return len(file.read_bytes())

    large, small = tmp_path / "large.bin", tmp_path / "small.bin"
    large.write_bytes(b"x" * 400_000)
    small.write_bytes(b"y" * 100)
    copy = tmp_path / "copy.bin"
    copy.write_bytes(large.read_bytes())
    rows = [
        {"file": large, "label": "a"},
        {"file": large, "label": "b"},
        {"file": small},
        {"file": b"z" * 10},
    ]
    rows.append({"file": copy, "label": "a"})
    plan = client.plan("acme/weigh", rows)
    assert (plan.rows, plan.distinct, plan.invalid, plan.uploads) == (
        5,
        4,
        0,
        400_000,
    )  # the others go into the inputs
    results = list(client.map("acme/weigh", rows))
    assert [each.output for each in results] == [400_000, 400_000, 100, 10, 400_000]
    assert service.simulator.calls["files.create"] == 1


def test_files_of_rows_that_are_done_are_no_uploads(
    service: Service, client: Client, journal: Path, tmp_path: Path
) -> None:
    @service.simulator.model("acme/weigh")
    def weigh(files: list[Path]) -> int:
        return sum(len(file.read_bytes()) for file in files)

    done, new = tmp_path / "done.bin", tmp_path / "new.bin"
    done.write_bytes(b"x" * 400_000)
    new.write_bytes(b"y" * 300_000)
    list(client.map("acme/weigh", [{"files": [done]}], journal=journal))
    plan = client.plan("acme/weigh", [{"files": [done]}], journal=journal)
    assert (plan.cached, plan.uploads) == (1, 0)
    plan = client.plan("acme/weigh", [{"files": [done]}, {"files": [new, new]}], journal=journal)
    assert (plan.to_pay, plan.uploads) == (1, 300_000)
    with service.client(file_encoding="inline") as inline:
        assert inline.plan("acme/weigh", [{"files": [new]}], journal=journal).uploads == 0


def test_results_of_a_plan_that_was_closed_at_once_cost_nothing(service: Service, client: Client) -> None:
    batch = client.map("acme/double", numbers(3))
    del batch
    assert service.creates == 0


def test_both_forms_plan_before_they_run(service: Service, client: Client) -> None:
    async def main() -> int:
        async with client.async_map("acme/double", numbers(3)) as batch:
            assert batch.plan is not None
            return batch.plan.to_pay

    assert asyncio.run(main()) == 3
    assert trio.run(main) == 3


# How long it takes, where the rows wait, and what becomes of files.


@pytest.mark.parametrize(
    ("rows", "rate", "seconds", "said"),
    [
        (10, 600, 1.0, None),
        (1200, 600, 120.0, "takes at least 2 minutes: the account may create 600 predictions a minute"),
        (1200, 6, 12_000.0, "takes at least 3 hours: the account may create 6 predictions a minute"),
        (600, 6000, 6.0, None),
    ],
)
def test_a_plan_says_how_long_the_creates_take(
    client: Client, rows: int, rate: float, seconds: float, said: str | None
) -> None:
    plan = client.plan("acme/double", numbers(rows), creates_per_minute=rate)
    assert plan.seconds == seconds
    assert ("takes at least" in str(plan)) is (said is not None)
    assert said is None or said in str(plan)


def test_a_plan_takes_its_rate_from_the_backend_unless_it_is_told_one(client: Client) -> None:
    client.session.abilities = Abilities(creates_per_minute=6000)
    assert client.plan("acme/double", numbers(100)).seconds == 1
    assert client.plan("acme/double", numbers(100), creates_per_minute=60).seconds == 100


def test_a_plan_says_where_predictions_cost_no_money(client: Client) -> None:
    assert "cost no money" not in str(client.plan("acme/double", numbers(1)))
    client.session.abilities = Abilities(costs_money=False)
    plan = client.plan("acme/double", numbers(1))
    assert plan.free
    assert "predictions cost no money on this backend" in str(plan)


@pytest.mark.parametrize("named", [False, True])
def test_a_plan_says_where_the_rows_wait(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    folder = tmp_path / ("spool" if named else "journals")
    folder.mkdir()
    if named:
        monkeypatch.setenv("REPLICATE_KIT_SPOOL", str(folder))
    other = tmp_path / "journals"
    other.mkdir(exist_ok=True)
    plan = client.plan("acme/double", numbers(3), journal=other / "journal.sqlite")
    assert plan.spool == str(folder)
    assert str(folder) not in str(plan)  # that is for many rows
    assert f"the rows wait in {str(folder)!r}" in str(replace(plan, rows=1_000_000))
    assert list(folder.glob("*rows*")) == []


def test_a_folder_that_cannot_hold_the_rows_is_named(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLICATE_KIT_SPOOL", str(tmp_path / "missing"))
    with pytest.raises(JournalError, match=r"missing', which cannot .*REPLICATE_KIT_SPOOL"):
        client.plan("acme/double", numbers(3))


def test_a_plan_warns_of_files_that_nothing_saves(client: Client, tmp_path: Path) -> None:
    rows, said = [{"text": "a"}], "nothing saves them (save_to=)"
    assert said in str(client.plan("acme/pictures", rows))
    assert said not in str(client.plan("acme/pictures", rows, save_to=str(tmp_path)))
    assert said not in str(client.plan("acme/double", numbers(1)))
