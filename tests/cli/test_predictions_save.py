"""`replicate-kit predictions save`, on the mock and on a server."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import Result

from replicate_kit import Client
from replicate_kit.resources.predictions import Predictions
from replicate_kit.simulator import Clock, Simulator, install
from replicate_kit.simulator.defaults import replaced

Invoke = Callable[..., Result]


@pytest.fixture
def made() -> list[str]:
    """Predictions with two files, with one, and with a text; the newest first."""
    client = Client(backend="mock")
    inputs = (("demo/poet", {}), ("demo/painter", {}), ("demo/painter", {"num_outputs": 2}))
    predictions = [
        client.predictions.create(model=model, input={"prompt": "a hill", **more}) for model, more in inputs
    ]
    for each in predictions:
        each.wait()
    return [each.id for each in reversed(predictions)]


def test_files_are_listed_and_what_there_was_is_told(invoke: Invoke, made: list[str], tmp_path: Path) -> None:
    result = invoke("predictions", "save", "--to", tmp_path / "saved")
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert result.exit_code == 0
    assert [row[0] for row in rows] == [made[1], made[0], made[0]]
    assert all(Path(row[4]).stat().st_size == int(row[3]) for row in rows)
    said = result.stderr.splitlines()
    assert said[0].startswith(f"3 files of 2 predictions saved in {tmp_path / 'saved'} (")
    assert said[1:] == ["1 prediction without files"]
    again = invoke("predictions", "save", "--to", tmp_path / "saved")
    assert (again.exit_code, again.stdout) == (0, "")
    assert "2 predictions there already\n" in again.stderr
    assert invoke("files", "verify", tmp_path / "saved").exit_code == 0


def test_a_dry_run_saves_nothing(invoke: Invoke, made: list[str], tmp_path: Path) -> None:
    result = invoke("predictions", "save", "--to", tmp_path, "--dry-run", "--limit", 1)
    assert [line.split("\t")[0] for line in result.stdout.splitlines()] == [made[0]] * 2
    assert "2 files of 1 prediction would be saved" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_json_is_one_document(invoke: Invoke, made: list[str], tmp_path: Path) -> None:
    result = invoke("predictions", "save", "--to", tmp_path, "--model", "demo/painter", "--json")
    found = json.loads(result.stdout)
    assert found["dry_run"] is False
    assert [(each["id"], each["outcome"], len(each["files"])) for each in found["predictions"]] == [
        (made[1], "saved", 1),
        (made[0], "saved", 2),
    ]
    assert found["predictions"][0]["files"][0]["prediction_id"] == made[1]


def test_what_is_lost_is_named_at_the_end(invoke: Invoke, tmp_path: Path) -> None:
    clock = Clock()
    with install(Simulator(clock=clock)) as simulator, replaced(simulator):
        prediction = Client(backend="mock").predictions.create(model="demo/painter", input={"prompt": "a"})
        prediction.wait()
        clock.advance(timedelta(hours=1, seconds=1).total_seconds())
        result = invoke("predictions", "save", "--to", tmp_path)
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.splitlines()[1] == "1 prediction gone: the API had removed the output"
    assert result.stderr.splitlines()[-1].startswith(f"{prediction.id}: gone, of demo/painter, created ")


def test_what_could_not_be_saved_is_named_with_the_reason(
    invoke: Invoke, made: list[str], tmp_path: Path
) -> None:
    (tmp_path / made[1] / "0.png").mkdir(parents=True)
    result = invoke("predictions", "save", "--to", f"{tmp_path}/{{prediction_id}}/{{index}}.png")
    assert result.exit_code == 3
    assert "1 prediction not saved\n" in result.stderr
    last = result.stderr.splitlines()[-1]
    assert last.startswith(f"{made[1]}: File 0 of the prediction {made[1]} could not be stored")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["--since", "soon"], "--since 'soon' cannot be used"),
        (["--since", "1h", "--until", "2h"], "--since '1h' is not before --until '2h'"),
        (["--status", "running"], "'running' is not one of"),
        (["--limit", "0"], "0 is not in the range"),
        (["--model", "nonsense"], "does not name a model"),
        (["--to", "-"], "standard output cannot take files"),
        (["--to", "x/{prompt}{ext}"], "names prompt, which nothing here has"),
        ([], "Missing option '--to'"),
    ],
    ids=str,
)
def test_what_is_typed_wrong_saves_nothing(
    invoke: Invoke, typed: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Predictions, "async_list", None)
    to = [] if not typed or "--to" in typed else ["--to", "unused"]
    result = invoke("predictions", "save", *to, *typed)
    assert result.exit_code == 2
    assert said in result.stderr


def test_ctrl_c_says_that_what_is_saved_stays(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Predictions, "save", stop)
    result = invoke("predictions", "save", "--to", tmp_path)
    assert result.exit_code == 130
    assert "Run it again soon for the rest." in result.stderr
