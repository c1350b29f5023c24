"""`replicate-kit run` and `stream` on the mock."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest
from click.testing import Result

from replicate_kit.simulator import default

Invoke = Callable[..., Result]


def test_run_prints_the_text_that_a_model_writes(invoke: Invoke) -> None:
    poem = invoke("run", "demo/poet", "prompt=sea", "lines=2", "seed=1").stdout
    assert len(poem.splitlines()) == 2
    whole = json.loads(invoke("run", "demo/poet", "prompt=sea", "lines=2", "seed=1", "--json").stdout)
    assert (whole["output"], whole["status"], whole["input"]["lines"]) == (poem[:-1], "succeeded", 2)


@pytest.mark.parametrize("how", [[], ["--wait"], ["--timeout", "60"]])
def test_run_prints_all_of_the_prediction_as_json(invoke: Invoke, how: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    painted = ("run", "demo/painter", "prompt=sea", "width=16", "height=16", "--json", *how)
    linked, saved = (json.loads(invoke(*painted, *more).stdout) for more in ((), ("--save-to", str(folder))))
    assert {"id", "status", "created_at", "input", "logs", "metrics", "urls"} <= linked.keys()
    assert linked["output"][0].startswith("https://")
    assert Path(saved["output"][0]).parent == folder


def test_run_saves_files_where_it_is_told(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke(
        "run", "demo/painter", "prompt=sea", "width=16", "height=16", "--save-to", tmp_path / "pictures"
    )
    assert Path(result.stdout.strip()).read_bytes().startswith(b"\x89PNG")
    assert result.stderr == ""


def test_run_saves_to_a_store_with_its_options(invoke: Invoke, vault: str) -> None:
    arguments = ("run", "demo/painter", "prompt=sea", "width=16", "height=16", "--save-to", vault)
    assert "Check the URL and its --storage-options." in invoke(*arguments).stderr
    saved = invoke(*arguments, "--storage-options", '{"key": "of brass"}').stdout.strip()
    with fsspec.open(saved, key="of brass") as file:
        assert file.read(4) == b"\x89PNG"


def test_run_says_that_files_of_the_mock_are_fleeting(invoke: Invoke) -> None:
    result = invoke("run", "demo/painter", "prompt=sea", "width=16", "height=16")
    assert result.stdout.startswith("https://files.replicate.test/")
    assert "--save-to" in result.stderr


def test_run_reads_inputs_from_files_and_standard_input(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "prompt.txt").write_text("sea\n")
    (tmp_path / "input.json").write_text('{"lines": 2, "seed": 1}')
    expected = invoke("run", "demo/poet", "prompt=sea", "lines=2", "seed=1").stdout
    options = "run", "demo/poet", f"prompt=@{tmp_path}/prompt.txt", "--input", f"@{tmp_path}/input.json"
    assert invoke(*options).stdout == expected
    whole = '{"prompt": "sea", "lines": 2, "seed": 1}'
    assert invoke("run", "demo/poet", "--input", "-", stdin=whole).stdout == expected


def test_run_says_which_files_are_no_text(invoke: Invoke, tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(b"\x89PNG")
    for path, said in (
        (picture, "prompt takes text, and this file is no text in UTF-8"),
        (tmp_path, "this is a folder. Name a file in it"),
        (tmp_path / "b.txt", "there is no such file"),
    ):
        result = invoke("run", "demo/poet", f"prompt=@{path}")
        assert result.exit_code == 2
        assert said in result.stderr
        assert "Traceback" not in result.stderr


def test_run_names_everything_that_is_wrong_with_an_input(invoke: Invoke) -> None:
    result = invoke("run", "demo/painter", "width=5", "hue=red")
    assert result.exit_code == 2
    for problem in (
        "prompt is required",
        "input.width: Must be greater",
        "hue is not allowed",
        "Its inputs are:",
    ):
        assert problem in result.stderr
    assert "pass --no-check-input." in result.stderr


def test_run_tells_that_the_model_failed(invoke: Invoke) -> None:
    result = invoke("run", "demo/flaky", "prompt=sea", "failure_rate=1")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: the model failed: Prediction interrupted")


def test_run_gives_up_in_time(invoke: Invoke) -> None:
    result = invoke("run", "demo/slow", "seconds=60", "--timeout", "0.2")
    assert result.exit_code == 1
    assert "is still" in result.stderr
    assert "is now 'canceled'" in result.stderr


def test_stream_prints_the_text_as_it_comes(invoke: Invoke) -> None:
    arguments = "demo/poet", "prompt=sea", "seed=1"
    assert invoke("stream", *arguments).stdout == invoke("run", *arguments).stdout


def test_stream_gives_each_event_as_a_line_of_json(invoke: Invoke) -> None:
    lines = invoke("stream", "demo/poet", "prompt=sea", "--json").stdout.splitlines()
    events = [json.loads(line) for line in lines]
    assert [each["event"] for each in events[-2:]] == ["output", "done"]


def test_save_keeps_files_in_a_folder_of_the_prediction(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = invoke("run", "demo/painter", "prompt=sea", "num_outputs=2", "--save")
    assert [Path(line).name for line in result.stdout.splitlines()] == ["0.png", "1.png"]
    assert all(Path(line).is_file() for line in result.stdout.splitlines())
    assert invoke("run", "demo/painter", "prompt=sea", "--save", "--output-directory", "out").exit_code == 0
    assert len(list(Path("out").iterdir())) == 1


def test_no_wait_shows_the_prediction_and_stream_its_text(invoke: Invoke) -> None:
    assert json.loads(invoke("run", "demo/slow", "seconds=60", "--no-wait", "--json").stdout)["id"]
    poem = ("demo/poet", "prompt=sea", "seed=1")
    assert invoke("run", *poem, "--stream").stdout == invoke("stream", *poem).stdout


@pytest.mark.parametrize(
    "options",
    [
        ("--no-wait", "--save"),
        ("--no-wait", "--save-to", "x"),
        ("--no-wait", "--timeout", "5"),
        ("--web", "--output-directory", "x"),
        ("--web", "--wait"),
        ("--stream", "--save"),
        ("--stream", "--web"),
        ("--stream", "--no-wait"),
    ],
)
def test_what_cannot_go_together_creates_nothing(invoke: Invoke, options: tuple[str, ...]) -> None:
    before = default().created
    result = invoke("run", "demo/poet", "prompt=sea", *options)
    assert (result.exit_code, default().created) == (2, before)
