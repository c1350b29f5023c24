"""The way of one output file to its location in a store, whichever store that is."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from replicate_kit._files.pouring import pour
from replicate_kit._formats.file_names import extension
from replicate_kit._formats.redacting import redacted
from replicate_kit._formats.templates import DIGEST
from replicate_kit.errors import FileError
from replicate_kit.storage import StoredFile, Target
from replicate_kit.stores._gate import TRANSFERS
from replicate_kit.stores._local import LocalLocation
from replicate_kit.stores._locations import LazyWriter, Location, Notes, Writer, name_below

if TYPE_CHECKING:
    from replicate_kit._files.downloading import Download
    from replicate_kit._files.outputs import FileOutput
    from replicate_kit._http.session import Session

__all__ = ["store"]

T = TypeVar("T")
P = ParamSpec("P")

_TELLING = 4096  # first bytes of a file, by which its kind is told


async def store(file: FileOutput, target: Target, session: Session, folder: Location) -> StoredFile:
    """Stream a file into a folder, as its target says; give the record of it.

    Raises `FileError` where the store does not take it, or where its name is taken and `if_exists` is "error".
    """
    transfer = _Transfer(file, target, session, folder)
    async with TRANSFERS.entered(session):
        return await transfer.spared() or await transfer.made()


@dataclass(frozen=True)
class _Transfer:
    """One file's way into a folder."""

    file: FileOutput
    target: Target
    session: Session
    folder: Location

    async def spared(self) -> StoredFile | None:
        """See whether there is nothing to do: the file was stored before, or its name is taken."""
        before = self.target.stored
        if before is not None and before.size is not None:
            name = name_below(self.folder.url, redacted(before.url))
            if name is not None:
                size = await self._at_store(self.folder.join(name).size)
                return before if size == before.size else None
        # The URL mostly tells the extension, and so the name; else the content will.
        suffix = self._suffix(None, b"")
        return await self._kept(self.target.stem + suffix) if suffix else None

    async def made(self) -> StoredFile:
        """Transfer the file."""
        download = await self.file.async_download()
        try:
            async with aclosing(download.blocks()) as blocks:
                first = await anext(blocks, memoryview(b""))
                name = self.target.stem + self._suffix(download.content_type, bytes(first[:_TELLING]))
                return await self._kept(name) or await self._written(name, first, blocks, download)
        finally:
            await download.aclose()

    async def _kept(self, name: str) -> StoredFile | None:
        """See whether a name is taken by a file that must stay."""
        if self.target.if_exists == "overwrite" or DIGEST in name:
            return None
        location = self.folder.join(name)
        size = await self._at_store(location.size)
        return None if size is None else self._record_of_kept(location, size)

    async def _written(
        self, name: str, first: memoryview, blocks: AsyncIterator[memoryview], download: Download
    ) -> StoredFile:
        """Write a file, whole or not at all."""
        opening = functools.partial(
            self.folder.join(name).open_writer, self._notes(download), later=DIGEST in name
        )
        writer = LazyWriter(opening)

        def finish() -> Location:
            # Only what is whole gets here: `blocks` raises for a file that is shorter or longer than was announced.
            location = self._location(name, download)
            writer.commit(location)
            return location

        try:
            location = await pour(
                download,
                blocks,
                self._named(self._write_to(writer)),
                self._named(finish),
                self.session,
                first=first,
            )
        except BaseException as error:
            await self.session.shield(self.session.in_thread(writer.discard))
            if not isinstance(error, FileExistsError):
                raise
            # Somebody was faster.
            location = self._location(name, download)
            return self._record_of_kept(location, await self._at_store(location.size))
        return self._record(
            location,
            size=download.received,
            sha256=download.sha256,
            content_type=download.content_type,
            saved_at=datetime.now(UTC),
        )

    def _write_to(self, writer: Writer) -> Callable[[memoryview], object]:
        """What writes a block, whose memory will be used again: other writers than our own may keep what they get."""
        if isinstance(self.folder, LocalLocation):
            return cast("Callable[[memoryview], object]", writer.write)
        return lambda block: writer.write(bytes(block))

    def _location(self, name: str, download: Download) -> Location:
        """Where a file is, once all of it has come."""
        return self.folder.join(name.replace(DIGEST, download.sha256))

    async def _at_store(self, step: Callable[[], T]) -> T:
        """Do one step at the store."""
        # To its end, because whoever is cancelled in the middle of a step cannot undo it.
        return await self.session.shield(self.session.in_thread(self._named(step)))

    def _named(self, step: Callable[P, T]) -> Callable[P, T]:
        """Make a step say so where it is the store that fails."""

        def named(*args: P.args, **kwargs: P.kwargs) -> T:
            try:
                return step(*args, **kwargs)
            except (FileExistsError, FileError):
                raise
            except Exception as error:  # whatever a store's own client raises
                raise self.folder.failed(error) from error

        return named

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

    def _record_of_kept(self, location: Location, size: int | None) -> StoredFile:
        """Make the record of a file that was there before; raise where that is not wanted."""
        if self.target.if_exists == "error":
            raise FileError(
                f"{location.url!r} is there already. Pass another folder or name, or if_exists='skip' or "
                "'overwrite'."
            )
        return self._record(location, size=size)

    def _record(self, location: Location, **known: Any) -> StoredFile:
        """Make the record of the file at a location."""
        target = self.target
        return StoredFile(
            url=location.url,
            source=redacted(self.file.url),
            index=target.index,
            prediction_id=target.prediction_id,
            **known,
        )
