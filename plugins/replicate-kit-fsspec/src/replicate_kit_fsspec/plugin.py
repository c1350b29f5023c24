"""The hooks of this plugin. What they need is imported when they are called."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from replicate_kit import hookimpl
from replicate_kit.stores import is_local

if TYPE_CHECKING:
    from replicate_kit import FileOutput
    from replicate_kit.session import Session
    from replicate_kit.storage import StoredFile, Target
    from replicate_kit.stores import Location


# Last, because this plugin takes every URL: a plugin for a certain location is asked before it. Local folders are the
# package's own affair.
@hookimpl(trylast=True)
def replicate_check_target(target: Target, session: Session) -> Coroutine[Any, Any, None] | None:
    """Find the filesystem, and see that it takes files."""
    from replicate_kit_fsspec import storing

    return None if is_local(target.folder) else storing.check(target, session)


@hookimpl(trylast=True)
def replicate_store_output(
    file: FileOutput, target: Target, session: Session
) -> Coroutine[Any, Any, StoredFile] | None:
    """Stream the file to its location."""
    from replicate_kit_fsspec import storing

    return None if is_local(target.folder) else storing.put(file, target, session)


@hookimpl(trylast=True)
def replicate_record_files(
    files: Sequence[StoredFile], target: Target, session: Session
) -> Coroutine[Any, Any, None] | None:
    """Add the records to the manifest beside the files."""
    from replicate_kit_fsspec import storing

    return None if is_local(target.folder) else storing.record(files, target, session)


@hookimpl(trylast=True)
def replicate_open_folder(folder: str, options: Mapping[str, Any]) -> Location | None:
    """Find the filesystem of a folder to read its manifest."""
    from replicate_kit_fsspec import manifest

    return None if is_local(folder) else manifest.opened_folder(folder, options)


@hookimpl
def replicate_encode_input(value: Any, session: Session) -> Coroutine[Any, Any, str] | None:
    """Make a URL that models can read of a file in a store."""
    from replicate_kit_fsspec.reading import encode

    return encode(value, session)
