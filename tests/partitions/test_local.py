"""A job whose parts all run in this process: its journal may be a file, or go with it."""

from __future__ import annotations

import gc
import pickle
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from inspect import currentframe
from pathlib import Path
from typing import Any

import pytest

from replicate_kit import Client
from replicate_kit.batch import Budget, journals
from replicate_kit.errors import BatchError, ConfigError, InputError, JournalError
from replicate_kit.partitions import Follower, Job, LocalOptions, PartitionOptions
from replicate_kit.simulator import Simulator
from replicate_kit.tables import Cells, OneColumn


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator() as simulator:

        @simulator.model("acme/strict")
        def strict(prompt: str) -> str:
            if prompt == "bad":
                raise ValueError("not this one")
            return prompt

        yield simulator


@pytest.fixture
def client(simulator: Simulator) -> Client:
    return Client(backend=simulator)  # an object of this process


def job(client: Client, **options: Any) -> Job:
    return Job.of("acme/strict", None, {"client": client, **options}, "run", local=True)


def prompts(*values: str | None) -> OneColumn:
    return OneColumn("prompt", Cells.of(values))


@pytest.mark.parametrize("journal", [None, "a file", "memory://local"])
def test_parts_pay_once_for_equal_rows(
    journal: str | None, client: Client, simulator: Simulator, tmp_path: Path
) -> None:
    path = str(tmp_path / "j.sqlite") if journal == "a file" else journal
    made = job(client, journal=path)
    threads = [threading.Thread(target=made, args=[prompts("a", None, "b")]) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert made(prompts("b", "c")).columns["output"] == ["b", "c"]
    assert simulator.created == 3
    with pytest.warns(UserWarning, match="2 rows of acme/strict") if journal is None else nullcontext():
        job(client, journal=path)(prompts("a", "b"))
    assert simulator.created == (5 if journal is None else 3)


def test_what_a_job_remembers_goes_with_it(client: Client) -> None:
    made = job(client)
    journal = made.journal
    made(prompts("a"))
    assert len(list(journals.entries(journal))) == 1
    del made
    gc.collect()
    with pytest.raises(JournalError, match="no ledger"):
        list(journals.entries(journal))


def test_what_a_job_remembers_stays_with_another_that_was_given_it(
    client: Client, simulator: Simulator
) -> None:
    first = job(client)
    first(prompts("a"))
    second = job(client, journal=first.journal)
    del first
    gc.collect()
    assert second(prompts("a", "b")).columns["output"] == ["a", "b"]
    assert simulator.created == 2
    journal = second.journal
    del second
    gc.collect()
    with pytest.raises(JournalError, match="no ledger"):
        list(journals.entries(journal))


# Rows that two jobs pay for.


def warned(run: Callable[[], Any]) -> list[warnings.WarningMessage]:
    """The warnings of a block."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run()
    return caught


def test_the_job_that_pays_second_says_so_once_and_where_both_were_made(
    client: Client, simulator: Simulator
) -> None:
    line = currentframe().f_lineno + 1  # type: ignore[union-attr]
    first = Job.of("acme/strict", None, {"client": client}, "run", local=True)
    second = Job.of("acme/strict", None, {"client": client, "errors": "collect"}, "run", local=True)
    assert warned(lambda: first(prompts("a", "b", "a"))) == []
    [said] = warned(lambda: [second(prompts(*each)) for each in ("cd", ["a", "c", None], "bcd")])
    assert (said.category, said.filename, said.lineno) == (UserWarning, __file__, line + 1)
    assert f"has paid for 1 row of acme/strict so far that what was built at {__file__}:{line} had" in str(
        said.message
    )
    assert "Pass the same journal= to both" in str(said.message)
    assert warned(lambda: first(prompts("a", "b"))) == []  # has it all
    assert simulator.created == 6


NOT_TWICE: dict[str, tuple[dict[str, Any], dict[str, Any], list[str]]] = {
    "other rows": ({}, {}, ["c", "d"]),
    "no rows": ({}, {}, []),
    "one journal": ({"journal": "memory://both"}, {"journal": "memory://both"}, ["a", "b"]),
    "two journals that were chosen": ({"journal": "memory://one"}, {"journal": "memory://two"}, ["a", "b"]),
    "another input": ({}, {"into": "title"}, ["a", "b"]),
    "another model": ({}, {"model": "acme/other"}, ["a", "b"]),
    "another token": ({}, {"client": "r8_other"}, ["a", "b"]),
}
"""Options of two jobs of which the second pays for nothing that the first had paid for, and the rows of that."""


@pytest.mark.parametrize(("one", "other", "rows"), NOT_TWICE.values(), ids=NOT_TWICE)
def test_nothing_is_said_where_nothing_was_paid_twice(
    one: dict[str, Any], other: dict[str, Any], rows: list[str], client: Client, simulator: Simulator
) -> None:
    @simulator.model("acme/other")
    def other_model(prompt: str = "", title: str = "") -> str:
        return prompt + title

    if "client" in other:
        other = {**other, "client": Client(other["client"], backend=simulator)}
    made = [
        Job.of(
            chosen.pop("model", "acme/other" if "into" in other else "acme/strict"),
            None,
            chosen,
            "run",
            local=True,
        )
        for chosen in ({"client": client, **one}, {"client": client, **other})
    ]
    assert warned(lambda: made[0](prompts("a", "b"))) == warned(lambda: made[1](prompts(*rows))) == []


def test_nothing_is_said_of_a_job_that_is_gone(client: Client, simulator: Simulator) -> None:
    assert warned(lambda: [job(client)(prompts("a")) for _ in range(2)]) == []
    assert simulator.created == 2  # it goes at once, without a look for circles


def test_a_job_that_has_the_journal_of_another_pays_with_it(client: Client, simulator: Simulator) -> None:
    first = job(client)
    second = job(client, journal=first.journal)
    assert warned(lambda: [each(prompts("a", "b")) for each in (first, second)]) == []
    assert len(warned(lambda: job(client)(prompts("a")))) == 1


def test_what_was_paid_by_a_part_that_failed_counts(client: Client) -> None:
    first, second = job(client), job(client)

    def fail(made: Job) -> None:
        with pytest.raises(BatchError):
            made(prompts("bad", "a"))

    assert warned(lambda: fail(first)) == []
    [said] = warned(lambda: fail(second))
    assert "2 rows" in str(said.message)


def test_of_parts_that_run_at_the_same_time_one_says_so(client: Client, simulator: Simulator) -> None:
    made = [job(client) for _ in range(2)]

    def run() -> None:
        threads = [threading.Thread(target=each, args=[prompts("a", "b", "c")]) for each in made]
        for each in threads:
            each.start()
        for each in threads:
            each.join()

    assert len(warned(run)) == 1
    assert simulator.created == 6


def test_a_file_means_what_it_meant_when_the_job_was_made(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = job(client, journal="j.sqlite")
    monkeypatch.chdir("/")
    made(prompts("a"))
    assert (tmp_path / "j.sqlite").is_file()


def test_a_budget_is_of_the_job(client: Client, simulator: Simulator) -> None:
    made = job(client, budget=Budget(predictions=1, per="journal"), errors="collect")
    assert [made(prompts(each)).columns["output"] for each in "ab"] == [["a"], [None]]
    assert simulator.created == 1


def test_it_stays_in_its_process(client: Client) -> None:
    with pytest.raises(InputError, match="cannot be sent to another one"):
        pickle.dumps(job(client))


def test_options_of_a_store_may_be_objects_of_this_process(client: Client) -> None:
    session = threading.Lock()  # cannot be pickled
    made = job(client, save_to="s3://bucket/wombats", storage_options={"session": session})
    assert made.options["save_to"].options["session"] is session


def test_failed_rows_name_the_journal_that_the_job_has(client: Client, simulator: Simulator) -> None:
    made = job(client)
    with pytest.raises(BatchError, match=r"1 of 2 rows of a part failed(?s:.*)retry\('memory://") as caught:
        made(prompts("a", "bad"))
    assert caught.value.journal == made.journal


def test_the_advice_of_a_budget_that_is_used_up_is_there_to_its_end(client: Client) -> None:
    made = job(client, budget=Budget(predictions=1, per="journal"))
    with pytest.raises(
        BatchError, match=r"Raise budget= and run it again(?s:.*)what is done is free then\."
    ) as caught:
        made(prompts("a", "b"))
    assert "retry" not in str(caught.value)  # these rows were never paid for


def test_an_error_without_end_is_cut(client: Client, simulator: Simulator) -> None:
    @simulator.model("acme/strict")
    def strict(prompt: str) -> str:
        raise ValueError("no " * 500)

    with pytest.raises(BatchError) as caught:
        job(client)(prompts("a"))
    assert "…\n" in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (1, "Numbers become text in a template"),
        ({"a": 1}, "Dicts become columns with a selection of their fields"),
        ("a", "Numbers in a column of text become numbers with a cast of that column"),
    ],
)
def test_rows_that_the_model_does_not_take_have_the_hints_of_accessors(
    value: Any, hint: str, client: Client, simulator: Simulator
) -> None:
    @simulator.model("acme/both")
    def both(prompt: str = "", count: int = 1) -> str:
        return prompt * count

    into = "count" if isinstance(value, str) else "prompt"
    made = Job.of("acme/both", None, {"client": client, "into": into}, "run", local=True)
    with pytest.raises(InputError, match=f"nothing of this part was created(?s:.*){hint}"):
        made(prompts(value))


def test_what_a_row_says_of_partitions_stays(client: Client) -> None:
    with pytest.raises(InputError, match="'a partition'"):
        job(client)(OneColumn("prompt", Cells.of([1]), lambda _: "a partition"))


def test_a_part_that_is_refused_speaks_of_itself(client: Client) -> None:
    with pytest.raises(InputError, match="nothing of this part was created"):
        job(client)(OneColumn("prompt", Cells.of([1])))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"send_token": True}, "does not know the option send_token"),
        ({"journal": 5}, "journal"),
        ({"journal": "redis://h"}, "Pass the path of a file"),
        ({"dedupe": False}, "no meaning over parts"),
        ({"budget": Budget(predictions=5)}, "all parts spend that together"),
        ({"save_to": "files/{row}{ext}"}, "within their part only"),
    ],
)
def test_what_has_no_meaning_is_refused(options: dict[str, Any], said: str, client: Client) -> None:
    with pytest.raises(ConfigError, match=said):
        job(client, **options)


def test_options_are_those_of_partitions_but_for_the_token() -> None:
    assert PartitionOptions.__optional_keys__ - LocalOptions.__optional_keys__ == {"send_token"}


def test_the_progress_is_shown_as_long_as_parts_run(
    client: Client, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("replicate_kit.partitions._following._PAUSE", 0.01)
    made = job(client, progress=True)
    follower = Follower(made, lambda: True)
    follower.note("one", runs=True)
    made(prompts("a", "b"))
    follower.note("one", runs=False)
    for each in threading.enumerate():
        if each.name == "replicate-kit-follow":
            each.join()
    assert "2" in capsys.readouterr().err
