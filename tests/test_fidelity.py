"""The tables of docs/fidelity.md name tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENT = (ROOT / "docs" / "fidelity.md").read_text("utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::([\w:]+)`", DOCUMENT)))
ROWS = [
    line
    for line in DOCUMENT.partition("## Kept")[2].partition("## Not recorded")[0].splitlines()
    if line.startswith("| ")
]


def names_in(path: Path) -> set[str]:
    """The tests of a file, with their classes."""
    found = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{each.name}" for each in node.body if isinstance(each, ast.FunctionDef)}
    return found


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_each_named_test_exists(file: str, test: str) -> None:
    assert test in names_in(ROOT / file)


def test_each_fact_names_a_test() -> None:
    facts = [row for row in ROWS if not row.startswith(("| **", "| what "))]
    assert len(facts) > 50
    assert [row for row in facts if "`tests/" not in row.rpartition(" | ")[2]] == []
