"""What must be true of the site, once it is built: links lead somewhere, nothing comes from elsewhere, search finds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sphinx.search.en import SearchEnglish

__all__ = ["faults"]

SEARCHED = {
    "budget": "batches",
    "concurrency": "batches",
    "deployment": "quickstart",
    "journal": "batches",
    "parquet": "command-line",
    "proxy": "errors",
    "s3": "saving",
    "timeout": "errors",
    "token": "quickstart",
    "webhook": "webhooks",
}
"""Words that a user types, each with a page that has to be among those that are found."""


class _Page(HTMLParser):
    """Reads what a page links to, what it loads, and what can be linked to on it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors = {""}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of an element."""
        found = dict(attrs)
        self.anchors |= {found.get("id") or "", found.get("name") or ""}
        if tag == "a":
            self.links.append(found.get("href") or "")
        elif tag in ("script", "img", "link", "iframe"):
            self.loaded.append(found.get("src") or found.get("href") or "")


def faults(site: Path, sources: Path) -> list[str]:
    """Say what is wrong with a site, whose sources are in another folder."""
    pages = {page: _Page(page.read_text("utf-8")) for page in site.resolve().rglob("*.html")}
    return [*_broken(pages), *_elsewhere(pages), *_not_found(site), *_missing(site, sources)]


def _broken(pages: dict[Path, _Page]) -> Iterator[str]:
    """Name links within the site that lead nowhere; nobody asks the network for the others."""
    for page, read in pages.items():
        for link in read.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            there = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            anchors = pages[there].anchors if there in pages else {""}
            if not there.is_file() or unquote(parts.fragment) not in anchors:
                yield f"{page}: the link {link} leads nowhere"


def _elsewhere(pages: dict[Path, _Page]) -> Iterator[str]:
    """Name what a browser would load over the network."""
    for page, read in pages.items():
        yield from (f"{page}: loads {each}" for each in read.loaded if urlsplit(each).netloc)


def _not_found(site: Path) -> Iterator[str]:
    """Name words that the site's search does not find, as a browser looks for them."""
    text = (site / "searchindex.js").read_text("utf-8")
    index = json.loads(text.removeprefix("Search.setIndex(").removesuffix(")"))
    stem = SearchEnglish({}).stem
    for word, page in SEARCHED.items():
        hits = [index[part].get(stem(word), []) for part in ("terms", "titleterms")]
        numbers = {each for hit in hits for each in (hit if isinstance(hit, list) else [hit])}
        if page not in {index["docnames"][number] for number in numbers}:
            yield f"Who searches for {word!r} does not find {page}."


def _missing(site: Path, sources: Path) -> Iterator[str]:
    """Name pages of which the site has no Markdown, and what tells programs of them."""
    wanted = [Path("llms.txt"), *(page.relative_to(sources) for page in sources.rglob("*.md"))]
    yield from (f"{site / each} is missing" for each in wanted if not (site / each).is_file())
