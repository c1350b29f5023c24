"""The sources of the site: the pages of this repository in one folder, with links that lead from page to page.

Pages stay as code hosts show them. What only a site has, such as its table of contents, is added here.
"""

from __future__ import annotations

import json
import posixpath
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

__all__ = ["HOME", "ROOT", "contents", "gather", "linked", "on_site", "pages"]

ROOT = Path(__file__).parents[2]
HOME = "https://github.com/replicate-kit/replicate-kit"

_FULL = re.compile(rf"{HOME}/(?:blob|tree)/main/([^#]+)")
_FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)|^\[\w+\]: (\S+)$", re.MULTILINE)
_LISTED = re.compile(r"^- \[[^\]]+\]\(([^)\s]+)\.md\)", re.MULTILINE)
_DIAGRAM = re.compile(r"^```mermaid\n.*?^```$", re.MULTILINE | re.DOTALL)


def on_site(path: str) -> str | None:
    """Name the page of the site for a file of this repository, if it has one.

    >>> on_site("plugins/replicate-kit-pandas/README.md"), on_site("CHANGELOG.md"), on_site("docs/tables.ipynb")
    ('packages/replicate-kit-pandas.md', 'changelog.md', 'tables.md')
    """
    match path.split("/"):
        case ["README.md"]:
            return "index.md"  # which begins as it does
        case ["CHANGELOG.md" | "CONTRIBUTING.md" | "SECURITY.md" as name]:
            return name.lower()
        case ["docs", *rest] if path.endswith((".md", ".ipynb")):
            return "/".join(rest).replace(".ipynb", ".md")
        case ["plugins", package, "README.md"]:
            return f"packages/{package}.md"
    return None


def pages() -> dict[str, str]:
    """Give the text of each page, by its name on the site."""
    found = [
        *(ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("docs/*.ipynb"),
        *ROOT.glob("plugins/*/README.md"),
    ]
    return dict(sorted(map(_page, found)))


def _page(file: Path) -> tuple[str, str]:
    path = file.relative_to(ROOT).as_posix()
    text = file.read_text("utf-8")
    name = on_site(path)
    assert name is not None
    return name, linked(_shown(_markdown(text) if file.suffix == ".ipynb" else text), path, name)


def _markdown(notebook: str) -> str:
    """Write a notebook as Markdown."""
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in json.loads(notebook)["cells"]]
    return "\n\n".join(f"```python\n{text}\n```" if kind == "code" else text for kind, text in cells) + "\n"


def _shown(text: str) -> str:
    """Write the diagram of floors as text: what draws it elsewhere is a program from the network."""

    def drawn(found: re.Match[str]) -> str:
        floors = re.findall(r'^ +\w+\["(.+)"\]$', found[0], re.MULTILINE)
        return "```text\n" + "\n   ↓\n".join(floors) + "\n```"

    return _DIAGRAM.sub(drawn, text)


def linked(text: str, path: str, name: str) -> str:
    """Have the links of a page lead to pages of the site, and else to the code host."""

    def replaced(found: re.Match[str]) -> str:
        link = found[1] or found[2]
        return found[0].replace(link, _target(link, path, name))

    parts = _FENCE.split(text)
    return "".join(part if number % 2 else _LINK.sub(replaced, part) for number, part in enumerate(parts))


def _target(link: str, path: str, name: str) -> str:
    full = _FULL.match(link)
    if not full and re.match(r"[a-z]+:|#", link):
        return link
    file, _, heading = link.partition("#")
    file = full[1] if full else posixpath.normpath(posixpath.join(posixpath.dirname(path), file))
    page = on_site(file)
    there = posixpath.relpath(page, posixpath.dirname(name) or ".") if page else f"{HOME}/blob/main/{file}"
    return f"{there}#{heading}" if heading else there


def contents(index: str) -> str:
    """Add to each section of the first page what makes the table of contents of the lists in it."""
    first, *sections = re.split(r"^(?=## )", index, flags=re.MULTILINE)
    return first + "".join(f"{each.rstrip()}\n\n{_toctree(each)}\n\n" for each in sections)


def _toctree(section: str) -> str:
    """List the pages of a section, below its title."""
    title = section[3:].partition("\n")[0]
    return "\n".join(["```{toctree}", ":hidden:", f":caption: {title}", "", *_LISTED.findall(section), "```"])


def gather(folder: Path, written: Mapping[str, str]) -> None:
    """Write the sources of the site into a folder, in place of what is there."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, text in written.items():
        page = folder / name
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(contents(text) if name == "index.md" else text, "utf-8")
