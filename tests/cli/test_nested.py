"""Fields inside of cells fill inputs by a path."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from replicate_kit.batch.journals import entries
from replicate_kit.cli._tables.nested import reached
from replicate_kit.cli._tables.tables import read_rows, write_rows
from replicate_kit.simulator import default

Invoke = Callable[..., Result]

ROWS: list[dict[str, Any]] = [
    {"input": {"prompt": "fox", "deep": {"n": 2}}, "talk": [{"content": "hi"}], "id": 1},
    {"input": {"prompt": "owl"}, "talk": [{"content": "ho"}], "id": 2},
    {"input": None, "talk": [], "id": 3},
]


@pytest.fixture(autouse=True)
def _echo() -> None:
    @default().model("acme/echo")
    def echo(prompt: str, n: int = 0) -> str:
        return f"{prompt} {n}"


def outputs(invoke: Invoke, table: Path, *pairs: str) -> list[Any]:
    """Run it over the table, and give what came of each row."""
    out = table.with_name("r.jsonl")
    options = [each for pair in pairs for each in ("--input", pair)]
    result = invoke("map", "acme/echo", table, *options, "--out", out)
    assert result.exit_code == 0, result.stderr
    return [row["output"] for row in read_rows(out)]


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".parquet"])
@pytest.mark.parametrize(
    ("pairs", "found"),
    [
        (("prompt=input.prompt",), ["fox 0", "owl 0", None]),
        (("prompt=input.prompt", "n=input.deep.n"), ["fox 2", None, None]),
        (("prompt={input.prompt} {id}",), ["fox 1 0", "owl 2 0", None]),
        (("prompt=talk.0.content",), ["hi 0", "ho 0", None]),
        (("prompt={talk.0.content:>3}",), [" hi 0", " ho 0", None]),
        (("prompt=id", "n=id"), ["1 1", "2 2", "3 3"]),
    ],
)
def test_a_path_leads_to_a_field(
    invoke: Invoke, tmp_path: Path, suffix: str, pairs: tuple[str, ...], found: list[str | None]
) -> None:
    write_rows(tmp_path / f"t{suffix}", list(ROWS[0]), ROWS)
    assert outputs(invoke, tmp_path / f"t{suffix}", *pairs) == found


def test_a_column_with_a_dot_in_its_name_comes_first(invoke: Invoke, tmp_path: Path) -> None:
    rows = [{"input.prompt": "flat", "input": {"prompt": "inside"}}, {"input": {"prompt": "inside"}}]
    (tmp_path / "t.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    assert outputs(invoke, tmp_path / "t.jsonl", "prompt=input.prompt") == ["flat 0", None]


@pytest.mark.parametrize(
    ("value", "path", "found"),
    [
        ({"a": {"b.c": 1, "b": {"c": 2}}}, "a.b.c", 1),
        ({"a.b": {"c": 1}, "a": {"b": {"c": 2}}}, "a.b.c", 1),
        ({"a.b": {}, "a": {"b": {"c": 2}}}, "a.b.c", 2),
        ({"a": [[1], [2, 3]]}, "a.1.1", 3),
        ({"a": [1]}, "a.1", None),
        ({"a": "text"}, "a.0", None),
        ({"a": "text"}, "a.__class__", None),
        ({"a": {"": 1}}, "a.", 1),
        ({"a": 1}, ".a", None),
    ],
)
def test_what_a_path_leads_to(value: Any, path: str, found: Any) -> None:
    assert reached(value, path) == found


@pytest.mark.parametrize(
    ("option", "pair", "said"),
    [
        ("--input", "prompt=input.promt", "There is no column 'input.promt'. Did you mean 'input.prompt'?"),
        ("--input", "prompt={input.promt}", "Did you mean 'input.prompt'?"),
        ("--input", "prompt=prompt", "The columns are: input, talk, id, input.prompt, input.deep.n."),
        ("--input", "prompt=talk.7.content", "There is no column 'talk.7.content'."),
        ("--set", "prompt={input.prompt}", "would be the same text in every row, braces and all"),
    ],
)
def test_a_path_that_leads_nowhere_is_wrong_usage(
    invoke: Invoke, tmp_path: Path, option: str, pair: str, said: str
) -> None:
    write_rows(tmp_path / "t.jsonl", list(ROWS[0]), ROWS)
    more = () if option == "--input" else ("--input", "n=id")
    result = invoke("map", "acme/echo", tmp_path / "t.jsonl", option, pair, *more)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())


def test_cells_of_text_have_no_fields(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('input\n"{""prompt"": ""fox""}"\n')
    result = invoke("map", "acme/echo", tmp_path / "t.csv", "--input", "prompt=input.prompt")
    assert result.exit_code == 2
    assert "The columns are: input." in result.stderr


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_a_list_in_a_cell_is_json_in_a_text(
    invoke: Callable[..., Result], tmp_path: Path, suffix: str
) -> None:
    write_rows(tmp_path / f"t{suffix}", ["a", "b"], [{"a": ["é", 1.5], "b": {"c": None}}], {})
    arguments = (
        "demo/poet",
        tmp_path / f"t{suffix}",
        "-i",
        "prompt={a} and {b}",
        "--out",
        tmp_path / "r.csv",
    )
    assert invoke("map", *arguments).exit_code == 0
    (entry,) = entries(tmp_path / "t.journal.sqlite")
    assert json.loads(entry["input"])["prompt"] == '["é", 1.5] and {"c": null}'
