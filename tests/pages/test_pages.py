"""What a page shows is what runs: every block of Python and every command, as a reader pastes it, with nothing hidden.

A page is run from top to bottom in one namespace, in a process of its own that begins in an empty folder. Beyond that,
each block is run by itself, unless the page says that its blocks build upon each other. What a page needs stands on it.
"""

from __future__ import annotations

import functools
import re
import tempfile
from pathlib import Path

import pytest

from tests.pages.reading import PAGES, ROOT, Page, read
from tests.pages.running import Outcome, complaints, run_alone, run_page, run_tests

SHOWING = [path for path in PAGES if read(path).blocks]
WITH_PYTHON = [path for path in PAGES if read(path).python]
AT_LEAST = 78
"""How many blocks of Python README and docs/ had when this was first counted."""

ONE_BY_ONE = ("README.md", "docs/quickstart.md")
"""Where readers begin: from these they paste a single block."""


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@functools.cache
def outcomes(path: Path) -> tuple[list[Outcome], str]:
    """Run a page, and the files of tests that it shows: what became of the blocks, and what pytest said."""
    page = read(path)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        results = run_page(page, folder)
        tests = "" if not _test_files(page) else run_tests(page, folder / "work").stdout
    return results, tests


def _test_files(page: Page) -> list[str]:
    return [block.file for block in page.python if block.file and block.file.startswith("test_")]


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_nothing_is_hidden_from_the_reader(path: Path) -> None:
    assert not read(path).hidden


@pytest.mark.parametrize("path", SHOWING, ids=name_of)
def test_the_page_runs_from_top_to_bottom(path: Path) -> None:
    results, _ = outcomes(path)
    found = complaints(read(path), results)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("path", [path for path in SHOWING if _test_files(read(path))], ids=name_of)
def test_the_tests_that_a_page_shows_pass(path: Path) -> None:
    _, told = outcomes(path)
    for name in _test_files(read(path)):
        assert re.search(rf"^{re.escape(name)}::.* PASSED", told, re.MULTILINE), told
    assert "FAILED" not in told
    assert "ERROR" not in told


@pytest.mark.parametrize("path", [path for path in WITH_PYTHON if not read(path).builds_up], ids=name_of)
def test_each_block_runs_by_itself(path: Path, tmp_path: Path) -> None:
    page = read(path)
    found = [f"{page.name}:{block.line}: {error}" for block, _, error in run_alone(page, tmp_path) if error]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("name", ONE_BY_ONE)
def test_where_readers_begin_no_block_needs_another(name: str) -> None:
    assert not read(ROOT / name).builds_up


def test_all_blocks_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    main = [path for path in WITH_PYTHON if path.parent in (ROOT, ROOT / "docs")]
    shown, ran = (sum(count(path)[which] for path in WITH_PYTHON) for which in (0, 1))
    of_main = sum(count(path)[1] for path in main)
    with capsys.disabled():
        print(f"\nvisible Python blocks: {ran} of {shown} ran, {of_main} of them in README and docs/")
    assert ran == shown
    assert of_main >= AT_LEAST


def count(path: Path) -> tuple[int, int]:
    """How many blocks of Python a page shows, but for those that tests/jobs runs, and how many of them ran."""
    results, _ = outcomes(path)
    python = [each for each in results if each.block.language == "python"]
    # Counted in the text once more, by a reader who knows nothing of Markdown.
    shown = len(re.findall(r"^ *```+ *(?:python|py)\b", path.read_text("utf-8"), re.MULTILINE))
    assert shown == len(read(path).python)
    elsewhere = sum(block.runs_elsewhere for block in read(path).python)
    return shown - elsewhere, sum(not each.error for each in python)
