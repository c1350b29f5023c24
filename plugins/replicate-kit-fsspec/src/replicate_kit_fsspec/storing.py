"""Store output files at URLs of stores: what the hooks `replicate_check_target` and `replicate_store_output` do."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from replicate_kit.storage import StoredFile, Target
from replicate_kit.stores import manifest, store
from replicate_kit_fsspec.instances import opened, tried
from replicate_kit_fsspec.locations import folder_of, location_of
from replicate_kit_fsspec.probing import probe

if TYPE_CHECKING:
    from replicate_kit import FileOutput
    from replicate_kit.session import Session

__all__ = ["check", "put", "record"]


async def check(target: Target, session: Session) -> None:
    """Find the filesystem of a target, and see that it can take files as far as that can be known."""
    await session.in_thread(functools.partial(_check, target))


def _check(target: Target) -> None:
    """Do so with the credentials that there are now, whatever was tried before with the same options."""
    again = functools.partial(location_of, target.folder, target.options)
    tried(opened(target.folder, target.options), again, functools.partial(probe, target))


async def put(file: FileOutput, target: Target, session: Session) -> StoredFile:
    """Stream a file to its target; give the record of it."""
    return await store(file, target, session, folder_of(target.folder, target.options))


async def record(files: Sequence[StoredFile], target: Target, session: Session) -> None:
    """Add records to the manifest of a folder."""
    await manifest.record(files, folder_of(target.folder, target.options), session)
