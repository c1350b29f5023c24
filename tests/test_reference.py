"""The reference has everything: names, options, commands and environment variables. Nothing here needs Sphinx."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from docs._site import commands
from docs._site.options import meaning, options, page
from docs._site.reference import listed, markdown, page_of
from replicate_kit.batch import MapOptions
from replicate_kit.cli import cli
from replicate_kit.client import RunOptions, UseOptions
from replicate_kit.config import Config

ROOT = Path(__file__).parents[1]
ENVIRONMENT = (ROOT / "docs" / "environment.md").read_text("utf-8")
SOURCES = [*ROOT.glob("src/**/*.py"), *ROOT.glob("plugins/*/src/**/*.py")]

NO_VARIABLES = {
    "REPLICATE_KIT": "the beginning of names",
    "REPLICATE_KIT_COMPLETE": "how click asks for completion, which nobody sets by hand",
}
"""Names in the sources that no user sets, and why."""


@pytest.mark.parametrize("module", sorted(listed()))
def test_every_public_name_is_described_or_says_where(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLICATE_KIT_BACKEND", "mock")
    text = page_of(module)
    described = set(re.findall(r"^:+\{py:(?:class|exception|function|data)\} (\w+)", text, re.MULTILINE))
    elsewhere = set(re.findall(r"^- `(\w+)`: \{py:obj\}`[\w.]+`$", text, re.MULTILINE))
    assert described | elsewhere == listed()[module]
    assert not described & elsewhere


@pytest.mark.parametrize("kind", ["Client", "run", "map"])
def test_every_option_is_there_with_what_it_means(kind: str) -> None:
    found = options()[kind]
    assert [name for name, (_, _, said) in found.items() if not said] == []
    for name in found:
        assert f"### {name}\n" in page()


def test_no_option_is_left_out() -> None:
    found = options()
    assert set(found["run"]) >= {*RunOptions.__optional_keys__, *UseOptions.__optional_keys__}
    assert set(found["map"]) == MapOptions.__optional_keys__
    assert found["map"]["creates_per_minute"][1] == 600
    assert found["Client"]["retries"][1] == Config().retries


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("one", "is this. Not more."),
        ("two", "and three."),
        ("three", "and three."),
        ("four", "says `one`."),
        ("five", "The prose has `five` in it."),
        ("six", "`six` begins this."),
        ("none", ""),
    ],
)
def test_the_meaning_of_an_option_is_what_follows_its_name(name: str, said: str) -> None:
    text = "The prose has `five` in it. It has `six`, too. `six` begins this.\n\n- `one`: is this.\n  Not more.\n"
    assert meaning(name, text + "- `two`, `three`: and three. `four`: says `one`.\n\nThe end.") == said


def walk(command: click.Command, context: click.Context) -> Iterator[tuple[str, list[str]]]:
    """Each command, by its whole name, with the names of its options."""
    yield (
        context.command_path,
        [
            name
            for each in command.params
            if isinstance(each, click.Option) and not each.hidden
            for name in each.opts
        ],
    )
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from walk(below, click.Context(below, info_name=name, parent=context))


def test_every_command_is_there_with_its_options() -> None:
    sections = dict(
        re.findall(r"^## (replicate-kit[^\n]*)\n(.*?)(?=^## |\Z)", commands.page(cli), re.M | re.S)
    )
    for path, names in walk(cli, click.Context(cli, info_name="replicate-kit")):
        assert [name for name in names if name not in sections[path]] == [], path


def variables() -> set[str]:
    """The variables that the sources name, in full or as the settings read them."""
    texts = [path.read_text("utf-8") for path in SOURCES]
    full = {name for text in texts for name in re.findall(r"\bREPLICATE_(?:[A-Z]+_)*[A-Z]+\b(?!_)", text)}
    settings = (ROOT / "src" / "replicate_kit" / "config.py").read_text("utf-8")
    ours = re.findall(r"_(?:flag|names)\(\"(\w+)\"|_env\(\"(\w+)\", ours=True", settings)
    theirs = re.findall(r"_(?:env|seconds)\(\"(\w+)\"(?!, ours)", settings)
    return full | {f"REPLICATE_KIT_{a or b}" for a, b in ours} | {f"REPLICATE_{name}" for name in theirs}


def test_every_variable_is_on_the_page() -> None:
    rows = re.findall(r"^\| `(REPLICATE_\w+)` \|", ENVIRONMENT, re.MULTILINE)
    assert sorted(rows) == sorted(variables() - set(NO_VARIABLES))


@pytest.mark.parametrize(
    ("variable", "field"),
    [
        ("REPLICATE_BASE_URL", "base_url"),
        ("REPLICATE_KIT_ADD_VERSION", "add_version"),
        ("REPLICATE_KIT_BACKEND", "backend"),
        ("REPLICATE_KIT_DISABLE_PLUGINS", "disabled_plugins"),
        ("REPLICATE_KIT_STRICT_PLUGINS", "strict_plugins"),
        ("REPLICATE_KIT_TRUSTED_HOSTS", "trusted_hosts"),
        ("REPLICATE_POLL_INTERVAL", "poll_interval"),
    ],
)
def test_a_default_is_the_one_of_the_settings(
    variable: str, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in variables():
        monkeypatch.delenv(name, raising=False)
    default = getattr(Config(), field)
    shown = (
        f"`{int(default) if isinstance(default, bool) else default}`"
        if default not in ((), frozenset(), None)
        else "none"
    )
    assert re.search(rf"^\| `{variable}` \| {re.escape(shown)}", ENVIRONMENT, re.MULTILINE)


@pytest.mark.parametrize(
    ("docstring", "shown"),
    [
        ("Words.", "Words."),
        ("Words.\n\n>>> 1\n1\n\nMore.", "Words.\n\n```pycon\n>>> 1\n1\n```\n\nMore."),
        ("Words.\n\nTop\n├── a\n└── b", "Words.\n\n```text\nTop\n├── a\n└── b\n```"),
    ],
)
def test_examples_and_drawings_in_docstrings_are_code(docstring: str, shown: str) -> None:
    assert markdown(docstring) == shown
