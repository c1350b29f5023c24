"""Stores the files of what has finished, before they expire."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import replicate_kit._files.downloading  # noqa: F401 - now: the package may be replaced on disk while a run goes on
from replicate_kit import errors
from replicate_kit._formats.redacting import input_secrets, redacted, scrubbed, without_secrets
from replicate_kit._formats.templates import DIGEST
from replicate_kit._formats.wording import counted, escaped
from replicate_kit._runtime.foreign_code import described
from replicate_kit.batch._ledger.entries import Expired, Key, Name, Saved, Unsaved
from replicate_kit.batch._ledger.hashing import without_inputs
from replicate_kit.batch._ledger.stored import lost_files, records_of
from replicate_kit.batch._results.backlog import Backlog
from replicate_kit.batch._results.outcomes import dumped, expired
from replicate_kit.batch._results.results import Known, error_json
from replicate_kit.storage import StoredFile
from replicate_kit.stores._saving import hosts_in, no_files, record_files, safe_name, store_outputs

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from replicate_kit.batch._ledger.entries import Entry, Event
    from replicate_kit.batch._plan.options import Options
    from replicate_kit.batch._plan.spool import Item
    from replicate_kit.batch._results.results import Results

__all__ = ["Saver", "Told", "default_stem"]

log = logging.getLogger("replicate_kit")

_AT_ONCE = 8
_ADVICE = "Correct the function and run it again: what was paid for is in the journal."
_ATTEMPTS = 3  # of one row, unless no row can be saved
_LONGEST_PAUSE = 5.0  # seconds between two of them


class Told(Protocol):
    """Who is told what happened to rows."""

    def record(self, event: Event) -> Awaitable[bool]:
        """Write down what happened to a row."""
        ...

    def take_name(self, name: Name) -> Awaitable[bool]:
        """Take the name of a file for a row; False where another row has it."""
        ...


class Saver:
    """Stores outputs in `save_to`, under names that the same row has in every run, and no other row."""

    def __init__(self, told: Told, results: Results, options: Options) -> None:
        self._told, self._results, self._options = told, results, options
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._count = 0
        self._without = 0  # outputs that had no file
        self._elsewhere: set[str] = set()  # the hosts that those have URLs of
        self._names: dict[Key, str] = {}
        self._models: dict[Key, str] = {}
        self.backlog = Backlog()
        self.failure: errors.FileError | None = None

    @property
    def wanted(self) -> bool:
        """Whether files are to be stored."""
        return self._options.saving is not None

    async def save(self, item: Item, entry: Entry, model: str | None = None) -> Entry:
        """Store the files of a row's output and write down where they are; give the row as it then is.

        `model` is the prediction's own, for plugins; the reference's is told where the journal alone knows the row.
        """
        if model is not None:
            self._models[item.key] = model
        self.backlog.finished(item.key, 0.0 if entry.finished_at is None else time.time() - entry.finished_at)
        try:
            return await self._save(item, entry)
        finally:
            self.backlog.left(item.key)

    def done(self, item: Item) -> None:
        """Forget the names of a row that has come to its end, whether or not it had files to store."""
        self._names.pop(item.key, None)
        self._models.pop(item.key, None)

    async def expired(self, item: Item, entry: Entry) -> Entry:
        """Write down that the files of a row are gone; give the row as it then is."""
        id = entry.prediction_id
        if (
            entry.state == "saved"
        ):  # it is stored elsewhere: that it cannot be stored here as well is all there is to say
            return await self._unsaved(item, entry, _only_elsewhere(id or ""))
        said = self._written(item, expired(id, lost_files(entry.stored, entry.stored_in)))
        await self._told.record(Expired(item.key, said))
        return entry._replace(state="expired", status="expired", error=said)

    async def _save(self, item: Item, entry: Entry) -> Entry:
        """Store, and write down what came of it."""
        try:
            async with self._gate:
                stored = await self._stored(item, entry)
                _check_json(stored)
        except errors.FileExpired:
            return await self.expired(item, entry)
        except errors.JournalError:
            raise
        # Whatever a plugin or a function of the caller's raises is this row's matter only.
        except Exception as error:
            return await self._unsaved(item, entry, error_json(error))
        # Only now that the files are stored: if the process dies before this, the next run stores them again, free.
        packed, where = dumped(stored) or "", self._options.place or ""
        await self._told.record(Saved(item.key, packed, where))
        self._count += 1
        if not stored["files"]:
            self._without += 1
            self._elsewhere |= hosts_in(stored["output"])
        return entry._replace(state="saved", stored=packed, stored_in=where, error=None)

    async def _unsaved(self, item: Item, entry: Entry, error: dict[str, Any]) -> Entry:
        """Write down why files could not be stored; the next run tries again."""
        said = self._written(item, error)
        await self._told.record(Unsaved(item.key, said))
        return entry._replace(error=said)

    def _written(self, item: Item, error: dict[str, Any]) -> str:
        """What is written down of an error, which may quote the row's input."""
        keeps = self._options.journal_inputs == "keep"
        return dumped(error if keeps else without_inputs(error, item.input)) or ""

    async def finish(self) -> None:
        """Keep the records of what this run's rows have stored beside the files, if that is asked for."""
        saving = self._options.saving
        if saving is not None and self._without:
            what = f"{self._without} of the {counted(self._count, 'output')} of this run had"
            session, several = self._results.session, self._without > 1
            log.warning("%s", no_files(what, saving, session, self._elsewhere, several=several))
        if saving is None or not saving.manifest or not self._count:
            return
        stored = await self._results.stored(self._options.place or "")
        records = [record for each in stored for record in records_of(each)]
        await record_files(records, saving, self._results.session)

    async def _stored(self, item: Item, entry: Entry) -> dict[str, Any]:
        """Store, again if that fails in a way that may pass; what is stored already stays."""
        # Of a row that has lost some of its stored files, the others are not transferred again.
        before = records_of(entry.stored) if entry.stored_in == self._options.place else []
        records = {each.index: each for each in before}
        stored = await self._patiently(item, entry, records)
        self.backlog.saved(item.key, sum(each.size or 0 for each in records.values() if each not in before))
        return stored

    async def _patiently(self, item: Item, entry: Entry, records: dict[int, StoredFile]) -> dict[str, Any]:
        """Store; if that fails, a few times more, and for longer where no row can be saved."""
        stem = self._stem(item)
        for attempt in itertools.count(1):
            try:
                return await self._store(item, entry, records, stem)
            except errors.FileExpired:
                raise
            except errors.FileError as error:
                if not self._is_to_wait(item, error) and attempt >= _ATTEMPTS:
                    raise
            await asyncio.sleep(min(0.5 * attempt, _LONGEST_PAUSE))
        raise AssertionError  # never

    def _is_to_wait(self, item: Item, error: errors.FileError) -> bool:
        """Note a failure, and whether it is the store that fails: then nothing more is created until it is back."""
        waits = self.backlog.failed(item.key)
        if self.backlog.wanted and self.backlog.gave_up and self.failure is None:
            self.failure = errors.FileError(
                f"No file could be saved for {self.backlog.safe / 60:.3g} minutes, so nothing more was created. The "
                f"last error: {error} Correct that and run it again soon, since the API keeps files for an hour: "
                "saving what is paid for is free."
            )
        return waits

    async def _store(
        self, item: Item, entry: Entry, records: dict[int, StoredFile], stem: str
    ) -> dict[str, Any]:
        """Store all files of an output; give the output with the new URLs, and the records of the files."""
        assert self._options.saving is not None
        id = entry.prediction_id or ""
        decoded = self._results.decoded(
            Known(id, "succeeded", item.input), json.loads(entry.output or "null")
        )
        _check_json(decoded)
        value = await store_outputs(
            decoded,
            folder=self._options.saving,
            prediction_id=id,
            model=str(self._results.runnable.reference),
            told_model=self._models.get(item.key, self._results.runnable.reference.model),
            label=self._options.label,
            session=self._results.session,
            stem=stem,
            row=self._results.number(item.pos),
            input_key=item.key.digest.hex(),
            fields=json.loads(item.input),
            stored=list(records.values()),
            claim=partial(self._claimed, item),
            on_stored=lambda record: records.update({record.index: record}),
        )
        stored = list(records.values())
        return {
            "output": value,
            "files": [record.url for record in stored],
            "records": [record.to_json() for record in stored],
        }

    def named(self, item: Item) -> str | None:
        """Ask `stems` for the name of a row, before it is paid for; once, since it may count. None without one.

        Raises `FileError` for what it raises, and for what is no text.
        """
        stems = self._options.stems
        if stems is None or not self.wanted:
            return None
        if item.key not in self._names:
            try:
                given = stems(item.pos, self._results.input(item.pos, item.input))
            except Exception as error:
                raise errors.FileError(
                    f"stems=, called with {item.pos} and the input, raised {described(error)}\n{_ADVICE}"
                ) from error
            if not isinstance(given, str):
                raise errors.FileError(
                    f"stems= must give a text that names a row, not {type(given).__name__} (row {item.pos}). {_ADVICE}"
                )
            self._names[item.key] = given
        return self._names[item.key]

    def _stem(self, item: Item) -> str:
        """What a row's files are named after, where no template says more."""
        given = self.named(item)
        if given is not None:
            return safe_name(given)
        # The journal knows the names of files: they are not to tell it what it is not to keep.
        return (
            default_stem(item, self._results.runnable.secret_inputs)
            if self._options.journal_inputs == "keep"
            else f"output-{_mark(item)}"
        )

    async def _claimed(self, item: Item, name: str) -> str:
        """Take the name of a file for a row; one that another row has is made its own."""
        assert self._options.saving is not None
        if DIGEST in name:  # equal contents share a file
            return name
        # The folder's name may be bytes that are no text, which a journal cannot hold as they are.
        # Names that differ only in capitals are one file on many disks.
        place = (escaped(redacted(self._options.saving.folder).rstrip("/")), name.casefold())
        is_ours = await self._told.take_name(Name(*place, item.key))
        return name if is_ours else await self._claimed(item, f"{name}-{_mark(item)}")


