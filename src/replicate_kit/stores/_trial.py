"""A look at a local folder before anything is paid for: do there what saving does, and leave no file."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING

from replicate_kit.errors import FileError
from replicate_kit.stores._local import LocalLocation, local_folder
from replicate_kit.stores._locations import LazyWriter, Location, Notes
from replicate_kit.stores.manifest import NAME

if TYPE_CHECKING:
    from replicate_kit._http.session import Session
    from replicate_kit.storage import Target

__all__ = ["PROBE", "check", "check_folder", "manifest_is_folder", "try_writing"]

PROBE = ".replicate-kit-probe"
"""A name that no file has: what is written under it is never completed."""


async def check(target: Target, session: Session) -> None:
    """Find out whether a local folder takes files. Raises `FileError` or `ConfigError` where it does not."""
    folder = local_folder(target.folder, target.options)
    await session.in_thread(functools.partial(check_folder, folder, manifest=target.manifest))


def check_folder(folder: LocalLocation, *, manifest: bool) -> None:
    """Make the folder, and see that files can be made in it, and its manifest kept."""
    try:
        os.makedirs(folder.path, exist_ok=True)
    except OSError as error:
        raise FileError(
            f"The folder {folder.url!r} cannot be made ({error.strerror}). Pass another one as save_to."
        ) from error
    refused = f"The folder {folder.url!r} may not be written to"
    if not os.access(folder.path, os.W_OK | os.X_OK):
        raise FileError(f"{refused}. Pass another one as save_to.")
    try:
        try_writing(folder)
    except OSError as error:  # a quota, a full disk, a read-only one: whatever rights alone do not tell
        raise FileError(
            f"{refused} ({error.strerror or error}). Make room, or pass another one as save_to."
        ) from error
    if manifest:
        _check_manifest(folder.join(NAME))


def try_writing(folder: Location) -> None:
    """Begin to write a file, as far as that leaves none."""
    writer = LazyWriter(lambda: folder.join(PROBE).open_writer(Notes(), later=False))
    try:
        writer.try_out()
    finally:
        writer.discard()


def _check_manifest(location: LocalLocation) -> None:
    """See that the list of files can be read, and added to."""
    if os.path.isdir(location.path):
        raise manifest_is_folder(location)
    if os.path.lexists(location.path) and not os.access(location.path, os.R_OK | os.W_OK):
        raise FileError(
            f"{location.url!r} may not be changed, so that there can be no manifest. Change its rights, or pass "
            "manifest=False. Nothing was created."
        )


def manifest_is_folder(location: Location) -> FileError:
    """The error for a folder in the place of the manifest."""
    return FileError(
        f"{location.url!r} is a folder: there can be no manifest. Rename it, or pass manifest=False."
    )
