"""Journals that hold hashes in place of inputs: nothing of a prompt is at rest, and nothing is paid twice."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest

from replicate_kit import BatchError, Client, SaveTo
from replicate_kit._unresolved.canonical import fingerprint
from replicate_kit._unresolved.echoes import Echoes, Similarity
from replicate_kit.batch import journals
from replicate_kit.batch._engine import requests
from replicate_kit.batch._ledger.hashing import input_hash, without_inputs
from replicate_kit.errors import ConfigError, JournalError, UnknownPrediction
from replicate_kit.simulator import Fault

from ...served import Command
from ..bending import bent, list_nothing, predictions
from ..conftest import Service

HERE = Path(__file__).parents[1]
CANARY = "canary-7f3a"  # part of every private text here


def found_in(folder: Path, word: str = CANARY) -> list[str]:
    """The files below a folder that have a word in them or in their names."""
    spelled = [word.encode(), word.encode("utf-16-le"), word.upper().encode(), word.encode().hex().encode()]
    files = [each for each in folder.rglob("*") if each.is_file()]
    return [
        str(each)
        for each in files
        if any(word in each.read_bytes() + os.fsencode(each.name) for word in spelled)
    ]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for all that a run writes, its temporary files among them."""
    for name in ("XDG_CACHE_HOME", "SQLITE_TMPDIR", "TMPDIR", "REPLICATE_KIT_SPOOL"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name))
    return tmp_path


@pytest.fixture
def service(service: Service) -> Service:
    """A service with models whose outputs say nothing of their inputs."""
    model = service.simulator.model

    @model("acme/quiet", workers=64)
    def quiet(prompt: str) -> int:
        return len(prompt)

    @model("acme/anything", workers=64)
    def anything(prompt: str = "", more: Any = None, seed: int = 0) -> int:
        return 1

    @model("acme/quoting", workers=64)
    def quoting(prompt: str) -> int:
        raise ValueError(f"cannot draw {prompt!r}: {prompt}")

    return service


PRIVATE: dict[str, dict[str, Any]] = {
    "a text": {"prompt": f"the diagnosis of {CANARY}"},
    "marks": {"prompt": f'"quotes" \\ {CANARY}\n\ttab \x7f é 漢字 🦘'},
    "a long text": {"prompt": f"{CANARY} " * 5000},
    "lists and mappings": {"more": {"a": [CANARY, {"b": f"{CANARY}!"}]}},
    "a name": {"more": {CANARY: 1}},
    "bytes": {"more": f"data:text/plain,{CANARY}"},
    "what is null": {"prompt": CANARY, "more": None},
}


@pytest.mark.parametrize("how", PRIVATE)
@pytest.mark.parametrize("named", [True, False])
def test_nothing_of_an_input_is_left_where_a_run_has_ended(
    service: Service, client: Client, folder: Path, how: str, named: bool
) -> None:
    rows = [PRIVATE[how], PRIVATE[how] | {"seed": 1}]
    journal = folder / "journal.sqlite" if named else None
    batch = client.map("acme/anything", rows, journal=journal, journal_inputs="hash", check_input=False)
    seen: list[str] = []
    for each in batch:
        seen += found_in(folder)  # while it runs as well
        assert each.input in rows
    assert seen == found_in(folder) == []


def test_the_files_of_inputs_are_not_left_either(service: Service, client: Client, folder: Path) -> None:
    (private := folder.parent / f"{folder.name}-private.txt").write_text(CANARY)
    rows = [{"more": private}, {"more": BytesIO(f"more {CANARY}".encode())}]
    journal = folder / "journal.sqlite"
    list(client.map("acme/anything", rows, journal=journal, journal_inputs="hash", check_input=False))
    assert found_in(folder) == []


