"""The page around the cards."""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

from replicate_kit._files.atomic import open_replacing
from replicate_kit._formats.page_policies import inlined
from replicate_kit._formats.paths import check_local
from replicate_kit._formats.wording import escaped
from replicate_kit.gallery._cards import Shown, card, kinds_of, settings, shared_settings

__all__ = ["is_page", "render", "write"]

_FILTERS = {
    "image": "Pictures",
    "video": "Films",
    "audio": "Sound",
    "text": "Texts",
    "file": "Files",
    "failed": "Failed",
}


# What every page begins with, by which it is known again.
_OPENING = (
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; base-uri 'none'; form-action 'none'; "
)


def is_page(path: Path) -> bool:
    """Whether a file is a page that `write` has written."""
    with path.open("rb") as file:
        return file.read(len(_OPENING)) == _OPENING.encode()


def write(
    path: str | os.PathLike[str],
    groups: Mapping[str, Iterable[Shown]],
    *,
    title: str = "Results",
    note: str = "",
) -> Path:
    """Write the page of some results; give its path.

    `groups` are results by the heading that they shall stand under; those of `client.map` will do. `title`
    is that of the page, `note` a sentence below it. Files that are saved below the page's folder are linked
    relatively, so that the folder may be moved or published as it is. The page is replaced as a whole, or
    not at all.
    """
    check_local(path, "The path of the page")
    target = Path(path)
    with open_replacing(target) as file:
        file.writelines(
            chunk.encode() for chunk in render(groups, folder=target.parent, title=title, note=note)
        )
    return target


def render(
    groups: Mapping[str, Iterable[Shown]],
    *,
    folder: str | os.PathLike[str] = ".",
    title: str = "Results",
    note: str = "",
) -> Iterator[str]:
    """Give the page that `write` writes, chunk by chunk, as it would be in `folder`.

    Halves of surrogate pairs, which no page can hold, are escapes in it.
    """
    yield from map(escaped, _rendered(groups, folder, title, note))


def _rendered(
    groups: Mapping[str, Iterable[Shown]], folder: str | os.PathLike[str], title: str, note: str
) -> Iterator[str]:
    """Give the page, of texts as they are."""
    into, listed_groups = Path(folder), {heading: list(results) for heading, results in groups.items()}
    everything = [result for results in listed_groups.values() for result in results]
    yield _head(title)
    yield f"<header><h1>{escape(title)}</h1>{_note(note)}{_counts(everything)}{_toolbar(everything, into)}"
    yield "</header>\n<main>\n"
    for heading, results in listed_groups.items():
        yield from _section(heading, results, into)
    yield f'<p class="empty" hidden>Nothing matches.</p></main>\n{_VIEWER}'
    yield f"<script>{_asset('page.js')}</script></body></html>\n"


def _section(heading: str, results: Sequence[Shown], folder: Path) -> Iterator[str]:
    """Give the results under one heading; what all of them share is said there, once."""
    shared = shared_settings(results)
    yield f"<section><h2>{escape(heading)} <small>{len(results)}</small></h2>{settings(shared)}"
    yield '\n<div class="cards">\n'
    yield from (card(result, folder, shared) for result in results)
    yield "</div></section>\n"


_VIEWER = (
    '<dialog class="viewer" aria-label="Picture"><button class="close" aria-label="Close">&times;</button>'
    '<button class="previous" aria-label="Previous">&lsaquo;</button><figure><img alt=""><figcaption></figcaption>'
    '</figure><button class="next" aria-label="Next">&rsaquo;</button></dialog>\n'
)


@functools.cache
def _asset(name: str) -> str:
    """Read a part of the page that the package ships."""
    return files("replicate_kit.gallery").joinpath(name).read_text("utf-8")


def _head(title: str) -> str:
    """Begin the page. Its policy lets it run our own script and load pictures, sound and films, nothing else."""
    policy = (
        f"script-src {inlined(_asset('page.js'))}; "
        f"style-src {inlined(_asset('page.css'))}; img-src 'self' file: http: https: data:; "
        "media-src 'self' file: http: https: data:"
    )
    return (
        f'{_OPENING}{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n'
        f"<title>{escape(title)}</title>\n<style>{_asset('page.css')}</style></head>\n<body>\n"
    )


def _note(note: str) -> str:
    return f'<p class="note">{escape(note)}</p>' if note else ""


def _counts(results: list[Shown]) -> str:
    """Say how many results there are, and of which kind."""
    statuses = Counter(result.status for result in results)
    cached = sum(result.cached for result in results)
    parts = [f"<b>{len(results)}</b> results"]
    parts += [
        f'<b class="{escape(name, quote=True)}">{count}</b> {escape(name)}'
        for name, count in statuses.items()
    ]
    parts += [f"<b>{cached}</b> cached"] if cached else []
    return f'<p class="counts">{"".join(f"<span>{part}</span>" for part in parts)}</p>'


def _toolbar(results: list[Shown], folder: Path) -> str:
    """Make the buttons that show some cards only, the search and the switch of the theme."""
    found = Counter(kind for result in results for kind in kinds_of(result, folder))
    buttons = [f'<button data-kind="" aria-pressed="true">All <small>{len(results)}</small></button>']
    buttons += [
        f'<button data-kind="{kind}" aria-pressed="false">{name} <small>{found[kind]}</small></button>'
        for kind, name in _FILTERS.items()
        if found[kind]
    ]
    return (
        f'<nav class="toolbar"><div class="filters">{"".join(buttons)}</div>'
        '<input type="search" placeholder="Search" aria-label="Search">'
        '<button class="theme" aria-label="Light or dark">&#9680;</button></nav>'
    )
