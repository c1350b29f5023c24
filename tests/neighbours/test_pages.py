"""The pages of neighbours run as tests/pages run the others: each with the package that it is about."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pages.reading import ELSEWHERE, PAGES, ROOT, read
from tests.pages.running import complaints, run_page

WHERE = "neighbours"
SHOWN = [path for path in PAGES if any(block.elsewhere == WHERE for block in read(path).python)]


@pytest.mark.parametrize("path", SHOWN, ids=lambda path: path.name)
def test_the_page_runs_from_top_to_bottom(path: Path, tmp_path: Path) -> None:
    pytest.importorskip(path.stem, reason="runs in tox's environment `neighbours`")
    page = read(path)
    assert page.builds_up
    outcomes = run_page(page, tmp_path, WHERE)
    assert not complaints(page, outcomes)
    assert len([each for each in outcomes if each.block.language == "python"]) == len(page.python)


def test_each_neighbour_has_a_page() -> None:
    neighbours = {name for name, environment in ELSEWHERE.items() if environment == WHERE}
    assert {path.relative_to(ROOT).as_posix() for path in SHOWN} == {f"docs/{name}.md" for name in neighbours}
