"""Predictions that outlive the process: one JSON object a line, appended when something begins and when it ends."""

from __future__ import annotations

import base64
import json
import os
import pathlib
import threading
from collections.abc import Iterator
from typing import Any

from replicate_kit._formats.statuses import TERMINAL
from replicate_kit.simulator._state.encoding import encode
from replicate_kit.simulator._state.entities import File, Prediction
from replicate_kit.simulator._state.ids import Ids

__all__ = ["Journal"]

_BEGIN = (
    *("id", "kind", "model", "version_id", "input", "created", "account", "source", "deadline", "deployment"),
    *("destination", "webhook", "events_filter"),
)
_END = ("id", "status", "output", "error", "logs", "started", "completed", "metrics", "events")


class Journal:
    """A folder: `predictions.jsonl`, `secrets.json` and `files/`. One process at a time uses it.

    A line is written before the request that it belongs to is answered, so that a process that is killed has told
    nobody of what the folder does not know. (The operating system may still lose it, if the machine itself fails.)
    """

    def __init__(self, folder: str | pathlib.Path) -> None:
        self.folder = pathlib.Path(folder)
        self.files = self.folder / "files"
        self.files.mkdir(parents=True, exist_ok=True)
        self._path = self.folder / "predictions.jsonl"
        self.lock = threading.Lock()
        # Inputs and outputs may be private: nobody but the owner can read the file.
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        _claim(self._file, self.folder)
        self._mend()

    def close(self) -> None:
        """Let another process use the folder."""
        with self.lock:
            if self._file >= 0:
                os.close(self._file)
                self._file = -1

    def record(self, prediction: Prediction, event: str) -> None:
        """Write a beginning or an end; what lies between is not kept."""
        if event == "created":
            self._append("begin", {name: getattr(prediction, name) for name in _BEGIN})
        elif prediction.status in TERMINAL and event == "completed":
            self._append("end", {name: getattr(prediction, name) for name in _END})

    def record_file(self, file: File) -> None:
        """Write down where a file is."""
        names = ("id", "name", "content_type", "created", "expires", "account", "prediction", "metadata")
        entry = {name: getattr(file, name) for name in names}
        self._append("file", {**entry, "blob": file.blob.name, "size": file.blob.size})

    def entries(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Read everything back, oldest first."""
        with self._path.open("rb") as lines:
            for line in lines:
                try:
                    kind, entry = json.loads(line)
                except ValueError:
                    continue  # a line that a killed process did not finish
                yield kind, entry

    def secrets(self, ids: Ids) -> list[bytes]:
        """Keys to sign with, the same in every process that uses this folder."""
        path = self.folder / "secrets.json"
        if not path.exists():
            path.write_text(json.dumps([base64.b64encode(ids.key()).decode() for _ in range(2)]), "ascii")
        return [base64.b64decode(key) for key in json.loads(path.read_text("ascii"))]

    def _append(self, kind: str, entry: dict[str, Any]) -> None:
        line = encode([kind, entry])
        with self.lock:
            if self._file >= 0:
                # One call for the line and its end: a killed process can cut its last line, and no other.
                os.write(self._file, line + b"\n")

    def _mend(self) -> None:
        """End a line that a killed process did not finish, so that ours do not continue it."""
        with self._path.open("rb") as file:
            if file.seek(0, os.SEEK_END) and file.seek(-1, os.SEEK_END) >= 0 and file.read() != b"\n":
                os.write(self._file, b"\n")


def _claim(file: int, folder: pathlib.Path) -> None:
    """Keep other processes away for as long as this one lives."""
    try:
        import fcntl
    except ImportError:  # not on Windows
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        raise RuntimeError(
            f"Another process runs a simulator on {folder}. Stop it, or use another folder."
        ) from None