def _check_json(value: Any) -> None:
    """See that the journal can hold what plugins have made of an output and its files. Raises `PluginError`."""
    try:
        json.dumps(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise errors.PluginError(
            f"A plugin has made something of this output that is no JSON ({error}). With save_to the journal keeps "
            "what replicate_decode_output and replicate_store_output give: have them give texts, numbers, lists and "
            "mappings, or leave out save_to.",
        ) from error


def default_stem(item: Item, secret: frozenset[str] = frozenset()) -> str:
    """Name files by the first text of the input that tells no secret, and by the row's key, which no other row has.

    >>> from replicate_kit.batch._ledger.entries import Key
    >>> from replicate_kit.batch._plan.spool import Item
    >>> default_stem(Item(Key(bytes(16)), 0, '{"prompt":"A wombat, at sea","seed":1}'))
    'A-wombat-at-sea-0000000000'
    """
    input = json.loads(item.input)
    secrets = input_secrets(input, secret)
    shown = [each for name, each in without_secrets(input, secret).items() if each is input[name]]
    texts = [scrubbed(each, secrets, "") for each in shown if isinstance(each, str)]
    said = safe_name(texts[0])[:48].strip("-.") if texts and "://" not in texts[0][:12] else ""
    return f"{said or 'output'}-{_mark(item)}"


def _only_elsewhere(id: str) -> dict[str, Any]:
    """The error of files that are gone from the API, and that another run has stored."""
    return error_json(
        errors.FileError(
            f"The API has removed the files of the prediction {id}, which an earlier run stored in another location. "
            "Copy them from there, or pass that location as save_to."
        )
    )


def _mark(item: Item) -> str:
    """What no other row has: the beginning of its key, and which of several equal rows it is."""
    return item.key.digest.hex()[:10] + (f"-{item.key.sample}" if item.key.sample else "")
