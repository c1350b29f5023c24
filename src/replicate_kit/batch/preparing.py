"""Rows as they come → canonical JSON, with what is wrong with them, before anything is spent."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from replicate_kit.batch.identity import FILE, canonical, digest
from replicate_kit.errors import ReplicateError
from replicate_kit.inputs import InputFile, encode_input, file_of

if TYPE_CHECKING:
    from replicate_kit.schema import ModelSchema
    from replicate_kit.session import Session

__all__ = ["KeptFile", "Prepared", "Preparer"]


class KeptFile(NamedTuple):
    """A file of an input: where its content is found when it is to be sent."""

    hash: str
    path: str | None
    content: bytes | None
    name: str
    size: int


class Prepared(NamedTuple):
    """A row, ready for the table of rows: its position, key, canonical input and problem."""

    pos: int
    key: bytes | None
    input: str
    problem: str | None


@dataclass
class Preparer:
    """Makes rows canonical and checks them against the model's schema, where there is one."""

    target: str
    schema: ModelSchema | None
    session: Session
    files: dict[str, KeptFile] = field(default_factory=dict)
    _hashed: dict[tuple[str, int, int], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.config, self.once = self.session.config, self.session.once

    async def prepare(self, pos: int, row: Any) -> Prepared:
        """Make one row ready; a row that cannot be sent keeps its problem."""
        try:
            text = await self._canonical(row)
            text.encode()
        except UnicodeEncodeError:
            return Prepared(
                pos, None, _shown(row), "- a text ends within a character (it has a lone surrogate)"
            )
        except (ReplicateError, ValueError, TypeError, RecursionError) as error:
            return Prepared(pos, None, _shown(row), f"- {error}")
        problems = self._problems(json.loads(text)) if self.schema else []
        if problems:
            return Prepared(pos, None, text, "\n".join(f"- {each}" for each in problems))
        return Prepared(pos, digest(self.target, text), text, None)

    async def _canonical(self, row: Any) -> str:
        """Write a row in canonical form; what JSON lacks is encoded on the way."""
        if not isinstance(row, Mapping):
            raise TypeError(f"the row is a {type(row).__name__}, not a mapping of the model's inputs")
        plain = row if type(row) is dict else dict(row)
        try:
            return canonical(plain)
        except TypeError:  # something that JSON has no form for
            plain = await encode_input(plain, self)
        except ValueError:
            pass
        for name, value in plain.items():
            _check_finite(name, value)
        return canonical(plain)

    def _problems(self, input: Any) -> list[Any]:
        """Check against the schema, files as what they will be: URLs."""
        assert self.schema is not None
        return self.schema.check(_with_urls(input) if FILE in json.dumps(input) else input)

    # What `encode_input` asks of a session: files are noted, and not yet uploaded.

    def encode_by_plugins(self, value: Any, /) -> Any:
        """Note a file; leave anything else to the plugins."""
        file = file_of(value)
        if file is None:
            return self.session.encode_by_plugins(value)
        return {FILE: self._note(file)}

    async def fetch(self, method: str, path: str, /, **options: Any) -> Any:
        """Send a request."""
        return await self.session.fetch(method, path, **options)

    def now(self) -> float:
        """Seconds on a clock that never goes back."""
        return self.session.now()

    async def wait(self, future: Future[Any], timeout: float | None, /) -> bool:
        """Wait for a future."""
        return await self.session.wait(future, timeout)

    async def in_thread(self, function: Any, /) -> Any:
        """Call a function that blocks."""
        return await self.session.in_thread(function)

    def _note(self, file: InputFile) -> str:
        """Remember where a file's content is, by the content's hash."""
        if isinstance(file.source, Path):
            name = self._hash_of_path(file.source)
            kept = KeptFile(name, os.path.abspath(file.source), None, file.name, file.size)
        else:
            content = file.read()
            name = hashlib.sha256(content).hexdigest()
            kept = KeptFile(name, None, content, file.name, len(content))
        self.files.setdefault(name, kept)
        return name

    def _hash_of_path(self, path: Path) -> str:
        """Hash a file on disk, once while it stays the same."""
        stat = path.stat()
        mark = (os.path.abspath(path), stat.st_size, stat.st_mtime_ns)
        if mark not in self._hashed:
            with path.open("rb") as handle:
                self._hashed[mark] = hashlib.file_digest(handle, "sha256").hexdigest()
        return self._hashed[mark]


def _check_finite(name: Any, value: Any) -> None:
    """Say which input holds what is no number for JSON."""
    try:
        canonical(value)
    except ValueError as error:
        if isinstance(value, float):
            raise ValueError(
                f"{name}: is {value}, which the API cannot take; leave it out, or pass None"
            ) from error
        raise ValueError(f"{name}: {error}") from error


def _with_urls(value: Any) -> Any:
    """Put a URL where a file is noted."""
    if isinstance(value, dict):
        return "data:," if FILE in value else {key: _with_urls(each) for key, each in value.items()}
    return [_with_urls(each) for each in value] if isinstance(value, list) else value


def _shown(row: Any) -> str:
    """Keep something of a row that cannot be sent."""
    return json.dumps(row, default=repr, skipkeys=True) if _is_shallow(row) else "{}"


def _is_shallow(row: Any) -> bool:
    """Whether a row can be shown without running in circles."""
    try:
        json.dumps(row, default=repr, skipkeys=True)
    except (ValueError, RecursionError):
        return False
    return True
