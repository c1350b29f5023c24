"""`replicate-kit serve` in a process of its own, as anybody starts it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

__all__ = ["Command"]


class Command:
    """Starts the command for a block: gives the process, its address, and what it printed."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._folder, self._arguments = folder, arguments

    def __enter__(self) -> tuple[subprocess.Popen[str], str, str]:
        command = [sys.executable, "-m", "replicate_kit", "serve", "--port", "0", "--https-port", "0"]
        self._process = subprocess.Popen(
            [*command, *self._arguments],
            cwd=self._folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        assert self._process.stdout
        printed = ""
        while "_control/faults" not in printed:
            line = self._process.stdout.readline()
            assert line, self._process.communicate()
            printed += line
        url = next(line.strip().rstrip("/") for line in printed.splitlines() if line.startswith("  http://"))
        return self._process, url, printed

    def __exit__(self, *error: object) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            self._process.communicate(timeout=30)
