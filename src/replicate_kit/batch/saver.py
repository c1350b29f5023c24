"""Stores the files of what has finished, before they expire."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from replicate_kit import errors
from replicate_kit.batch.results import error_json
from replicate_kit.saving import safe_name, store_outputs

if TYPE_CHECKING:
    from replicate_kit.batch.database import Database
    from replicate_kit.batch.journal import Journal, Work
    from replicate_kit.batch.options import Options
    from replicate_kit.batch.results import Results

__all__ = ["Saver", "default_stem"]

_AT_ONCE = 8
_ATTEMPTS = 3


class Saver:
    """Stores outputs in `save_to`, under names that the same row has in every run."""

    def __init__(self, db: Database, journal: Journal, results: Results, options: Options) -> None:
        self._db, self._journal, self._results, self._options = db, journal, results, options
        self._gate = asyncio.Semaphore(_AT_ONCE)

    @property
    def wanted(self) -> bool:
        """Whether files are to be stored."""
        return self._options.save_to is not None

    async def save(self, work: Work) -> bool:
        """Store the files of a row's output and write down where they are; tell whether that worked."""
        id, output = await self._db.do(lambda db: self._journal.output(db, work))
        try:
            async with self._gate:
                stored = await self._stored(work, id or "", output)
        except errors.FileExpired as error:
            expired = error
            await self._db.do(lambda db: self._journal.gone(db, work, error_json(expired)))
            return False
        except (errors.FileError, errors.MissingExtraError, errors.ConfigError) as error:
            failure = error_json(error)
            await self._db.do(lambda db: self._journal.not_saved(db, work, failure))
            return False
        await self._db.do(lambda db: self._journal.saved(db, work, stored))
        return True

    async def _stored(self, work: Work, id: str, output: Any) -> dict[str, Any]:
        """Store, again if that fails in a way that may pass."""
        for attempt in range(1, _ATTEMPTS):
            try:
                return await self._store(work, id, output)
            except errors.FileExpired:
                raise
            except errors.FileError:
                await asyncio.sleep(0.5 * attempt)
        return await self._store(work, id, output)

    async def _store(self, work: Work, id: str, output: Any) -> dict[str, Any]:
        """Store all files of an output; give the output with the new URLs, and these."""
        files: list[str] = []
        value = await store_outputs(
            self._results.decoded({"id": id, "output": output}),
            folder=self._options.save_to or "",
            prediction_id=id,
            model=self._journal.model,
            session=self._results.session,
            stem=self._stem(work),
            options=self._options.storage_options,
            row=work.pos,
            input_key=work.key.hex(),
            on_stored=lambda record: files.append(record.url),
        )
        return {"output": value, "files": files}

    def _stem(self, work: Work) -> str:
        """The name of a row's files, without extension."""
        if self._options.stems is not None:
            return self._options.stems(work.pos, self._results.input(work.pos, work.input))
        return default_stem(work)


def default_stem(work: Work) -> str:
    """Name files by the first text of the input, and by the row's key, which no other row has.

    >>> from replicate_kit.batch.journal import Work
    >>> default_stem(Work(bytes(16), 0, 0, '{"prompt":"A wombat, at sea","seed":1}'))
    'A-wombat-at-sea-0000000000'
    """
    texts = [each for each in json.loads(work.input).values() if isinstance(each, str)]
    said = safe_name(texts[0])[:48].strip("-.") if texts and "://" not in texts[0][:12] else ""
    sample = f"-{work.sample}" if work.sample else ""
    return f"{said or 'output'}-{work.key.hex()[:10]}{sample}"
