"""Arguments of the accessors that cannot be used are refused before anything is created, by errors of replicate_kit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from replicate_kit import Client
from replicate_kit.errors import ReplicateError
from replicate_kit.simulator import Simulator, install
from replicate_kit_pandas import accessor_of, col, template

FRAME = pd.DataFrame({"title": ["Sea", "Hills"], "n": [1, 2]}, index=["a", "a"])
ODD: list[Any] = [
    5,
    -1,
    float("nan"),
    "x",
    "\ud83d",
    b"x",
    [1],
    {"a": 1},
    object(),
    pd.Series(["x"]),
    np.array([1, 2]),
]
OPTIONS = [
    *("into", "files", "errors", "client", "stems", "on_plan", "save_to", "storage_options", "journal", "concurrency"),
    *("budget", "price", "retries", "progress", "dedupe", "ordered", "check_input", "refresh_version", "cancel_after"),
    *("patience", "creates_per_minute", "on_interrupt", "journal_inputs", "input", "model", "retry"),
]  # fmt: skip


def created_after(call: Callable[[Client], Any]) -> int:
    """The predictions that are created by a call which may be refused by an error of ours, and by none other."""
    with install(Simulator()) as simulator, Client(backend=simulator, poll_interval=0) as client:
        try:
            call(client)
        except ReplicateError:
            return simulator.created
        return 0


@pytest.mark.parametrize("option", OPTIONS)
def test_an_odd_option_is_taken_or_refused_before_anything_is_created(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for value in ODD:

        def call(client: Client, value: Any = value) -> Any:
            options: dict[str, Any] = {"model": "demo/poet", "input": None, "client": client, option: value}
            return accessor_of(FRAME["title"]).run(**options)

        assert created_after(call) == 0, f"{option}={value!r}"


@pytest.mark.parametrize(
    "fill",
    [
        lambda: col("titel"),
        lambda: col(None),
        lambda: col(["title"]),
        lambda: col({}),
        lambda: [col("titel")],
        lambda: template("{titel}"),
        lambda: template("{title.x}"),
        lambda: template("{title:d}"),
        lambda: template("{title!z}"),
        lambda: template("{title"),
        lambda: template(5),  # type: ignore[arg-type]
        lambda: template(None),  # type: ignore[arg-type]
        lambda: FRAME["title"],
        lambda: {"a": template("{n.real}")},
    ],
)
def test_what_cannot_fill_an_input_is_refused(fill: Callable[[], Any]) -> None:
    with install(Simulator()) as simulator, Client(backend=simulator, poll_interval=0) as client:
        with pytest.raises(ReplicateError):
            accessor_of(FRAME).run("demo/poet", {"prompt": fill()}, client=client)
        assert simulator.created == 0


@pytest.mark.parametrize("values", [[1, 2], [object(), 5], [[1], {"a": 1}], [b"x"], [True, False]])
def test_a_series_of_what_the_model_does_not_take_is_refused(values: list[Any]) -> None:
    with install(Simulator()) as simulator, Client(backend=simulator, poll_interval=0) as client:
        with pytest.raises(ReplicateError, match="nothing was created"):
            accessor_of(pd.Series(values)).run("demo/poet", client=client)
        assert simulator.created == 0


def test_labels_that_repeat_keep_their_rows() -> None:
    with install(Simulator()) as simulator, Client(backend=simulator, poll_interval=0) as client:
        poems = accessor_of(FRAME["title"]).run("demo/poet", client=client)
    assert poems.index.tolist() == ["a", "a"]


@pytest.mark.parametrize("number", ["x", None, [1], -1, 2.5])
@pytest.mark.parametrize("name", ["width", "rows"])
def test_sizes_of_a_picture_table_are_whole_numbers(name: str, number: Any) -> None:
    options: dict[str, Any] = {name: number}
    with pytest.raises(ReplicateError, match=f"{name}=.* cannot be used"):
        accessor_of(FRAME).show("title", **options)


def test_that_there_are_no_files_to_save_is_told_with_the_plan(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with install(Simulator()) as simulator, Client(backend=simulator, poll_interval=0) as client:
        assert accessor_of(FRAME["title"]).plan("demo/poet", client=client, save_to=tmp_path).no_files
        accessor_of(FRAME["title"]).run("demo/poet", client=client, save_to=tmp_path)
    assert [each for each in caplog.messages if "nothing to store" in each]
