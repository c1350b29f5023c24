"""The field's words, one meaning each: names, messages and pages leave out those that had several, or were our own."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

INSTEAD = {
    "place": "slot (of the window), location (of a file), position",
    "turn": "slot, token",
    "purse": "budget",
    "trouble": "backoff, failure",
    "ending": "outcome",
    "fate": "outcome",
    "end": "outcome",
    "unanswered": "unresolved",
    "look up": "reconcile",
    "likeness": "reconciling",
    "held": "unresolved, waiting",
    "identity": "canonical input, key, fingerprint",
    "once": "single flight",
    "piece": "chunk",
    "host": "URL policy, trusted hosts",
    "world": "state, service",
    "flow": "dispatcher",
    "watcher": "poller",
    "shower": "reporter",
    "delivery": "recorder",
    "setup": "state",
    "moment": "timestamp",
    "whole or not at all": "atomic write",
    "how true": "fidelity",
    "missed when gone": "missing file",
}
"""What each is called here."""

# The batch has a vocabulary of its own until it stands around a ledger.
NAMES_LATER = ROOT / "src" / "replicate_kit" / "batch"

ALLOWED = {
    "once": "in a sentence, and of a warning: one time",
    "identity": "the content encoding of HTTP that changes nothing",
    "end": "where a text, a range or a file stops; to stop something",
    "look up": "to find something by its name or id",
    "host": "the name of a machine in a URL (RFC 3986)",
    "delivery": "of a webhook; a part of the host of Replicate's files",
}
"""Words that have another meaning, too, that everybody knows. No module and no class has its name from one alone."""

OF_THE_DOOR = {"Once": "a body that can be sent one time, beside Replayable"}
"""Classes that are called by such a word alone, and why."""

IN_TEXTS = {
    "takes the place of one": "idiom",
    "Real-World Image": "a model's own name",
    "moment.astimezone()": "the name of a caller's own variable",
    "from prefect import flow": "a name of Prefect's",
    "@flow": "the same",
    "flow run": "the same",
    "django.setup()": "a name of Django's",
    "hums waits wanders glimmers whispers turns": "a verse",
}
"""Texts that may have one of them, and why."""

SOURCES = sorted([*ROOT.glob("src/**/*.py"), *ROOT.glob("plugins/*/src/**/*.py")])
PAGES = sorted([*ROOT.glob("docs/**/*.md"), *ROOT.glob("plugins/*/README.md"), ROOT / "README.md"])


def found_in(text: str) -> list[str]:
    """The words in a text that have another name here."""
    for known in IN_TEXTS:
        text = text.replace(known, "")
    return [
        word for word in INSTEAD if word not in ALLOWED and re.search(rf"\b{word}s?\b", text, re.IGNORECASE)
    ]


def found_in_name(name: str) -> list[str]:
    """The words in an identifier that have another name here."""
    parts = parts_of(name)
    return [word for word in INSTEAD if word not in ALLOWED and set(word.split()) <= parts]


def found_in_title(name: str) -> list[str]:
    """The words in the name of a module or a class that have another name here, or that it consists of."""
    parts = parts_of(name)
    return [*found_in_name(name), *(word for word in ALLOWED if set(word.split()) == parts)]


def parts_of(name: str) -> set[str]:
    """The words that an identifier is made of, in the singular."""
    return {part.lower().removesuffix("s") for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


def titles(path: Path, tree: ast.Module) -> Iterator[str]:
    """The names of a module and its classes."""
    yield path.stem
    yield from (node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef))


def names(tree: ast.Module) -> Iterator[str]:
    """What a module names beside its classes: functions, parameters, variables and attributes."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name) | ast.AsyncFunctionDef(name):
                yield name
            case ast.arg(name):
                yield name
            case ast.Name(name, ast.Store()) | ast.Attribute(_, name, ast.Store()):
                yield name


def messages(tree: ast.Module) -> Iterator[str]:
    """The texts of a module that somebody may read while it runs: those that are no docstrings."""
    described = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in described:
            yield node.value


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_names_and_messages_have_the_words_of_the_field(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert [each for text in messages(tree) for each in found_in(text) if " " in text] == []
    if not path.is_relative_to(NAMES_LATER):
        assert {name: found for name in names(tree) if (found := found_in_name(name))} == {}
        assert {
            name: found
            for name in titles(path, tree)
            if name not in OF_THE_DOOR and (found := found_in_title(name))
        } == {}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_pages_have_the_words_of_the_field(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert {number: found for number, line in enumerate(lines, 1) if (found := found_in(line))} == {}


@pytest.mark.parametrize("name", ["Place", "_place_of", "places", "Turn", "held_back", "world"])
def test_a_name_with_another_word_is_noticed(name: str) -> None:
    assert found_in_name(name)
    assert found_in_title(name)


@pytest.mark.parametrize("name", ["_once", "Identity", "hosts", "LookUp", "End", "delivery"])
def test_no_module_and_no_class_is_named_for_a_word_of_many_meanings(name: str) -> None:
    assert found_in_title(name)
    assert not found_in_name(name)


@pytest.mark.parametrize("name", ["replace", "_warn_once", "identity_encoding", "workplace", "underworld"])
def test_other_names_are_let_through(name: str) -> None:
    assert not found_in_title(name)


def test_what_is_let_through_is_needed() -> None:
    texts = "\n".join(path.read_text(encoding="utf-8") for path in (*SOURCES, *PAGES))
    assert [known for known in IN_TEXTS if known not in texts] == []
