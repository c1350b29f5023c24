"""`replicate-kit map`: tables in, tables out."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from replicate_kit import Client
from replicate_kit.cli._tables.tables import read_columns, read_rows, write_rows
from replicate_kit.serving import Server
from replicate_kit.simulator import default, metric, sleep

Invoke = Callable[..., Result]

ROWS: list[dict[str, Any]] = [
    {"animal": "wombat", "place": "sea", "id": "1"},
    {"animal": "fox", "place": "snow", "id": "2"},
    {"animal": "owl", "place": None, "id": "3"},
    {"animal": "wombat", "place": "sea", "id": "4"},
]
POEM = ("demo/poet", "-i", "prompt={animal} at {place}", "-s", "lines=1")
"""A model over these rows: two predictions, one row shared, one skipped."""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    write_rows(tmp_path / "animals.csv", list(ROWS[0]), ROWS)
    return tmp_path / "animals.csv"


def run(invoke: Invoke, table: Path, *arguments: object, code: int = 0) -> dict[str, Any]:
    """Map, and give the summary."""
    result = invoke("map", arguments[0], table, *arguments[1:], "--json")
    assert result.exit_code == code, result.output
    summary: dict[str, Any] = json.loads(result.stdout)
    return summary


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_results_stand_beside_the_columns_of_the_table(invoke: Invoke, tmp_path: Path, suffix: str) -> None:
    table, out = tmp_path / f"animals{suffix}", tmp_path / f"results{suffix}"
    write_rows(table, list(ROWS[0]), ROWS)
    before = default().created
    summary = run(invoke, table, *POEM, "-s", "seed=1", "--out", out)
    rows = list(read_rows(out))
    assert [{name: row[name] for name in ROWS[0]} for row in rows] == ROWS
    assert [row["status"] for row in rows] == ["succeeded", "succeeded", "skipped", "succeeded"]
    assert rows[0]["output"] == rows[3]["output"] != rows[1]["output"]
    assert (rows[2]["output"], rows[2]["error"], rows[2]["prediction_id"]) == (None, None, None)
    assert default().created - before == summary["created"] == 2


def test_running_it_again_costs_nothing(invoke: Invoke, table: Path) -> None:
    run(invoke, table, *POEM)
    before = default().created
    summary = run(invoke, table, *POEM)
    assert (default().created, summary["created"], summary["cached"]) == (before, 0, 3)


def test_a_longer_table_costs_its_new_rows_only(invoke: Invoke, table: Path) -> None:
    run(invoke, table, *POEM)
    write_rows(table, list(ROWS[0]), [{"animal": "hare", "place": "moor", "id": "0"}, *ROWS])
    assert run(invoke, table, *POEM)["created"] == 1


def test_prices_of_metrics_add_up(invoke: Invoke, table: Path) -> None:
    @default().model("demo/counter")
    def counter(prompt: str) -> str:
        metric("output_token_count", 100)
        metric("image_count", 2)
        return prompt

    price = ("--price", "output_token_count=0.001", "--price", "image_count=0.5")
    most = ("--most", "output_token_count=500", "--most", "image_count=4")
    args = (table, *POEM[1:3], *price, *most, "--limit", 1, "--json")
    planned = invoke("map", "demo/counter", *args, "--dry-run")
    assert json.loads(planned.stdout)["cost"] == 2.5
    result = invoke("map", "demo/counter", *args)
    assert (json.loads(result.stdout)["cost"], json.loads(result.stdout)["estimate"]) == (1.1, 2.5)
    budget = ("--budget", "output_token_count=599", "--budget", 10)
    args = (*args[:-3], *budget, "--journal", table.with_name("new.sqlite"), "--force")
    planned = invoke("map", "demo/counter", *args, "--dry-run")
    assert "sure to fit into the budget: 1 prediction\n" in planned.stdout
    result = invoke("map", "demo/counter", *args, "--json", "--concurrency", 1)
    assert [json.loads(result.stdout)[name] for name in ("created", "left_out")] == [1, 1]


def test_a_metric_that_is_not_there_is_told_in_the_words_of_the_command_line(
    invoke: Invoke, table: Path, caplog: pytest.LogCaptureFixture
) -> None:
    invoke("map", *POEM[:1], table, *POEM[1:], "--price", "words=1", "--most", "words=9")
    assert caplog.text.count("does not say its words") == 1
    assert "use that in --price and --most" in caplog.text


def test_dry_run_tells_the_price_and_creates_nothing(invoke: Invoke, table: Path) -> None:
    before = default().created
    result = invoke("map", "demo/poet", table, *POEM[1:], "--dry-run", "--price", "0.5")
    assert result.exit_code == 0
    assert "2 predictions to pay" in result.stdout
    assert "costs at most 1.00" in result.stdout
    assert default().created == before
    assert run(invoke, table, *POEM, "--dry-run")["to_pay"] == 2


def test_dry_run_looks_at_the_store_with_its_options(invoke: Invoke, table: Path, vault: str) -> None:
    assert "--storage-options" in invoke("map", "demo/poet", table, *POEM[1:], "--save-to", vault).stderr
    options = ("--save-to", vault, "--storage-options", '{"key": "of brass"}', "--dry-run")
    assert run(invoke, table, *POEM, *options)["to_pay"] == 2


def test_rows_that_cannot_be_sent_stop_it_before_anything_is_created(invoke: Invoke, table: Path) -> None:
    write_rows(
        table,
        ["prompt", "lines"],
        [{"prompt": None}, {"prompt": "a", "lines": "two"}, {"prompt": "b", "lines": "2"}],
    )
    before = default().created
    result = invoke("map", "demo/poet", table)
    assert result.exit_code == 2
    assert "row 2:\n- input.lines: Invalid type" in result.stderr
    assert "--skip-invalid" in result.stderr
    assert default().created == before
    assert run(invoke, table, "demo/poet", "--skip-invalid", code=3)["succeeded"] == 1
    errors = [row["error"] for row in read_rows(table.with_name("animals-results.csv"))]
    assert errors[0] is errors[2] is None
    assert str(errors[1]).startswith("- input.lines: Invalid type")


def test_rows_are_numbered_as_they_stand_in_the_table(invoke: Invoke, table: Path) -> None:
    write_rows(table, ["prompt", "lines"], [{"prompt": None}, {"prompt": "a", "lines": "two"}])
    planned = invoke("map", "demo/poet", table, "--dry-run")
    assert planned.exit_code == 2
    assert "with empty cells, which are skipped: 1" in planned.stdout
    assert "row 2:\n- input.lines" in planned.stdout
    told = invoke("map", "demo/poet", table, "--skip-invalid").stderr
    assert "1 row not sent. Correct the table" in told
    assert "--retry failed" not in told


def test_files_are_saved_under_names_from_the_row(invoke: Invoke, table: Path, tmp_path: Path) -> None:
    name = str(tmp_path / "pictures" / "{row}-{prompt}")
    size = ("-s", "width=16", "-s", "height=16")
    run(
        invoke,
        table,
        "demo/painter",
        "-i",
        "prompt=animal",
        *size,
        "--save-to",
        name,
        "--manifest",
        "--gallery",
        tmp_path / "index.html",
    )
    saved = sorted(path.name for path in (tmp_path / "pictures").glob("*.png"))
    assert saved == ["0-wombat.png", "1-fox.png", "2-owl.png"]
    assert (tmp_path / "pictures" / "manifest.jsonl").is_file()
    assert 'src="pictures/0-wombat.png"' in (tmp_path / "index.html").read_text("utf-8")
    outputs = [row["output"] for row in read_rows(tmp_path / "animals-results.csv")]
    assert [Path(each).name for each in outputs] == ["0-wombat.png", "1-fox.png", "2-owl.png", "0-wombat.png"]


def test_several_files_are_a_list_in_json(invoke: Invoke, table: Path, tmp_path: Path) -> None:
    options = (
        "-i",
        "prompt=animal",
        "-s",
        "width=16",
        "-s",
        "height=16",
        "-s",
        "num_outputs=2",
        "--limit",
        1,
    )
    run(invoke, table, "demo/painter", *options)
    (row,) = read_rows(tmp_path / "animals-results.csv")
    assert len(json.loads(row["output"])) == 2


def test_a_row_that_does_not_fit_is_told_with_one_remark_that_nothing_was_created(
    invoke: Invoke, table: Path
) -> None:
    result = invoke("map", "demo/poet", table, "-i", "prompt={animal:d}")
    assert result.exit_code == 2
    assert "The input of row 1 could not be made" in result.stderr
    assert result.stderr.count("othing was created") == 1


def test_one_thing_that_is_no_file_is_a_list_in_json_too(invoke: Invoke, table: Path, tmp_path: Path) -> None:
    @default().model("acme/labels")
    def labels(prompt: str) -> list[dict[str, Any]]:
        return [{"of": "data:text/plain;base64,YQ==", "words": [prompt]}]

    run(invoke, table, "acme/labels", "-i", "prompt=animal", "--limit", 1)
    (row,) = read_rows(tmp_path / "animals-results.csv")
    assert json.loads(row["output"]) == [{"of": "data:text/plain;base64,YQ==", "words": ["wombat"]}]


def test_failed_rows_make_exit_code_3_and_can_be_tried_again(invoke: Invoke, table: Path) -> None:
    arguments = ("demo/flaky", "-i", "prompt=animal", "-s", "failure_rate=1", "--retries", 0)
    assert run(invoke, table, *arguments, code=3)["created"] == 3
    assert run(invoke, table, *arguments, code=3)["created"] == 0
    assert run(invoke, table, *arguments, "--retry", "failed", code=3)["created"] == 3
    result = invoke("map", arguments[0], table, *arguments[1:])
    assert "--retry failed" in result.stderr
    assert "animals.journal.sqlite" in result.stderr


def test_what_was_paid_for_is_not_paid_again_for_results_elsewhere(
    invoke: Invoke, table: Path, tmp_path: Path
) -> None:
    assert run(invoke, table, *POEM)["created"] == 2
    summary = run(invoke, table, *POEM, "--out", tmp_path / "elsewhere.jsonl")
    assert (summary["created"], summary["journal"]) == (0, str(tmp_path / "animals.journal.sqlite"))
    assert run(invoke, table, *POEM, "--journal", tmp_path / "another.sqlite", "--force")["created"] == 2


def test_no_more_is_created_than_was_allowed(invoke: Invoke, table: Path) -> None:
    before = default().created
    summary = run(invoke, table, *POEM, "--max-predictions", 1, code=3)
    assert default().created - before == summary["created"] == 1
    assert run(invoke, table, *POEM, "--price", 1, "--budget", 1, code=0)["cost"] == 1.0


def test_columns_of_the_table_keep_their_names(invoke: Invoke, table: Path, tmp_path: Path) -> None:
    write_rows(table, ["prompt", "output"], [{"prompt": "sea", "output": "mine"}])
    run(invoke, table, "demo/poet")
    (row,) = read_rows(tmp_path / "animals-results.csv")
    assert row["output"] == "mine"
    assert row["replicate_status"] == "succeeded"


def test_results_of_results_of_results_stand_beside_them(invoke: Invoke, table: Path, tmp_path: Path) -> None:
    for number in range(3):
        run(invoke, table, *POEM, "--out", tmp_path / f"{number}.csv")
        table = tmp_path / f"{number}.csv"
    columns = list(read_columns(table))
    assert [name for name in columns if name.endswith("status")] == [
        *("status", "replicate_status", "replicate_2_status")
    ]
    assert len(set(columns)) == len(columns)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-i", "prompt=animals"), "Did you mean 'animal'?"),
        ((), "No column has the name of an input"),
        (("-i", "prompt=animal", "--out", "results.xlsx"), "spreadsheets are read and not written"),
        (("-i", "prompt=animal", "--storage-options", "{"), "--storage-options is not JSON"),
        (("-i", "promt=animal"), "Did you mean 'prompt'?"),
        (("-i", "prompt=animal", "-s", "line=1"), "Did you mean 'lines'?"),
        (("-i", "prompt=animal", "-s", "lines"), "Write NAME=VALUE"),
    ],
)
def test_wrong_usage_exits_with_2(
    invoke: Invoke, table: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = invoke("map", "demo/poet", table, *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


def test_results_never_take_the_place_of_the_table(invoke: Invoke, table: Path) -> None:
    result = invoke("map", *POEM[:1], table, *POEM[1:], "--out", table.parent / "." / table.name)
    assert result.exit_code == 2
    assert "--out is the table itself" in result.stderr
    assert list(read_rows(table)) == ROWS


@pytest.mark.parametrize("option", ["--out", "--gallery"])
def test_what_cannot_be_written_is_told_before_anything_is_created(
    invoke: Invoke, table: Path, option: str
) -> None:
    before = default().created
    result = invoke("map", *POEM[:1], table, *POEM[1:], option, table / "results.parquet")
    assert result.exit_code == 2
    assert "is a file, and not a folder" in result.stderr
    assert default().created == before


@pytest.mark.parametrize("change", ["", "animal,place,id\nhen,hill,1\n" * 9], ids=["shorter", "longer"])
def test_a_table_that_changes_while_it_runs_gives_no_results(
    invoke: Invoke, table: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    map = Client.map

    def changing(self: Client, *arguments: Any, **options: Any) -> Any:
        batch = map(self, *arguments, **options)
        batch.start()
        table.write_text(change)
        return batch

    monkeypatch.setattr(Client, "map", changing)
    result = invoke("map", *POEM[:1], table, *POEM[1:])
    assert result.exit_code == 1
    assert "was changed while its rows ran" in result.stderr
    assert not (table.parent / "animals-results.csv").exists()


def test_results_have_types_of_their_own_in_parquet(invoke: Invoke, table: Path, tmp_path: Path) -> None:
    run(invoke, table, *POEM, "--out", tmp_path / "results.parquet")
    types = {name: str(kind) for name, kind in read_columns(tmp_path / "results.parquet").items()}
    assert (types["error"], types["cost"], types["cached"]) == ("string", "double", "bool")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--budget", 1], "--price or --price-per-second"),
        (["--budget-per-journal"], "--budget or --max-predictions"),
        (["--budget", "nan", "--price", 1], "'nan' is not a finite number"),
        (["--price-per-second", "inf"], "'inf' is not a finite number"),
        (["--budget", -1, "--price", 1], "-1"),
        (["--price", -0.5], "-0.5"),
        (["--price", "cheap"], "'cheap'"),
        (["--price", "image_count=1"], "Pass --most image_count=NUMBER, too"),
        (["--price", "predict_time=1", "--price-per-second", 1], "are the same"),
        (["--budget", "image_count=1"], "Pass --most image_count=NUMBER, too"),
        (["--most", "predict_time=1"], "is what --cancel-after says"),
        (["--max-predictions", -1], "-1"),
        (["--concurrency", 0], "0"),
        (["--retries", -1], "-1"),
        (["--cancel-after", "soon"], "'soon' is no time"),
        (["--cancel-after", 2], "'2' is no time of 5 seconds or more"),
    ],
)
def test_a_number_that_cannot_be_meant_is_wrong_usage(
    invoke: Invoke, table: Path, arguments: list[object], said: str
) -> None:
    before = default().created
    for more in ((), ("--dry-run",)):
        result = invoke("map", "demo/poet", table, *POEM[1:], *arguments, *more)
        assert result.exit_code == 2
        assert said in " ".join(result.stderr.replace("│", " ").split())
    assert default().created == before


def test_rows_that_a_budget_left_out_are_skipped_and_have_not_failed(invoke: Invoke, table: Path) -> None:
    summary = run(invoke, table, *POEM, "--max-predictions", 1, code=3)
    counts = {name: summary[name] for name in ("rows", "succeeded", "failed", "skipped", "left_out")}
    assert counts == {"rows": 4, "succeeded": 2, "failed": 0, "skipped": 2, "left_out": 1}
    told = invoke("map", *POEM[:1], table, *POEM[1:], "--max-predictions", 0)
    assert told.exit_code == 3
    assert "2 skipped (1 of them to stay within the budget)" in told.stdout
    assert "failed" not in told.stdout
    assert "1 row left out, to stay within the budget. Allow more and run it again." in told.stderr
    summary = run(invoke, table, *POEM, code=0)
    assert (summary["skipped"], summary["left_out"], summary["failed"]) == (1, 0, 0)


def test_where_only_a_budget_skipped_rows_that_is_said_once(invoke: Invoke, table: Path) -> None:
    write_rows(table, ["prompt"], [{"prompt": "a"}, {"prompt": "b"}])
    told = invoke("map", "demo/poet", table, "--max-predictions", 1).stdout
    assert told.startswith("2 rows: 1 succeeded, 1 skipped to stay within the budget, 1 created\n")


def test_rows_that_failed_are_told_from_those_that_were_left_out(invoke: Invoke, table: Path) -> None:
    rows = [{"prompt": name, "failure_rate": rate} for name, rate in (("a", 1), ("b", 0), ("c", 0))]
    write_rows(table, ["prompt", "failure_rate"], rows)
    summary = run(invoke, table, "demo/flaky", "--retries", 0, "--max-predictions", 2, code=3)
    assert [summary[name] for name in ("succeeded", "failed", "skipped", "left_out")] == [1, 1, 1, 1]


def test_a_budget_of_the_journal_counts_earlier_runs(invoke: Invoke, table: Path) -> None:
    price = ("--price", 1, "--budget", 1)
    assert run(invoke, table, *POEM, *price, "--budget-per-journal", code=3)["created"] == 1
    assert run(invoke, table, *POEM, *price, "--budget-per-journal", code=3)["created"] == 0
    assert run(invoke, table, *POEM, "--max-predictions", 1, "--budget-per-journal", code=3)["created"] == 0
    assert run(invoke, table, *POEM, *price)["created"] == 1


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The simulator on a socket, with a model that takes its time at first; the commands have a token for it."""
    monkeypatch.setenv("REPLICATE_API_TOKEN", "any")
    with Server(https=False, port=0, demo=False) as server:
        yield server


