"""Store output files: what the hooks `replicate_check_target` and `replicate_store_output` do."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from replicate_kit.errors import FileError
from replicate_kit.naming import extension
from replicate_kit.storage import StoredFile, Target
from replicate_kit.templates import DIGEST
from replicate_kit_fsspec.gate import TRANSFERS
from replicate_kit_fsspec.instances import forget, opened, tried
from replicate_kit_fsspec.places import Place, place_of
from replicate_kit_fsspec.probing import is_refusal, probe
from replicate_kit_fsspec.writers import Notes, writer_for

if TYPE_CHECKING:
    from replicate_kit import FileOutput
    from replicate_kit.downloading import Download
    from replicate_kit.session import Session

__all__ = ["check", "store"]

T = TypeVar("T")

PIECE = 2**20  # bytes that are handed to the writer at a time


async def check(target: Target, session: Session) -> None:
    """Find the filesystem of a target, and see that it can take files as far as that can be known."""
    await session.in_thread(functools.partial(_check, target))


def _check(target: Target) -> None:
    """Do so with the credentials that there are now, whatever was tried before with the same options."""
    again = functools.partial(place_of, target.folder, target.options)
    tried(opened(target.folder, target.options), again, functools.partial(probe, target))


async def store(file: FileOutput, target: Target, session: Session) -> StoredFile:
    """Stream a file to its target; give the record of it."""
    transfer = Transfer(file, target, session, place_of(target.folder, target.options))
    async with TRANSFERS.entered(session):
        return await transfer.spared() or await transfer.made()


@dataclass(frozen=True)
class Transfer:
    """One file's way into a folder."""

    file: FileOutput
    target: Target
    session: Session
    folder: Place

    async def spared(self) -> StoredFile | None:
        """See whether there is nothing to do: the file was stored before, or its name is taken."""
        before = self.target.stored
        if before is not None and before.size is not None and (place := self.folder.child(before.url)):
            size = await self._at_store(place.size)
            return before if size == before.size else None
        # The URL mostly tells the extension, and so the name; else the content will.
        suffix = self._suffix(None, b"")
        return await self._kept(self.target.stem + suffix) if suffix else None

    async def made(self) -> StoredFile:
        """Transfer the file."""
        download = await self.file.async_download()
        try:
            async with aclosing(_pieces(download)) as pieces:
                first = await anext(pieces, b"")
                name = self.target.stem + self._suffix(download.content_type, first)
                return await self._kept(name) or await self._written(name, first, pieces, download)
        finally:
            await download.aclose()

    async def _kept(self, name: str) -> StoredFile | None:
        """See whether a name is taken by a file that must stay."""
        if self.target.if_exists == "overwrite" or DIGEST in name:
            return None
        place = self.folder.join(name)
        size = await self._at_store(place.size)
        return None if size is None else self._record_of_kept(place, size)

    async def _written(
        self, name: str, first: bytes, pieces: AsyncIterator[bytes], download: Download
    ) -> StoredFile:
        """Write a file, whole or not at all."""
        notes = self._notes(download)
        writer = writer_for(self.folder.join(name), notes, later=DIGEST in name)
        try:
            await self._at_store(functools.partial(writer.write, first))
            async for piece in pieces:
                await self._at_store(functools.partial(writer.write, piece))
            place = self.folder.join(name.replace(DIGEST, download.sha256))
            await self._at_store(functools.partial(writer.commit, place))
        except BaseException as error:
            await self.session.shield(self.session.in_thread(writer.discard))
            if not isinstance(error, FileExistsError):
                raise
            # Somebody was faster.
            place = self.folder.join(name.replace(DIGEST, download.sha256))
            return self._record_of_kept(place, await self._at_store(place.size))
        return self._record(
            place,
            size=download.received,
            sha256=download.sha256,
            content_type=download.content_type,
            saved_at=datetime.now(UTC),
        )

    async def _at_store(self, step: Callable[[], T]) -> T:
        """Do one step at the store; say so where it is the store that fails."""
        try:
            # To its end, because whoever is cancelled in the middle of a step cannot undo it.
            return await self.session.shield(self.session.in_thread(step))
        except FileExistsError:
            raise
        except Exception as error:  # whatever a store's own client raises
            if is_refusal(error):
                forget(self.folder)  # the next attempt reads the credentials anew
            raise FileError(_told(error, self.folder.url)) from error

    def _suffix(self, content_type: str | None, first: bytes) -> str:
        """The extension that was asked for, or the one that fits."""
        if self.target.extension is not None:
            return self.target.extension
        return extension(content_type, self.file.url, first)

    def _notes(self, download: Download) -> Notes:
        """What the store is told beside the bytes; metadata in ASCII, as headers are."""
        target = self.target
        metadata = {"prediction": target.prediction_id, "model": target.model, "version": target.version}
        return Notes(
            content_type=download.content_type,
            metadata={key: value for key, value in metadata.items() if value and value.isascii()},
            replace=target.if_exists == "overwrite",
        )

    def _record_of_kept(self, place: Place, size: int | None) -> StoredFile:
        """Make the record of a file that was there before; raise where that is not wanted."""
        if self.target.if_exists == "error":
            raise FileError(
                f"{place.url!r} is there already. Pass another folder or name, or if_exists='skip' or "
                "'overwrite'."
            )
        return self._record(place, size=size)

    def _record(self, place: Place, **known: Any) -> StoredFile:
        """Make the record of the file at a place."""
        target = self.target
        return StoredFile(
            url=place.url,
            source=self.file.url,
            index=target.index,
            prediction_id=target.prediction_id,
            **known,
        )


def _told(error: BaseException, url: str) -> str:
    """Say what a store's failure means, and what to do."""
    if is_refusal(error):
        return (
            f"{url!r} may not be used ({error}). Check its credentials and their rights: they come from the "
            "environment or from storage_options."
        )
    return f"{url!r} did not take the file: {type(error).__name__}: {error}"


async def _pieces(download: Download) -> AsyncGenerator[bytes]:
    """Join what the network brings to pieces that are worth a call of the writer."""
    gathered = bytearray()
    async with aclosing(download.chunks()) as chunks:
        async for chunk in chunks:
            gathered += chunk
            if len(gathered) >= PIECE:
                yield bytes(gathered)
                gathered.clear()
    if gathered:
        yield bytes(gathered)
