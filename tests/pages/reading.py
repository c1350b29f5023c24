"""Reads a page as a reader sees it: its blocks of code, and whatever is in the file that the reader does not see."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

__all__ = ["BUILDS_UP", "ELSEWHERE", "PAGES", "ROOT", "Block", "Page", "read"]

ROOT = Path(__file__).parent.parent.parent
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").glob("**/*.md"), *(ROOT / "plugins").glob("*/README.md")]
)

BUILDS_UP = "The examples on this page build upon each other, from top to bottom."
"""What a page says whose blocks do not run one by one."""

SETS_UP = re.compile(r"REPLICATE_KIT_BACKEND=mock")
"""The one piece of set-up that a page may ask for in its text: readers do it, and so does the test."""

ELSEWHERE = {
    "airflow": "jobs",
    "dagster": "jobs",
    "prefect": "jobs",
    "distributed": "engines",
    "datasets": "neighbours",
    "duckdb": "neighbours",
    "marimo": "neighbours",
}
"""Packages that no newcomer installs, and the tox environment that runs blocks which import one: for `jobs` tests/jobs
do that, for `engines` the tests of the package for that engine, for `neighbours` tests/neighbours."""

SHELL = ("sh",)
_OTHER_NAMES = {
    "py": "python",
    "python3": "python",
    "pycon": "python",
    "ipython": "python",
    "ipython3": "python",
    "bash": "sh",
    "shell": "sh",
    "console": "sh",
    "zsh": "sh",
}
_DATA = ("ini", "json", "toml", "yaml")  # in which the like of `name = "…"` is no Python
_FILE = re.compile(r"# (\w+\.py)\n")
_IMPORTS = re.compile(rf"^(?:from|import) ({'|'.join(ELSEWHERE)})\b", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A block of code: its language, the line of the page on which its code begins, and the code."""

    language: str
    line: int
    code: str

    @property
    def file(self) -> str | None:
        """The name of the file that it is to be put into, which is its first line, as a comment."""
        named = _FILE.match(self.code)
        return named[1] if named else None

    @property
    def elsewhere(self) -> str | None:
        """The tox environment that runs it, where it imports one of the packages of `ELSEWHERE`."""
        found = _IMPORTS.search(self.code) if self.language == "python" else None
        return ELSEWHERE[found[1]] if found else None

    @property
    def runs_elsewhere(self) -> bool:
        """Whether it imports one of the packages of `ELSEWHERE`."""
        return self.elsewhere is not None


@dataclass(frozen=True)
class Page:
    """A page: its blocks in order, what is wrong with how it is written, and what it asks of its reader."""

    name: str
    blocks: tuple[Block, ...]
    hidden: tuple[str, ...]
    asks_for_mock: bool
    builds_up: bool

    @property
    def python(self) -> tuple[Block, ...]:
        """The blocks of Python."""
        return tuple(block for block in self.blocks if block.language == "python")


@functools.cache
def read(path: Path) -> Page:
    """Read a page of this repository."""
    return parse(path.relative_to(ROOT).as_posix(), path.read_text("utf-8"))


def parse(name: str, text: str) -> Page:
    """Read a page."""
    env: dict[str, dict[str, object]] = {}
    tokens = MarkdownIt("commonmark").enable("table").parse(text, env)
    blocks = tuple(_blocks(tokens))
    hidden = [
        *_hidden(tokens),
        *_unused(text, env),
        *(each for block in blocks for each in _disguised(block)),
    ]
    first = next((block.line for block in blocks if block.language == "python"), len(text))
    above = "\n".join(text.split("\n")[: first - 1])
    return Page(name, blocks, tuple(hidden), bool(SETS_UP.search(above)), BUILDS_UP in " ".join(text.split()))


def _blocks(tokens: list[Token]) -> Iterator[Block]:
    for token in tokens:
        if token.type in ("fence", "code_block"):
            line = (token.map or [0])[0] + 1
            yield Block(token.info.strip(), line + (token.type == "fence"), token.content)


def _hidden(tokens: list[Token]) -> Iterator[str]:
    """Say what is in the file and not on the page: comments, and HTML, in which anything can be hidden."""
    for token in tokens:
        for each in (token, *(token.children or ())):
            if each.type in ("html_block", "html_inline"):
                yield f"line {(token.map or [0])[0] + 1}: HTML, {each.content.strip()[:60]!r}"


def _unused(text: str, env: dict[str, dict[str, object]]) -> Iterator[str]:
    """Say which names of links are never used: `[//]: # (…)` is a comment."""
    for label in env.get("references", {}):
        if len(re.findall(rf"\[{re.escape(label)}\]", text, re.IGNORECASE)) < 2:
            yield f"[{label}]: is shown nowhere"


def _disguised(block: Block) -> Iterator[str]:
    """Say what keeps a block from being seen for what it is."""
    language, _, rest = block.language.partition(" ")
    if language in ("python", *SHELL) and rest:
        yield f"line {block.line}: readers do not see {rest!r}"
    if language in _OTHER_NAMES:
        yield f"line {block.line}: {language} is called {_OTHER_NAMES[language]} on our pages"
    if language == "python" and re.search(r"^\s*>>> ", block.code, re.MULTILINE):
        yield f"line {block.line}: what has prompts in it cannot be pasted"
    if language not in ("python", *SHELL, *_OTHER_NAMES, *_DATA) and _is_python(block.code):
        yield f"line {block.line}: this is Python, and is not called so"


_DOING = (
    ast.Import,
    ast.ImportFrom,
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.Call,
    ast.Assign,
)


def _is_python(code: str) -> bool:
    """Whether it is Python that does something; a signature or a message is not."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError):
        return False
    return any(isinstance(node, _DOING) for node in ast.walk(tree))
