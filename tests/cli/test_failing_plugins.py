"""Commands whose plugins fail: the plugin is named, everything else is there, and the exit code tells."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from click.testing import Result

from replicate_kit import hookimpl
from replicate_kit._plugins import registry
from replicate_kit.cli._tables.tables import read_rows, write_rows
from replicate_kit.simulator import default

Invoke = Callable[..., Result]


class Switch:
    """What the plugin fails at."""

    decode = record = False


@pytest.fixture
def switch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Switch]:
    """An installed plugin `odd` that fails where it is told to."""
    state, module = Switch(), ModuleType("odd_plugin")

    @hookimpl
    def replicate_decode_output(value: Any) -> None:
        if state.decode and "fox" in str(value):
            raise KeyError("boom")

    @hookimpl(tryfirst=True)
    def replicate_record_files(files: Any) -> None:
        if state.record:
            raise KeyError("boom")

    vars(module).update(
        replicate_decode_output=replicate_decode_output, replicate_record_files=replicate_record_files
    )
    monkeypatch.setitem(sys.modules, "odd_plugin", module)
    entries = (*registry.installed(), EntryPoint("odd", "odd_plugin", "replicate_kit"))
    monkeypatch.setattr(registry, "installed", lambda: entries)
    yield state
    registry._load.cache_clear()


@pytest.fixture
def table(tmp_path: Path) -> Path:
    write_rows(tmp_path / "animals.csv", ["text"], [{"text": each} for each in ("wombat", "fox", "owl")])
    return tmp_path / "animals.csv"


@pytest.fixture(autouse=True)
def echo() -> None:
    """A model that gives what it is given."""

    @default().model("acme/echo")
    def echo(text: str) -> str:
        return text


def test_map_writes_every_row_and_exits_as_for_any_failed_row(
    invoke: Invoke, switch: Switch, table: Path
) -> None:
    out, before = table.with_name("out.csv"), default().created
    switch.decode = True
    result = invoke("map", "acme/echo", table, "-o", out, "--json")
    assert result.exit_code == 3
    summary = json.loads(result.stdout)
    assert (summary["rows"], summary["succeeded"], summary["failed"], summary["created"]) == (3, 2, 1, 3)
    rows = list(read_rows(out))
    assert [row["output"] or None for row in rows] == ["wombat", None, "owl"]
    assert (
        "The plugin 'odd' of an unknown distribution failed in replicate_decode_output: KeyError: 'boom'"
        in rows[1]["error"]
    )
    assert "REPLICATE_KIT_DISABLE_PLUGINS=odd" in rows[1]["error"]
    said = invoke("map", "acme/echo", table, "-o", out)
    assert said.exit_code == 3
    assert "1 row with an output that could not be decoded" in said.stderr
    switch.decode = False
    result = invoke("map", "acme/echo", table, "-o", out, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["cached"] == 3
    assert default().created - before == 3


@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_run_names_the_plugin_and_exits_with_one(invoke: Invoke, switch: Switch, as_json: list[str]) -> None:
    switch.decode = True
    result = invoke("run", "acme/echo", "text=a fox", *as_json)
    assert result.exit_code == 1
    assert (
        "The plugin 'odd' of an unknown distribution failed in replicate_decode_output: KeyError: 'boom'"
        in result.stderr
    )
    assert "was created and succeeded" in result.stderr
    assert (result.stdout != "") is bool(as_json)


def test_map_writes_the_results_and_tells_of_records_that_could_not_be_kept(
    invoke: Invoke, switch: Switch, tmp_path: Path
) -> None:
    table, out = tmp_path / "prompts.csv", tmp_path / "out.csv"
    write_rows(table, ["prompt"], [{"prompt": "a hill"}])
    switch.record = True
    arguments = ("demo/painter", table, "-o", out, "--save-to", tmp_path / "pictures", "--manifest")
    result = invoke("map", *arguments, "-s", "width=16", "-s", "height=16")
    assert result.exit_code == 1
    assert "The plugin 'odd' of an unknown distribution failed in replicate_record_files" in result.stderr
    assert [row["status"] for row in read_rows(out)] == ["succeeded"]
