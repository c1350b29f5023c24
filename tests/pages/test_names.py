"""What pages name in their text is there: commands, options, modules and their names, environment variables."""

from __future__ import annotations

import functools
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from markdown_it import MarkdownIt

from replicate_kit.cli import cli
from tests.pages.reading import PAGES, ROOT

OTHER_PROGRAMS = re.compile(r"\b(benchmarks|curl|mypy|pytest|python|ruff|tox|uv|skip_dep_check)\b|--pairs\b")
"""What is in code with one of these is an option of theirs."""

GROUPS = ("replicate_kit.accessors", "replicate_kit.ledgers")
"""Names of entry points, which look like modules."""


@functools.cache
def mentions(page: Path) -> tuple[str, ...]:
    """The pieces of code within the text of a page."""
    tokens = MarkdownIt("commonmark").enable("table").parse(page.read_text("utf-8"))
    return tuple(
        each.content for token in tokens for each in token.children or () if each.type == "code_inline"
    )


def commands(
    command: click.Command, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in [*command.list_commands(context), *getattr(command, "aliases", ())]:
            found = command.get_command(context, name)
            assert found is not None
            yield from commands(found, (*path, name))


@functools.cache
def known_commands() -> dict[tuple[str, ...], click.Command]:
    return dict(commands(cli))


@functools.cache
def known_options() -> frozenset[str]:
    parameters = [each for command in known_commands().values() for each in command.params]
    ours = {name for each in parameters for name in (*each.opts, *each.secondary_opts)}
    benchmarks = "".join(script.read_text("utf-8") for script in ROOT.glob("benchmarks/*.py"))
    return frozenset(ours | {"--help", *re.findall(r'add_argument\(\s*"(--[\w-]+)"', benchmarks)})


@functools.cache
def sources() -> str:
    files = [*ROOT.glob("src/**/*.py"), *ROOT.glob("plugins/*/src/**/*.py")]
    return "\n".join(file.read_text("utf-8") for file in files)


def resolves(name: str) -> bool:
    """Whether a module has a name, or is there."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:count]))
        except ImportError:
            continue
        try:
            functools.reduce(getattr, parts[count:], found)
        except AttributeError:
            return False
        return True
    # A package that is not installed here, as it brings an engine along.
    plugin = ROOT / "plugins" / parts[0].replace("_", "-")
    is_left_out = plugin.is_dir() and importlib.util.find_spec(parts[0]) is None
    return is_left_out and re.search(rf"\b(?:def|class) {parts[-1]}\b", sources()) is not None


def unknown(code: str) -> Iterator[str]:
    """Name what is not there."""
    if not OTHER_PROGRAMS.search(code):
        named = re.findall(r"(?<![\w-])--[a-z][\w-]*", code)
        yield from (each for each in named if each not in known_options())
    dotted = re.findall(r"\breplicate_kit(?:_\w+)?(?:\.\w+)+(?!\.?\w*\.py)", code)
    yield from (each for each in dotted if each not in GROUPS and not resolves(each))
    variables = re.findall(r"\bREPLICATE_(?:KIT_)?(\w+)\b", code)
    yield from (
        each for each in variables if not re.search(rf"REPLICATE_(KIT_)?{each}|\b{each}\b", sources())
    )
    keyword = None if OTHER_PROGRAMS.search(code) else re.match(r"(\w+)=", code)
    if keyword and not keyword[1].isupper() and not re.search(rf"\b{keyword[1]}\b", sources()):
        yield keyword[0]
    if code.startswith("replicate-kit "):
        yield from _unknown_command(code.split()[1:])


def _unknown_command(words: list[str]) -> Iterator[str]:
    path: tuple[str, ...] = ()
    for word in words:
        if not isinstance(known_commands()[path], click.Group) or word.startswith("-"):
            return
        path = (*path, word)
        if path not in known_commands():
            yield " ".join(path)
            return


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_is_named_is_there(page: Path) -> None:
    assert not [(code, name) for code in mentions(page) for name in unknown(code)]


@pytest.mark.parametrize(
    "code",
    [
        "--no-such-option",
        "map --no-such-option=3",
        "replicate_kit.no_such_module",
        "replicate_kit.errors.NoSuchError",
        "replicate_kit_pandas.no_such_name",
        "REPLICATE_KIT_NO_SUCH_VARIABLE=1",
        "no_such_option=",
        "replicate-kit no-such-command",
        "replicate-kit journal no-such-command FILE",
    ],
)
def test_what_is_not_there_is_found(code: str) -> None:
    assert list(unknown(code))


@pytest.mark.parametrize(
    "code",
    [
        "replicate-kit journal list FILE",
        "replicate-kit",
        "--save-to",
        "replicate_kit.errors.NotFound",
        "replicate_kit.testing.mocked(…)",
        "REPLICATE_KIT_STRICT_PLUGINS=1",
        "save_to=",
        "pytest --no-such-option",
    ],
)
def test_what_is_there_is_not(code: str) -> None:
    assert not list(unknown(code))
