"""Every example in a docstring runs as a reader of that docstring types it: nothing is there but what it documents.

An example may use the function or class that it belongs to; whatever else it needs, it imports. It asks for the mock
itself: there is no token, and no environment that would make one unnecessary.
"""

from __future__ import annotations

import ast
import doctest
import importlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

from replicate_kit._lazy import forget_default_client
from replicate_kit.simulator import Simulator, install
from replicate_kit.simulator.defaults import replaced
from tests.pages.reading import ROOT

_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_FLAGS = doctest.ELLIPSIS | doctest.DONT_ACCEPT_TRUE_FOR_1
FILES = sorted([*ROOT.glob("src/**/*.py"), *ROOT.glob("plugins/*/src/**/*.py")])


class Docstring(NamedTuple):
    """A docstring with examples: where it is, and the name at the top of its module that it is below of, if any."""

    file: Path
    line: int
    text: str
    below: str | None

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line}"

    @property
    def module(self) -> ModuleType:
        """The module that it is in."""
        parts = self.file.relative_to(ROOT).with_suffix("").parts
        names = parts[parts.index("src") + 1 :]
        return importlib.import_module(".".join(names[:-1] if names[-1] == "__init__" else names))


def docstrings(file: Path) -> Iterator[Docstring]:
    tree = ast.parse(file.read_text("utf-8"))
    for top in (tree, *tree.body):
        for node in [tree] if top is tree else ast.walk(top):
            text = ast.get_docstring(node) if isinstance(node, _DOCUMENTED) else None
            if text and ">>> " in text and isinstance(node, _DOCUMENTED):
                yield Docstring(file, node.body[0].lineno, text, getattr(top, "name", None))


FOUND = [each for file in FILES for each in docstrings(file)]


@pytest.fixture(autouse=True)
def newcomer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Begin as a new process does: no token, no choice of a backend, an empty folder, a mock that nobody has used."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith("REPLICATE_")]:
        del os.environ[name]
    monkeypatch.chdir(tmp_path)
    forget_default_client()
    with replaced(install(Simulator())):
        yield
    forget_default_client()
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.parametrize("docstring", FOUND, ids=str)
def test_the_example_runs_by_itself(docstring: Docstring) -> None:
    failures, said = run(docstring)
    assert not failures, said


def run(docstring: Docstring) -> tuple[int, str]:
    known: dict[str, Any] = {"__name__": "__main__"}
    if docstring.below is not None:
        known[docstring.below] = getattr(docstring.module, docstring.below)
    name, file, line = str(docstring), str(docstring.file), docstring.line
    test = doctest.DocTestParser().get_doctest(docstring.text, known, name, file, line)
    said: list[str] = []
    failures = doctest.DocTestRunner(optionflags=_FLAGS, verbose=False).run(test, out=said.append).failed
    return failures, "".join(said)


def test_all_examples_are_found(capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\ndocstrings with examples: {len(FOUND)}")
    # Counted once more by doctest itself, which imports a module: it finds what is wrapped, too.
    client = importlib.import_module("replicate_kit.client")
    theirs = [each for each in doctest.DocTestFinder().find(client) if each.examples]
    ours = [
        each for each in FOUND if each.file.name == "client.py" and each.file.parent.name == "replicate_kit"
    ]
    assert {each.name.split(".")[2] for each in theirs} <= {each.below for each in ours}
    assert len(FOUND) > 150


@pytest.mark.parametrize(
    "text",
    [
        ">>> undefined",
        ">>> 1 + 1\n3",
        ">>> from replicate_kit import run\n>>> run('demo/poet', {'prompt': 'sea'})",
        ">>> Client",
    ],
)
def test_an_example_that_needs_help_fails(text: str) -> None:
    assert run(Docstring(ROOT / "src/replicate_kit/client.py", 1, text, None))[0]