@pytest.mark.slow
def test_a_budget_of_the_journal_holds_over_a_kill(server: Server, tmp_path: Path) -> None:
    slow = True

    @server.simulator.model("acme/echo", workers=64)
    def echo(n: int) -> int:
        while slow:
            sleep(0.05)
        return n

    table, out = tmp_path / "numbers.csv", tmp_path / "results.csv"
    write_rows(table, ["n"], [{"n": number} for number in range(12)])
    command = [sys.executable, "-m", "replicate_kit", "map", "acme/echo", str(table), "--out", str(out)]
    command += ["--max-predictions", "6", "--budget-per-journal", "--base-url", server.url]
    process = subprocess.Popen([*command, "--concurrency", "4"], stderr=subprocess.DEVNULL)
    while server.simulator.created < 4:
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait()
    slow = False
    for _ in range(2):
        assert subprocess.run(command, timeout=60, stderr=subprocess.DEVNULL).returncode == 3
        assert server.simulator.created == 6
        assert [row["status"] for row in read_rows(out)] == ["succeeded"] * 6 + ["skipped"] * 6


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_cancels_what_runs_and_the_next_run_goes_on(server: Server, tmp_path: Path) -> None:
    slow = True

    @server.simulator.model("acme/echo")
    def echo(n: int) -> int:
        if slow and n >= 5:
            sleep(60)
        return n

    table, out = tmp_path / "numbers.csv", tmp_path / "results.csv"
    write_rows(table, ["n"], [{"n": number} for number in range(12)])
    command = [sys.executable, "-m", "replicate_kit", "map", "acme/echo", str(table), "--out", str(out)]
    process = subprocess.Popen([*command, "--base-url", server.url], stderr=subprocess.PIPE, text=True)
    with Client("any", backend="http", base_url=server.url) as client:
        while server.simulator.created < 12:
            time.sleep(0.05)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
        assert process.returncode == 130, told
        assert re.search(r"Canceling \d+ predictions?\. Press Ctrl-C again to leave them running", told)
        assert "Interrupted." in told
        assert "numbers.journal.sqlite" in told
        assert not out.exists()
        statuses = [each.status for each in client.predictions.list_all()]
        assert sorted(set(statuses)) == ["canceled", "succeeded"]
    slow = False
    subprocess.run([*command, "--base-url", server.url], check=True, timeout=60)
    assert [row["output"] for row in read_rows(out)] == [str(number) for number in range(12)]
    assert server.simulator.created == 12 + statuses.count("canceled")