@pytest.mark.parametrize("prompt", [f"a {CANARY}", f" a {CANARY}\n", f'it\'s "{CANARY}" \\ é'])
def test_an_error_that_quotes_an_input_is_written_without_it(
    service: Service, client: Client, folder: Path, prompt: str
) -> None:
    journal = folder / "journal.sqlite"
    rows = [{"prompt": prompt}]
    options: Any = {"journal": journal, "journal_inputs": "hash", "retry": ("failed",), "retries": 0}
    list(client.map("acme/quoting", rows, **options))
    (result,) = client.map("acme/quoting", rows, **options)
    assert "cannot draw '[REDACTED]'" in str(result.error)
    assert result.error is not None
    assert result.error.prediction is not None
    assert result.error.prediction.input == rows[0]
    assert found_in(folder) == []


@pytest.mark.parametrize(
    "detail",
    [f"input.prompt: '{CANARY} in full' is wrong", [{"loc": ["input"], "input": f"{CANARY} in full"}]],
)
def test_what_a_server_says_of_a_refused_input_is_written_without_it(
    service: Service, folder: Path, detail: Any
) -> None:
    def refuse(request: httpx.Request, body: Any) -> httpx.Response | None:
        refused = httpx.Response(422, json={"detail": detail, "status": 422}, request=request)
        return refused if request.method == "POST" else None

    with bent(service, refuse) as client:
        rows = [{"prompt": f"{CANARY} in full"}]
        (result,) = client.map("acme/quiet", rows, journal=folder / "journal.sqlite", journal_inputs="hash")
    assert result.status == "rejected"
    assert "[REDACTED]" in str(result.error)
    assert found_in(folder) == []


def test_names_within_an_input_are_not_quoted_and_those_of_inputs_are() -> None:
    text = json.dumps({"prompt": {"diagnosis": 1, "list": [{"another": None}]}})
    error = {"kind": "InputError", "message": "prompt: diagnosis is no name, nor is another"}
    said = "prompt: [REDACTED] is no name, nor is [REDACTED]"
    assert without_inputs(error, text) == {"kind": "InputError", "message": said}


@pytest.mark.parametrize("prompt", ["fail", "no", "", " "])
def test_words_of_an_error_stay_where_the_input_is_no_text_of_its_own(prompt: str) -> None:
    error = {"kind": "fail", "message": "no such thing"}
    assert without_inputs(error, json.dumps({"prompt": prompt})) == error


def test_saved_files_are_named_by_the_hash(service: Service, client: Client, folder: Path) -> None:
    options: Any = {"journal": folder / "journal.sqlite", "journal_inputs": "hash"}
    rows = [{"text": CANARY[:3], "count": 2}, {"text": f"a {CANARY}"}]
    # The pictures of this model hold their texts, as outputs may: the folder is not looked through.
    saved = folder.parent / f"{folder.name}-saved"
    results = list(
        client.map(
            "acme/pictures", rows, save_to=SaveTo(str(saved), manifest=True), check_input=False, **options
        )
    )
    assert [each.status for each in results] == ["succeeded"] * 2
    names = [Path(url).name for each in results for url in each.files]
    assert all(name.startswith("output-") for name in names)
    assert found_in(folder) == []
    again = list(client.map("acme/pictures", rows, save_to=str(saved), check_input=False, **options))
    assert [each.files for each in again] == [each.files for each in results]
    assert service.creates == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"save_to": "{0}/{{prompt}}-{{row}}{{ext}}"}, "The template of save_to puts prompt into the names"),
        (
            {"save_to": "{0}", "stems": lambda index, input: input["text"]},
            "stems= may put inputs into the names",
        ),
    ],
)
def test_names_of_files_that_hold_inputs_are_warned_of(
    service: Service, client: Client, folder: Path, caplog: pytest.LogCaptureFixture, options: Any, said: str
) -> None:
    service.simulator.model("acme/draw")(_draw)
    options = options | {"save_to": options["save_to"].format(folder)}
    rows = [{"prompt": "a", "text": "b"}]
    list(client.map("acme/draw", rows, journal=folder / "j.sqlite", journal_inputs="hash", **options))
    assert said in caplog.text


