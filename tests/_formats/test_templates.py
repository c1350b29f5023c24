"""Templates of names: nothing escapes the folder, and no two predictions share a name."""

from __future__ import annotations

import posixpath
import re
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from replicate_kit._formats.templates import DIGEST, Template
from replicate_kit.errors import ConfigError

TEXTS = ("prompt", "style", "model", "stem", "version")
fields = st.sampled_from([*TEXTS, "row", "prediction_id", "index"]).map("{{{}}}".format)
literals = st.text(st.sampled_from("ab1-_. ="), max_size=4)
parts = st.lists(st.one_of(fields, literals), min_size=1, max_size=5).map("".join)
templates = st.tuples(
    st.lists(parts, min_size=1, max_size=3).map("/".join), st.sampled_from(["", ".png", "{ext}"])
).map("".join)

words = st.one_of(st.text(max_size=12), st.text(st.sampled_from("a1-_./"), max_size=6), st.none())
rows = st.fixed_dictionaries(dict.fromkeys(TEXTS, words))
ids = st.text(st.sampled_from("0123456789abcdefghjkmnpqrstvwxyz"), min_size=26, max_size=26)


def valid(text: str) -> Template:
    """Make a template, or tell Hypothesis that it is none."""
    try:
        return Template(text)
    except ConfigError:
        assume(False)
        raise


def rendered(template: Template, values: dict[str, Any], count: int) -> list[str]:
    """The names of all files of a prediction, in the form that no file system tells apart."""
    names = []
    for index in range(count):
        stem, suffix = template.render({**values, "index": index}, several=count > 1)
        names.append((stem + (".png" if suffix is None else suffix)).casefold())
    return names


@given(st.text(), rows, st.integers(0, 10**6), ids)
def test_no_template_and_no_value_leaves_the_folder(
    text: str, values: dict[str, Any], row: int, id: str
) -> None:
    template = valid(text)
    for name in rendered(template, {**values, "row": row, "prediction_id": id}, 2):
        assert not posixpath.isabs(name)
        assert posixpath.normpath(name) == name
        for part in name.split("/"):
            assert part not in ("", ".", "..")
            assert len(part.encode()) <= 255
            assert not re.search(r"[\x00-\x1f\\:*?\"<>|]", part)


@given(
    templates, rows, rows, st.integers(0, 300), st.integers(0, 300), st.integers(1, 12), st.integers(1, 12)
)
@example("{prompt}{row}", {"prompt": "x1"}, {"prompt": "x"}, 1, 11, 1, 1)
@example("{prompt}", {"prompt": "x-1"}, {"prompt": "x-1-2"}, 2, 0, 2, 1)
@example("{prompt}-{row}", {"prompt": "x-1"}, {"prompt": "x-1-2"}, 2, 0, 2, 1)
@example("{prompt}/{style}", {"prompt": "a/b", "style": "c"}, {"prompt": "a", "style": "b-c"}, 1, 2, 1, 1)
def test_no_two_rows_share_a_name(
    text: str, one: dict[str, Any], other: dict[str, Any], first: int, second: int, many: int, more: int
) -> None:
    assume(first != second)
    template = valid(text)
    names = rendered(template, {**one, "row": first, "prediction_id": "a" * 26}, many)
    others = rendered(template, {**other, "row": second, "prediction_id": "b" * 26}, more)
    assert len({*names, *others}) == many + more


@given(templates, rows, ids, ids, st.integers(1, 3))
def test_no_two_predictions_share_a_name_where_there_are_no_rows(
    text: str, values: dict[str, Any], first: str, second: str, count: int
) -> None:
    assume(first != second and "{row" not in text)
    template = valid(text)
    names = rendered(template, {**values, "prediction_id": first}, count)
    assert len({*names, *rendered(template, {**values, "prediction_id": second}, count)}) == 2 * count


@pytest.mark.parametrize(
    ("text", "several", "name"),
    [
        ("{model}/{prediction_id}/{index}{ext}", False, ("acme-draw/abc/1", None)),
        ("{row:05}{ext}", False, ("00007", None)),
        ("{row}", True, ("7-1", None)),
        ("{prompt}.{ext}", False, ("a-hill-7", None)),
        ("{prompt}.png", True, ("a-hill-7_1", ".png")),
        ("{row}-{prompt}.tar.gz", False, ("7-a-hill", ".tar.gz")),
        ("{sha256}{ext}", True, (DIGEST, None)),
        ("{missing}/{row}", False, ("none/7", None)),
        ("all.jpg", False, ("all-7", ".jpg")),
    ],
)
def test_template_is_filled(text: str, several: bool, name: tuple[str, str | None]) -> None:
    values = {"model": "acme/draw", "prediction_id": "abc", "row": 7, "prompt": "a hill", "index": 1}
    assert Template(text).render(values, several=several) == name


OUTSIDE = ["", ".", "..", "/etc/{row}", "../{row}", "{row}/..", "a//b", "~{row}", "a\\{row}"]
MALFORMED = [
    "{row",
    "{row!r}",
    "{a.b}",
    "{a[0]}",
    "{}",
    "{0}",
    "{row:>9}",
    "{row:9}",
    "{prompt:3}",
    "{ext}-{row}",
]
UNSAFE = ["a:{row}", "a\0{row}", "{row}*", "{{row}}", "a\u2028{row}"]
TOO_LONG = ["x" * 181, "{sha256}{prediction_id}{row}{index}" + "{prompt}" * 9]


@pytest.mark.parametrize("text", [*OUTSIDE, *MALFORMED, *UNSAFE, *TOO_LONG])
def test_template_that_cannot_be_filled_safely_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="template"):
        Template(text)


def test_unknown_field_is_told_with_those_that_there_are() -> None:
    Template("{prompt}/{row}").check(["prompt"])
    with pytest.raises(ConfigError, match=r"names promt, which nothing here has. It may have: ext, .*prompt"):
        Template("{promt}/{row}").check(["prompt"])
