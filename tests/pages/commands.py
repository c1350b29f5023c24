"""The commands that pages show: which run here, and why the others do not."""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["NOT_RUN", "commands", "runnable", "why_not"]

NOT_RUN = (
    (
        r"pip install|python -m venv|uv (run|tool|pip|sync)|uvx|git clone|tox\b",
        "installs, or runs the whole suite: .ci/run does",
    ),
    (r"^marimo ", "needs marimo, or a browser: tests/neighbours exports the notebook"),
    (r"journal settle \S+ [^#\s]", "is for a row that is unknown, of which there is none"),
    (r"curl ", "talks to the server of another block, which runs until it is stopped"),
)
"""Commands that no test of a page runs, each with the reason."""

_SERVES = re.compile(r"replicate-kit serve\b")
_CONTINUED = re.compile(r"[ \t]*\\\n\s*")


def commands(code: str) -> Iterator[str]:
    """Give the commands of a block: lines that are continued are one, and so is a text up to its end mark."""
    lines = iter(_CONTINUED.sub(" ", code).split("\n"))
    for line in lines:
        here = re.search(r"<<\s*'?(\w+)'?", line)
        while here and not line.endswith(f"\n{here[1]}"):
            line += "\n" + next(lines)
        if line.strip() and not line.lstrip().startswith("#"):
            yield line


def why_not(command: str) -> str | None:
    """Say why a command does not run here, if it does not."""
    return next((reason for pattern, reason in NOT_RUN if re.search(pattern, command)), None)


def runnable(code: str) -> Iterator[str]:
    """Give the commands that run here. A server is told to stop once it listens, on ports that are free."""
    for command in commands(code):
        if why_not(command) is None:
            yield _stopped(command) if _SERVES.search(command) else command


def _stopped(command: str) -> str:
    plain = command.partition("  #")[0]
    return (
        f"exec 3< <(exec {plain} --port 0 --https-port 0 2>&1); server=$!\n"
        'while IFS= read -r said <&3; do echo "$said"; case "$said" in *\'Ctrl-C stops it\'*) break;; esac; done\n'
        "kill -INT $server; wait $server"
    )
