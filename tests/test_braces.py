"""A template whose braces are text is told how to write them, in every place that takes one."""

from __future__ import annotations

from string import Formatter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicate_kit import SaveTo
from replicate_kit._formats.wording import brace_advice
from replicate_kit.errors import ConfigError

PIECES = st.lists(
    st.sampled_from(
        [
            "{",
            "}",
            "{{",
            "}}",
            "{x}",
            "{my col}",
            "{y}",
            "{x!r}",
            "{x:>3}",
            '"',
            ":",
            "a",
            "'",
            "!",
            "\n",
            "{}",
        ]
    )
)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ('{"name": "{x}"}', '{{"name": "{x}"}}'),
        ('{"a": {"b": "{x}"}}', '{{"a": {{"b": "{x}"}}}}'),
        ('{"name": "v"}', '{{"name": "v"}}'),
        ("{'a': {x:.3}}", "{{'a': {x:.3}}}"),
        ("function() { return {x}; }", "function() {{ return {x}; }}"),
        ('{{"k": "{x}"}', '{{"k": "{x}"}}'),
        ("{", "{{"),
        ("x}", "x}}"),
    ],
)
def test_braces_that_are_text_are_doubled(text: str, written: str) -> None:
    assert brace_advice(text, ["x"]) == f" Double braces that are text: {written!r}."


@pytest.mark.parametrize(
    "text", ["{x}", "{X}", "{ x }", "{x.y}", "{x[0]}", "{0}", "{}", "{x:.3}", '{{"k": {x}}}', "plain"]
)
def test_what_may_be_a_misspelt_name_is_left_alone(text: str) -> None:
    assert brace_advice(text, ["x"]) == ""


@given(pieces=PIECES)
def test_what_is_advised_can_be_read_and_names_only_what_there_is(pieces: list[str]) -> None:
    advice = brace_advice("".join(pieces), ["x", "my col"])
    if advice:
        written = eval(advice.removeprefix(" Double braces that are text: ").removesuffix("."))
        assert {name for _, name, _, _ in Formatter().parse(written) if name is not None} <= {"x", "my col"}


def test_a_long_text_is_cut_in_the_advice() -> None:
    assert len(brace_advice("{" + '"a"' * 10_000 + "}", [])) < 500


@pytest.mark.parametrize(
    "name",
    ['{"name": "{row}"}', "{", "{row", "row}}{", "{}", "{0}", "{row!r}", "{my col}", "{{row}}", "{row}}"],
)
def test_names_of_files_say_that_they_have_no_braces(name: str) -> None:
    with pytest.raises(ConfigError, match="braces"):
        SaveTo("pictures", name=name)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("{ext}-{row}", "in the middle"),
        ("{prompt:>5}", "the format '>5' for prompt"),
        ("{row:x}", "the format 'x' for row"),
    ],
)
def test_names_of_files_say_what_is_wrong_with_a_field(name: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        SaveTo("pictures", name=name)