def test_a_journal_that_is_deleted_meanwhile_is_an_error_that_names_its_copy(
    server: Server, tmp_path: Path
) -> None:
    @server.simulator.model("acme/echo", workers=64)
    def echo(n: int) -> int:
        sleep(0.5)
        return n

    table, out = tmp_path / "numbers.csv", tmp_path / "results.csv"
    write_rows(table, ["n"], [{"n": number} for number in range(40)])
    command = [sys.executable, "-m", "replicate_kit", "map", "acme/echo", str(table), "--out", str(out)]
    command += ["--base-url", server.url, "--concurrency", "4"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while server.simulator.created < 8:
        time.sleep(0.02)
    (tmp_path / "numbers.journal.sqlite").unlink()
    _, told = process.communicate(timeout=60)
    assert process.returncode == 1, told
    assert "was deleted or moved away while a run used it" in told
    found = re.search(r"Run it again with --journal '([^']+)'", told)
    assert found is not None, told
    subprocess.run([*command, "--journal", found[1]], check=True, timeout=60)
    assert [row["output"] for row in read_rows(out)] == [str(number) for number in range(40)]
    canceled = sum(each.status == "canceled" for each in _all(server))
    assert server.simulator.created == 40 + canceled


def _all(server: Server) -> list[Any]:
    """All predictions of a service."""
    with Client("any", backend="http", base_url=server.url) as client:
        return list(client.predictions.list_all())
