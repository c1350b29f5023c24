"""The files of inputs, sent when their first row is: inline where they are small, else uploaded once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from replicate_kit.batch.identity import FILE
from replicate_kit.errors import InputError
from replicate_kit.inputs import InputFile, encode_file, file_of
from replicate_kit.storage import mark_files

if TYPE_CHECKING:
    from replicate_kit.batch.database import Database
    from replicate_kit.schema import ModelSchema
    from replicate_kit.session import Session

__all__ = ["Uploads"]


class Uploads:
    """Turns canonical inputs into those that are sent."""

    def __init__(self, session: Session, db: Database, schema: ModelSchema | None = None) -> None:
        self._session, self._db = session, db
        self._file_inputs = schema.file_inputs if schema else frozenset[str]()

    async def filled(self, text: str) -> dict[str, Any]:
        """Give an input with URLs where its files are. Raises `InputError` for a file that has gone."""
        input: dict[str, Any] = json.loads(text)
        if FILE in text:
            input = await self._filled(input)
        if self._file_inputs & input.keys():
            return dict(await self._session.encode(mark_files(input, self._file_inputs)))
        return input

    async def _filled(self, value: Any) -> Any:
        """Walk through an input."""
        if isinstance(value, dict):
            if isinstance(value.get(FILE), str) and len(value) == 1:
                return await self._url(value[FILE])
            return {key: await self._filled(each) for key, each in value.items()}
        return [await self._filled(each) for each in value] if isinstance(value, list) else value

    async def _url(self, hash: str) -> str:
        """The URL of a file; the session uploads each content once."""
        path, content, name, size = await self._db.do(
            lambda db: db.execute(
                "SELECT path, content, name, size FROM run.files WHERE hash = ?", (hash,)
            ).fetchone()
        )
        file = file_of(Path(path)) if path is not None else InputFile(content, name, size)
        assert file is not None
        if path is not None and await self._session.in_thread(file.digest) != hash:
            raise InputError(
                f"The file {path!r} was changed after the run was planned, so its row was not created. Run it again."
            )
        return await encode_file(file, self._session)
