"""The documents: a reader finds all of them from README, and no link leads nowhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "plugins").glob("*/README.md")],
)
# READMEs are shown on package indexes too, where relative links lead nowhere.
HOME = "https://github.com/replicate-kit/replicate-kit"
READMES = [page for page in PAGES if page.name == "README.md"]
_OURS = re.compile(rf"\]\({HOME}/(?:blob|tree)/main/([^)#\s]*)(?:#([^)\s]*))?\)")
_LINK = re.compile(r"\]\((?!https?://)([^)#\s]*)(?:#([^)\s]*))?\)")


def slugs(page: Path) -> set[str]:
    """Name the headings of a page as links do."""
    titles = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_what_is_there(page: Path) -> None:
    text = page.read_text("utf-8")
    links = [(page.parent / target if target else page, heading) for target, heading in _LINK.findall(text)]
    links += [(ROOT / target, heading) for target, heading in _OURS.findall(text)]
    for found, heading in links:
        assert found.exists(), found
        assert not heading or heading in slugs(found), f"{found}#{heading}"


def test_every_page_is_listed_in_the_readme() -> None:
    listed = {target for target, _ in _OURS.findall((ROOT / "README.md").read_text("utf-8"))}
    pages = {f"docs/{page.name}" for page in (ROOT / "docs").iterdir() if page.suffix in (".md", ".ipynb")}
    assert pages <= listed


@pytest.mark.parametrize("page", READMES, ids=lambda page: str(page.relative_to(ROOT)))
def test_readmes_link_in_full(page: Path) -> None:
    assert [target for target, _ in _LINK.findall(page.read_text("utf-8"))] == []
    assert set(re.findall(r"https://github\.com/replicate-kit/[\w.-]+", page.read_text("utf-8"))) <= {HOME}
