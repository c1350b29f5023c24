"""The files of inputs: noted by their content when rows are read, sent when their first row is created."""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from replicate_kit._files.input_files import InputFile, encode_file, file_of, is_inline
from replicate_kit._formats.store_urls import mark_files
from replicate_kit._formats.wording import escaped
from replicate_kit._unresolved.canonical import FILE, fingerprint, fingerprint_of_text, read
from replicate_kit.errors import InputError

if TYPE_CHECKING:
    from replicate_kit._http.session import Session
    from replicate_kit.batch._plan.spool import Spool
    from replicate_kit.schema import ModelSchema

__all__ = ["FileNotes", "NotedFile", "Uploads", "with_urls"]

_REMEMBERED = 4096  # hashes of files on disk, so that a column that repeats a few thousand reads each once


class NotedFile(NamedTuple):
    """A file of an input: where its content is found when it is to be sent, and the bytes to upload for that."""

    hash: str
    path: bytes | None  # as the system has it: names of files need not be texts
    content: bytes | None
    name: str
    upload: int


class FileNotes:
    """Stands for a session where inputs are encoded: files are noted, and not yet sent."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._noted: dict[str, NotedFile] = {}
        self._hash = lru_cache(_REMEMBERED)(_hash_of_path)

    def encode_by_plugins(self, value: Any, /) -> Any:
        """Note a file; leave anything else to the plugins."""
        file = file_of(value)
        return self._session.encode_by_plugins(value) if file is None else {FILE: self._note(file)}

    def taken(self) -> list[NotedFile]:
        """Give the files that were noted since the last time."""
        noted, self._noted = self._noted, {}
        return list(noted.values())

    def _note(self, file: InputFile) -> str:
        """Remember where a file's content is, by the content's hash."""
        if isinstance(file.source, Path):
            path, stat = os.path.abspath(file.source), file.source.stat()
            hash = self._hash(path, stat.st_size, stat.st_mtime_ns)
            noted = NotedFile(hash, os.fsencode(path), None, escaped(file.name), self._upload(file))
        else:
            content = file.read()
            hash = hashlib.sha256(content).hexdigest()
            file = InputFile(content, file.name, len(content), file.content_type)
            noted = NotedFile(hash, None, content, escaped(file.name), self._upload(file))
        self._noted.setdefault(noted.hash, noted)
        return noted.hash

    def _upload(self, file: InputFile) -> int:
        """The bytes that are uploaded of a file: none of one that goes into the input."""
        return 0 if is_inline(file, self._session.config) else file.size


class Uploads:
    """Turns canonical inputs into those that are sent: files inline where they are small, else uploaded once."""

    def __init__(self, session: Session, spool: Spool, schema: ModelSchema | None = None) -> None:
        self._session, self._spool = session, spool
        self._file_inputs = schema.file_inputs if schema else frozenset[str]()

    async def filled(self, text: str) -> tuple[dict[str, Any], bytes]:
        """Give an input with URLs where its files are, and its fingerprint. Raises `InputError` for a file that has
        gone.
        """
        input: dict[str, Any] = read(text)
        changed = False
        if FILE in text:
            input, changed = await self._filled(input), True
        if self._file_inputs & input.keys():
            input, changed = dict(await self._session.encode(mark_files(input, self._file_inputs))), True
        return input, fingerprint(input) if changed else fingerprint_of_text(text)

    async def _filled(self, value: Any) -> Any:
        """Walk through an input."""
        if isinstance(value, dict):
            if isinstance(value.get(FILE), str) and len(value) == 1:
                return await self._url(value[FILE])
            return {key: await self._filled(each) for key, each in value.items()}
        return [await self._filled(each) for each in value] if isinstance(value, list) else value

    async def _url(self, hash: str) -> str:
        """The URL of a file; the session uploads each content once."""
        packed, content, name = self._spool.file(hash)
        path = None if packed is None else os.fsdecode(packed)
        file = (
            file_of(Path(path)) if path is not None else InputFile(content or b"", name, len(content or b""))
        )
        assert file is not None
        # The key of the row is that of the content that was planned. Another content would be paid for, and every later
        # run would give its output for the old one.
        if path is not None and await self._session.in_thread(file.digest) != hash:
            raise InputError(
                f"The file {path!r} was changed after the run was planned, so its row was not created. Run it again."
            )
        return await encode_file(file, self._session)


def with_urls(value: Any) -> Any:
    """Put a URL where a file is noted, as there will be one when it is sent."""
    if isinstance(value, dict):
        return "data:," if FILE in value else {key: with_urls(each) for key, each in value.items()}
    return [with_urls(each) for each in value] if isinstance(value, list) else value


def _hash_of_path(path: str, size: int, modified: int) -> str:
    """Hash a file on disk; its size and time are what it is remembered by while it stays the same."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
