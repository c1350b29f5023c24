"""The documents: a reader finds all of them from README, and no link leads nowhere."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").glob("**/*.md"),
        *(ROOT / "docs").glob("*.ipynb"),
        *(ROOT / "plugins").glob("*/README.md"),
    ],
)
# READMEs are shown on package indexes too, where relative links lead nowhere.
HOME = "https://github.com/replicate-kit/replicate-kit"
READMES = [page for page in PAGES if page.name == "README.md"]
_OURS = re.compile(rf"{HOME}/(?:blob|tree)/main/(.+)")


def text_of(page: Path) -> str:
    """The Markdown of a page; of a notebook, that of its cells."""
    text = page.read_text("utf-8")
    if page.suffix != ".ipynb":
        return text
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown"]
    return "\n\n".join("".join(cell["source"]) for cell in cells)


def tokens(text: str) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(text)


def links(text: str) -> Iterator[str]:
    """Give what the links and pictures of a text lead to."""
    for token in tokens(text):
        for each in token.children or ():
            target = each.attrGet("href") if each.type == "link_open" else each.attrGet("src")
            if target is not None:
                yield str(target)


def slugs(text: str) -> set[str]:
    """Name the headings of a text as links do: as the site that shows them makes anchors of headings."""
    found: Counter[str] = Counter()
    names = set()
    read = tokens(text)
    for opening, title in itertools.pairwise(read):
        if opening.type == "heading_open":
            shown = "".join(each.content for each in title.children or ())
            slug = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
            names.add(f"{slug}-{found[slug]}" if found[slug] else slug)
            found[slug] += 1
    return names


def at_home(link: str) -> str:
    """The path in the repository that a full link of a README leads to; others stay as they are."""
    found = _OURS.fullmatch(link)
    return found[1] if found else link


def broken(page: Path, text: str) -> list[str]:
    """The links that lead nowhere within the repository."""
    return [link for link in links(text) if not _leads_somewhere(page, text, link)]


def _leads_somewhere(page: Path, text: str, link: str) -> bool:
    parts, folder = urlsplit(at_home(link)), ROOT if at_home(link) != link else page.parent
    if parts.scheme or parts.netloc:
        return True  # elsewhere: no test asks the network
    found = (folder / unquote(parts.path)).resolve() if parts.path else page
    if not found.exists() or not found.is_relative_to(ROOT):
        return False
    there = text if found == page else text_of(found) if found.is_file() and found in PAGES else ""
    return not parts.fragment or unquote(parts.fragment) in slugs(there)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_what_is_there(page: Path) -> None:
    assert not broken(page, text_of(page))


@pytest.mark.parametrize(
    ("link", "good"),
    [
        ("docs/batches.md", True),
        ("docs/batches.md#results", True),
        ("docs/batches.md#no-such-heading", False),
        ("docs/batches.md#Results", False),
        ("docs/no-such-page.md", False),
        ("../elsewhere", False),
        ("/docs/batches.md", False),
        ("#here", True),
        ("#here-1", True),
        ("#here-2", False),
        ("#code-and-more", True),
        ("docs", True),
        ("tests/third_party#readme", False),
        ("https://example.com/#anything", True),
        ("mailto:somebody@example.com", True),
    ],
)
@pytest.mark.parametrize(
    "form", ["[x]({})", "![x]({})", '[x]({} "a title")', "[x][y]\n\n[y]: {}", "|a|\n|-|\n|[x]({})|"]
)
def test_a_link_that_leads_nowhere_is_found(link: str, good: bool, form: str) -> None:
    text = "# Here\n\n## Here\n\n## `Code` and more\n\n" + form.format(link) + "\n"
    assert bool(broken(ROOT / "README.md", text)) is not good


def test_what_is_code_is_no_link() -> None:
    assert not broken(ROOT / "README.md", "`[x](nowhere)`\n\n```\n[x](nowhere)\n```\n")


def test_every_page_is_listed_in_the_readme() -> None:
    listed = {urlsplit(at_home(link)).path for link in links(text_of(ROOT / "README.md"))}
    pages = {f"docs/{page.name}" for page in (ROOT / "docs").iterdir() if page.suffix in (".md", ".ipynb")}
    assert pages <= listed


def test_every_page_in_a_folder_is_listed_on_the_page_of_its_name() -> None:
    for page in (ROOT / "docs").glob("*/*.md"):
        above = page.parent.with_suffix(".md")
        assert f"{page.parent.name}/{page.name}" in {urlsplit(link).path for link in links(text_of(above))}


@pytest.mark.parametrize("page", READMES, ids=lambda page: str(page.relative_to(ROOT)))
def test_readmes_link_in_full(page: Path) -> None:
    text = page.read_text("utf-8")
    assert [link for link in links(text) if not urlsplit(link).scheme and not link.startswith("#")] == []
    assert set(re.findall(r"https://github\.com/replicate-kit/[\w.-]+", text)) <= {HOME}
