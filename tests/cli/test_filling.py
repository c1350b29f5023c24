"""Columns -> inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest

from replicate_kit.cli._tables.filling import Filling, read_filling
from replicate_kit.errors import InputError
from replicate_kit.schema import ModelSchema

PROPERTIES = {
    "prompt": {"type": "string"},
    "seed": {"type": "integer"},
    "image": {"type": "string", "format": "uri"},
}
SCHEMA = ModelSchema({"components": {"schemas": {"Input": {"properties": PROPERTIES}}}})
COLUMNS = ["title", "artist", "seed", "image"]
ROW = {"title": "Sea", "artist": "Turner", "seed": "7", "image": "sea.png"}


def fill(pairs: list[str], row: dict[str, Any], constants: dict[str, Any] | None = None) -> Any:
    return filled(read_filling(pairs, constants or {}, COLUMNS, SCHEMA, Path("tables")), row)


def filled(filling: Filling, row: dict[str, Any]) -> Any:
    ((_, input),) = filling.over([row])
    return input


def test_columns_fill_inputs_with_the_type_that_the_model_wants() -> None:
    assert fill(["prompt=title", "seed=seed"], ROW) == {"prompt": "Sea", "seed": 7}
    assert fill(["prompt=seed"], {**ROW, "seed": 7.0}) == {"prompt": "7"}
    assert fill(["seed=seed"], {**ROW, "seed": 7.0}) == {"seed": 7}


def test_templates_put_columns_into_a_text() -> None:
    assert fill(["prompt={title} by {artist}, {{{seed}}}"], ROW) == {"prompt": "Sea by Turner, {7}"}


def test_columns_fill_the_inputs_of_their_name_if_nothing_is_said() -> None:
    assert fill([], ROW) == {"seed": 7, "image": Path("tables/sea.png")}
    assert fill([], ROW, {"seed": 1}) == {"image": Path("tables/sea.png"), "seed": 1}


@pytest.mark.parametrize(
    "url", ["https://example.com/a.png", "s3://bucket/a.png", "data:image/png;base64,AA=="]
)
def test_urls_fill_file_inputs_as_they_are(url: str) -> None:
    assert fill(["image=image"], {**ROW, "image": url}) == {"image": url}


def test_an_empty_cell_leaves_out_an_input_of_its_name_that_may_be_left_out() -> None:
    assert fill([], {**ROW, "seed": None}) == {"image": Path("tables/sea.png")}
    assert fill(["image=image", "seed=seed"], {**ROW, "seed": None}) is None
    required = ModelSchema({"components": {"schemas": {"Input": {**SCHEMA.input, "required": ["seed"]}}}})
    assert filled(read_filling([], {}, COLUMNS, required), {**ROW, "seed": None}) is None


def test_a_row_with_an_empty_cell_in_what_it_is_made_of_is_skipped() -> None:
    assert fill(["prompt={title} by {artist}"], {**ROW, "artist": None}) is None
    assert fill(["prompt=title"], {**ROW, "artist": None}) == {"prompt": "Sea"}
    assert fill(["prompt=title"], {"artist": "Turner"}) is None
    assert fill(["prompt=seed"], {**ROW, "seed": float("nan")}) is None


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (["prompt=titel"], "no column 'titel'. Did you mean 'title'?"),
        (["prompt={title} {zz}"], "no column 'zz'. The columns are: title"),
        (["prompt={title"], "cannot be read"),
        (["prompt"], "write INPUT=COLUMN"),
        (["=title"], "write INPUT=COLUMN"),
        (["prompt=title", "prompt=artist"], "by --input prompt=artist and by another --input"),
    ],
)
def test_what_does_not_fit_is_a_usage_error_that_helps(pairs: list[str], message: str) -> None:
    with pytest.raises(click.UsageError) as caught:
        fill(pairs, ROW)
    assert message in caught.value.message


def test_a_table_that_fits_nothing_says_what_there_is() -> None:
    with pytest.raises(click.UsageError, match=r"inputs are: prompt, seed, image\. The columns are: a, b"):
        read_filling([], {}, ["a", "b"], SCHEMA)


@pytest.mark.parametrize("text", ["{title.__class__}", "{title[0]}"])
def test_a_template_reaches_columns_only(text: str) -> None:
    """Attributes and indexes, as str.format would follow them, are names of columns that are not there."""
    with pytest.raises(click.UsageError, match="no column"):
        fill([f"prompt={text}"], ROW)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ('{"name": "{title}"}', '{{"name": "{title}"}}'),
        ("{title}; }", "{title}; }}"),
        ("}", "}}"),
    ],
)
def test_braces_that_are_text_are_to_be_doubled(text: str, written: str) -> None:
    with pytest.raises(click.UsageError, match="Double braces that are text") as caught:
        fill([f"prompt={text}"], ROW)
    assert caught.value.message.endswith(f"{written!r}.")
    assert fill([f"prompt={written}"], ROW) == {"prompt": text.replace("{title}", "Sea")}


def test_a_format_is_applied_and_one_that_does_not_fit_is_told() -> None:
    assert fill(["prompt={seed:>3}/{title!r}"], ROW) == {"prompt": "  7/'Sea'"}
    with pytest.raises(
        InputError, match=r"row 1 could not be made \(the cell 'Sea' does not fit the format of \{title:d\}"
    ):
        fill(["prompt={title:d}"], ROW)


@pytest.mark.parametrize("text", ["a {title}", "{artist}{title}"])
def test_a_constant_that_looks_like_a_template_is_refused(text: str) -> None:
    with pytest.raises(
        click.UsageError, match=r"--set prompt=.* To put columns into it, use --input prompt="
    ):
        fill(["seed=seed"], ROW, {"prompt": text})
    assert fill(["seed=seed"], ROW, {"prompt": "a {thing}"}) == {"seed": 7, "prompt": "a {thing}"}


def test_a_constant_that_looks_like_a_template_is_found_inside_of_others() -> None:
    with pytest.raises(click.UsageError, match=r"--set notes='by \{artist\}' would be the same text"):
        fill(["seed=seed"], ROW, {"notes": [{"deep": "by {artist}"}]})


def test_many_rows_are_filled_in_their_order_and_named_by_their_number() -> None:
    filling = read_filling(["prompt={title:d}"], {}, ["title"], SCHEMA)
    rows = [{"title": number if number % 7 else None} for number in range(1200)]
    assert [input and input["prompt"] for _, input in filling.over(rows)] == [
        str(row["title"]) if row["title"] is not None else None for row in rows
    ]
    with pytest.raises(InputError, match="row 1201 could not be made"):
        list(filling.over([*rows, {"title": "x"}]))


def test_an_input_that_is_filled_and_set_is_refused() -> None:
    with pytest.raises(click.UsageError, match="'prompt' is filled by --input prompt=title and by --set"):
        fill(["prompt=title"], ROW, {"prompt": "a"})
