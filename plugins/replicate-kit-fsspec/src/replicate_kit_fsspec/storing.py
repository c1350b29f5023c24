"""Store output files: what the hooks `replicate_check_target` and `replicate_store_output` do."""

from __future__ import annotations

import functools
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from replicate_kit.errors import FileError
from replicate_kit.naming import extension
from replicate_kit.storage import StoredFile, Target
from replicate_kit_fsspec.places import Place, place_of
from replicate_kit_fsspec.writers import writer_for

if TYPE_CHECKING:
    from replicate_kit import FileOutput
    from replicate_kit.downloading import Download
    from replicate_kit.session import Session

__all__ = ["check", "store"]

PIECE = 2**20  # bytes that are handed to the writer at a time


async def check(target: Target, session: Session) -> None:
    """Find the filesystem of a target, and see that a local folder can be written to."""
    place = place_of(target.folder, target.options)
    if place.is_local:
        await session.in_thread(functools.partial(_check_folder, place))


def _check_folder(place: Place) -> None:
    """Make the folder, and see that files can be made in it."""
    try:
        os.makedirs(place.path, exist_ok=True)
    except OSError as error:
        raise FileError(f"The folder {place.url!r} cannot be made ({error.strerror}).") from error
    if not os.access(place.path, os.W_OK | os.X_OK):
        raise FileError(f"The folder {place.url!r} may not be written to. Pass another one as save_to.")


async def store(file: FileOutput, target: Target, session: Session) -> StoredFile:
    """Stream a file to its target; give the record of it."""
    folder = place_of(target.folder, target.options)
    download = await file.async_download()
    try:
        place = await _transfer(download, folder, target, session)
    finally:
        await download.aclose()
    return StoredFile(
        url=place.url,
        source=file.url,
        index=target.index,
        prediction_id=target.prediction_id,
        size=download.received,
        sha256=download.sha256,
        content_type=download.content_type,
        saved_at=datetime.now(UTC),
    )


async def _transfer(download: Download, folder: Place, target: Target, session: Session) -> Place:
    """Bring the bytes to their place."""
    async with aclosing(_pieces(download)) as pieces:
        first = await anext(pieces, b"")
        place = folder.join(target.stem + _extension(download, target, first))
        opening = functools.partial(
            writer_for,
            place,
            download.content_type,
            _metadata(target),
            replace=target.if_exists == "overwrite",
        )
        writer = await session.in_thread(opening)
        try:
            await session.in_thread(functools.partial(writer.write, first))
            async for piece in pieces:
                await session.in_thread(functools.partial(writer.write, piece))
            await session.in_thread(functools.partial(writer.commit, place))
        except BaseException:
            await session.shield(session.in_thread(writer.discard))
            raise
    return place


def _extension(download: Download, target: Target, first: bytes) -> str:
    """The extension that was asked for, or the one that fits."""
    if target.extension is not None:
        return target.extension
    return extension(download.content_type, download.url, first)


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


def _metadata(target: Target) -> Mapping[str, str]:
    """What a store notes beside the file; ASCII, as headers are."""
    notes = {"prediction": target.prediction_id, "model": target.model}
    return {key: value for key, value in notes.items() if value and value.isascii()}
