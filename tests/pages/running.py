"""Runs the blocks of a page in a process of their own, in an empty folder, with what the page asks for and no more."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.pages.commands import runnable
from tests.pages.reading import SHELL, Block, Page

__all__ = ["Outcome", "complaints", "environment", "run_alone", "run_page", "run_tests"]


class Outcome(NamedTuple):
    """What became of a block: what it printed, and the traceback of what went wrong."""

    block: Block
    printed: str
    error: str | None


def environment(page: Page, home: Path) -> dict[str, str]:
    """The environment of a reader who has just installed the package and has done what the page says."""
    kept = {name: os.environ[name] for name in ("LANG", "SYSTEMROOT") if name in os.environ}
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    found = {
        **kept,
        "PATH": path,
        "HOME": str(home),
        "TMPDIR": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
    }
    return {**found, "REPLICATE_KIT_BACKEND": "mock"} if page.asks_for_mock else found


def run_page(page: Page, folder: Path, where: str | None = None) -> list[Outcome]:
    """Run the blocks from top to bottom, in one namespace; those of the tox environment `where` too."""
    blocks = [shown for block in page.blocks if (shown := _as_run(block, where))]
    return _run(page, blocks, folder, alone=False)


def run_alone(page: Page, folder: Path, where: str | None = None) -> list[Outcome]:
    """Run each block of Python by itself, as somebody who reads no other; those of the tox environment `where` too."""
    blocks = [block for block in page.python if block.elsewhere in (None, where)]
    return _run(page, blocks, folder, alone=True)


def run_tests(page: Page, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the files of tests that the page has, with pytest."""
    shown = [block.file for block in page.python if block.file and block.file.startswith("test_")]
    return subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            "-m",
            "pytest",
            "-v",
            "-p",
            "no:cacheprovider",
            "--strict-markers",
            *shown,
        ],
        cwd=folder,
        env=environment(page, folder / "home"),
        capture_output=True,
        text=True,
    )


def _as_run(block: Block, where: str | None) -> Block | None:
    """Leave out what is no code, and what cannot run here."""
    if block.language in SHELL:
        code = "\n".join(runnable(block.code))
        return dataclasses.replace(block, code=code) if code else None
    return block if block.language == "python" and block.elsewhere in (None, where) else None


def _run(page: Page, blocks: Sequence[Block], folder: Path, *, alone: bool) -> list[Outcome]:
    home = folder / "home"
    home.mkdir()
    work = folder / "work"
    work.mkdir()
    tasks = [{**dataclasses.asdict(block), "file": block.file, "page": page.name} for block in blocks]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as answers:
        done = subprocess.run(
            [sys.executable, "-W", "error", Path(__file__).with_name("paste.py"), str(answers.fileno())],
            input=json.dumps({"blocks": tasks, "alone": alone}),
            pass_fds=[answers.fileno()],
            cwd=work,
            env=environment(page, home),
            capture_output=True,
            text=True,
        )
        answers.seek(0)
        results = [json.loads(line) for line in answers]
    return list(_outcomes(blocks, results, done))


def _outcomes(
    blocks: Sequence[Block], results: Sequence[dict[str, Any]], done: subprocess.CompletedProcess[str]
) -> Iterator[Outcome]:
    """Match results to blocks. What is told when the program ends counts against its last block."""
    told = {result["line"]: result for result in results}
    for block in blocks:
        result = told.get(block.line, {"printed": "", "error": f"did not run\n{done.stderr}"})
        late = block is blocks[-1] and (done.returncode or "Traceback" in done.stderr)
        yield Outcome(block, result["printed"], result["error"] or (done.stderr if late else None))


def complaints(page: Page, outcomes: Sequence[Outcome]) -> list[str]:
    """Say what went wrong, and what was printed otherwise than the page says."""
    found = [f"{page.name}:{block.line}: {error}" for block, _, error in outcomes if error]
    return found + [f"{page.name}:{each}" for each in _misprints(page, outcomes)]


_SHOWN = re.compile(r"^\s*print\(.*\)  # → (.+)$", re.MULTILINE)


def _misprints(page: Page, outcomes: Sequence[Outcome]) -> Iterator[str]:
    printed = {block.line: text for block, text, _ in outcomes}
    for block in page.blocks:
        if block.language == "output":
            before = [text for line, text in printed.items() if line < block.line]
            if not before or not _is_in(block.code, before[-1]):
                yield f"{block.line}: printed was {before[-1:]}"
        elif block.line in printed:
            missing = [each for each in _SHOWN.findall(block.code) if not _is_in(each, printed[block.line])]
            yield from (f"{block.line}: {each!r} is not in {printed[block.line]!r}" for each in missing)


def _is_in(shown: str, printed: str) -> bool:
    """Whether it was printed, line by line; `…` stands for anything."""
    lines = [re.escape(line.strip()).replace("…", ".*") for line in shown.strip().splitlines()]
    return (
        re.search(r"^[ \t]*" + r"[ \t]*\n[ \t]*".join(lines) + r"[ \t]*$", printed, re.MULTILINE) is not None
    )