def _draw(prompt: str, text: str = "") -> bytes:
    return b"\x89PNG\r\n\x1a\n"


@pytest.mark.skipif(os.name == "nt", reason="Windows does not let go of files that are open")
def test_a_journal_that_is_rescued_holds_none(service: Service, client: Client, folder: Path) -> None:
    (folder / "own").mkdir()
    journal = folder / "own" / "journal.sqlite"
    rows = [{"prompt": f"{CANARY} {number}"} for number in range(40)]
    batch = client.map("acme/quiet", rows, journal=journal, journal_inputs="hash", concurrency=2)
    next(batch)
    journal.unlink()
    with pytest.raises(BatchError, match="rescued") as caught:
        list(batch)
    error = caught.value
    assert error.journal is not None
    assert found_in(folder) == []
    results = list(client.map("acme/quiet", rows, journal=error.journal, journal_inputs="hash"))
    assert [each.output for each in results] == [len(row["prompt"]) for row in rows]
    assert service.creates == 40


# Killed runs.


@pytest.fixture
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server with a quiet model."""
    with Command(tmp_path_factory.mktemp("served"), str(HERE / "quiet.py"), "--quiet") as (_, url, _):
        yield url


def created(url: str) -> int:
    """How many predictions a server has made, by its own count."""
    return int(httpx.get(f"{url}/_control").json()["created"])


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize("when", ["before", "after", "never"])
@pytest.mark.parametrize(("first", "second"), [("hash", "hash"), ("keep", "hash"), ("hash", "keep")])
def test_a_run_that_was_killed_is_taken_up_whatever_either_run_keeps(
    served: str, folder: Path, monkeypatch: pytest.MonkeyPatch, first: str, second: Any, when: str
) -> None:
    monkeypatch.setattr(requests, "SETTLING", 2.0)  # of a server that acts and lists at once
    journal = folder / "journal.sqlite"
    rows = [{"prompt": f"{CANARY} {'x' * number}"} for number in range(5)]
    command = [sys.executable, str(HERE / "killed.py"), served, str(journal), first, when, json.dumps(rows)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert journal.exists()
    assert bool(found_in(folder)) == (first == "keep")
    with Client("r8_test", backend="http", base_url=served, timeout=1.0, poll_interval=0.05) as client:
        more = [{"prompt": f"{CANARY} more"}, *reversed(rows)]
        results = list(client.map("acme/quiet", more, journal=journal, journal_inputs=second))
    assert [each.output for each in results] == [len(row["prompt"]) for row in more]
    assert created(served) == len(more)
    if (first, second) == ("hash", "hash"):
        assert found_in(folder) == []


# Journals of runs that keep inputs and of runs that do not.


def kept(journal: Path) -> list[bool]:
    """Whether each row of a journal has its input."""
    return [each["input"] is not None for each in journals.entries(journal)]


def test_a_row_has_what_the_run_keeps_that_wrote_it_last(
    service: Service, client: Client, journal: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [{"prompt": f"{number}"} for number in range(3)]
    list(client.map("acme/quiet", rows[:2], journal=journal))
    list(client.map("acme/quiet", rows, journal=journal, journal_inputs="hash"))
    assert "has the inputs of 2 rows of earlier runs" in caplog.text
    assert kept(journal) == [True, True, False]
    list(client.map("acme/quiet", rows, journal=journal))
    assert kept(journal) == [True, True, False]  # nothing was written
    assert service.creates == 3


@pytest.mark.parametrize(("first", "second"), [("hash", "keep"), ("keep", "hash")])
def test_a_row_that_is_paid_again_has_what_that_run_keeps(
    service: Service, client: Client, journal: Path, first: Any, second: Any
) -> None:
    rows = [{"prompt": CANARY}]
    list(client.map("acme/quoting", rows, journal=journal, journal_inputs=first, retries=0))
    assert kept(journal) == [first == "keep"]
    options: Any = {"retry": ("failed",), "retries": 0}
    list(client.map("acme/quoting", rows, journal=journal, journal_inputs=second, **options))
    assert kept(journal) == [second == "keep"]
    assert service.creates == 2


def test_inputs_that_a_journal_has_are_replaced_for_good(
    service: Service, client: Client, folder: Path
) -> None:
    journal = folder / "journal.sqlite"
    rows = [{"prompt": f"{CANARY} {number} {'x' * (number * 97 % 3000)}"} for number in range(60)]
    list(client.map("acme/quiet", rows, journal=journal))
    for _ in range(2):
        list(client.map("acme/quoting", rows[:3], journal=journal, retries=0, retry=("failed",)))
    assert found_in(folder)
    before = [each["input_hash"] for each in journals.entries(journal)]
    assert journals.hash_inputs(journal) == 63
    assert found_in(folder) == []
    assert [each["input_hash"] for each in journals.entries(journal)] == before
    assert journals.hash_inputs(journal) == 0
    results = list(client.map("acme/quiet", rows, journal=journal, journal_inputs="hash"))
    assert all(each.cached for each in results)
    assert service.creates == 66


def test_inputs_are_not_replaced_while_a_run_uses_the_journal(client: Client, journal: Path) -> None:
    with (
        client.map("acme/double", [{"n": 1}], journal=journal),
        pytest.raises(JournalError, match="A run uses"),
    ):
        journals.hash_inputs(journal)


# What needs inputs.


def test_entries_have_hashes_that_anybody_can_make_of_a_row(
    service: Service, client: Client, journal: Path
) -> None:
    row = {"prompt": "é", "seed": 2.0}
    list(client.map("acme/anything", [row], journal=journal, journal_inputs="hash"))
    (entry,) = journals.entries(journal)
    made = sha256('{"prompt":"é","seed":2}'.encode()).hexdigest()
    assert (entry["input"], entry["input_hash"]) == (None, f"sha256:{made}")
    assert input_hash(entry["input_hash"]) == entry["input_hash"]


@pytest.mark.parametrize("right", [True, False])
def test_a_row_is_settled_without_its_input(
    make_service: Callable[..., Service], journal: Path, right: bool
) -> None:
    service = make_service(faults=[Fault(operation="*.create", calls={2}, cut=True, acted=True)])
    rows = [{"n": number} for number in range(3)]
    options: Any = {"journal": journal, "journal_inputs": "hash", "concurrency": 1}
    with bent(service, list_nothing) as client:
        assert [each.status for each in client.map("acme/double", rows, **options)].count("unknown") == 1
    (entry,) = journals.entries(journal, ["unknown"])
    known = {each["prediction_id"] for each in journals.entries(journal)}
    with service.client() as client:
        other = client.predictions.create(model="acme/double", input={"n": 77}).id
        (id,) = {each.id for each in client.predictions.list_all()} - known - {other}
    journals.settle(journal, entry["key"], prediction_id=id if right else other)
    with bent(service, list_nothing) as client:
        results = list(client.map("acme/double", rows, **options))
    assert service.creates == 4
    assert [each.status for each in results].count("unknown") == (not right)


@pytest.mark.parametrize("dedupe", [True, False])
def test_rows_are_found_again_by_plans_retries_and_samples(
    service: Service, client: Client, journal: Path, dedupe: bool
) -> None:
    rows = [{"prompt": "a"}, {"prompt": "b"}, {"prompt": "a"}]
    options: Any = {"journal": journal, "journal_inputs": "hash", "dedupe": dedupe}
    list(client.map("acme/quoting", rows, retries=0, **options))
    assert client.plan("acme/quoting", rows, **options).to_pay == 0
    assert journals.retry(journal) == (2 if dedupe else 3)
    assert client.plan("acme/quoting", rows, **options).to_pay == (2 if dedupe else 3)


@pytest.mark.parametrize("wrong", ["none", "", None, True, "sha256"])
def test_what_no_journal_can_do_with_inputs_is_refused(client: Client, wrong: Any) -> None:
    with pytest.raises(ConfigError, match=r"journal_inputs=.* must be one of 'keep', 'hash'"):
        client.map("acme/double", [{"n": 1}], journal_inputs=wrong)


def test_the_rows_of_a_run_wait_in_a_file_without_a_name(client: Client, journal: Path) -> None:
    batch = client.map("acme/double", [{"n": 1}], journal=journal)
    with batch:
        beside = {each.name for each in journal.parent.iterdir()}
    assert not [each for each in beside if "rows" in each]  # nobody else can open it
    with closing(sqlite3.connect(journal)) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    assert "rows" not in tables


# What a server shows of inputs that are known by their hash alone.

SENT = {"text": "a wombat by the sea", "n": 7}
CHANGES: dict[str, dict[str, Any]] = {
    "cut": {"text": "a wombat"},
    "hidden": {"text": "…"},
    "upper case": {"text": "A WOMBAT BY THE SEA"},
    "bounded": {"n": 5},
    "filled in": {"seed": 12},
}


@pytest.mark.parametrize("shown", ["removed", "nothing to see", ""])
def test_a_server_that_hides_some_inputs_does_not_make_us_pay_twice_for_those(
    service: Service, journal: Path, shown: str
) -> None:
    def hide(request: httpx.Request, body: Any) -> None:
        for each in predictions(body):
            if "wicked" in each["input"]["prompt"]:
                each["input"]["prompt"] = shown

    plain = [{"prompt": f"a harmless text of many letters {'x' * number}"} for number in range(6)]
    wicked = [{"prompt": f"a wicked text {'y' * number}"} for number in range(3)]
    options: Any = {"journal": journal, "journal_inputs": "hash"}
    with bent(service, hide) as client:
        list(client.map("acme/quiet", plain + wicked[:2], **options))
        service.simulator.faults.add(Fault(operation="*.create", cut=True, acted=True, times=1))
        (result,) = client.map("acme/quiet", wicked[2:], **options)
    assert isinstance(result.error, UnknownPrediction)
    assert service.creates == 9


@pytest.mark.parametrize("partial", [True, False])
@pytest.mark.parametrize("trusting", [True, False])
@pytest.mark.parametrize("how", CHANGES)
def test_a_server_that_changes_inputs_which_nobody_knows_any_more_proves_nothing(
    how: str, trusting: bool, partial: bool
) -> None:
    echoes = Echoes(partial=partial, trusting=trusting)
    for number in range(9):  # others are shown as they were sent
        echoes.learn_hashed(fingerprint({**SENT, "n": number}), {**SENT, "n": number})
    assert echoes.compare({**SENT, "n": 8}, SENT) is Similarity.OTHER
    echoes.learn_hashed(fingerprint(SENT), SENT | CHANGES[how])
    assert echoes.compare({**SENT, "n": 8}, SENT) is Similarity.PERHAPS


def test_defaults_that_are_filled_in_are_no_change() -> None:
    echoes = Echoes({"by": 3})
    for number in range(9):
        echoes.learn_hashed(fingerprint({"n": number}), {"n": number, "by": 3.0})
    assert echoes.compare({"n": 4, "by": 3}, {"n": 5}) is Similarity.OTHER
    assert echoes.compare({"n": 4, "by": 3}, {"n": 4}) is Similarity.SAME


@pytest.mark.parametrize("hash", [None, b"", bytes(16)])
def test_an_input_that_is_not_shown_teaches_nothing(hash: bytes | None) -> None:
    echoes = Echoes(trusting=True)
    echoes.learn_hashed(hash, {})
    assert echoes.compare({"n": 1}, {"n": 2}) is Similarity.OTHER
