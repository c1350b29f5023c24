"""The hooks of this plugin. What they need is imported when they are called."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from replicate_kit import hookimpl

if TYPE_CHECKING:
    import click

    from replicate_kit import FileOutput
    from replicate_kit.session import Session
    from replicate_kit.storage import StoredFile, Target


# Last, because this plugin takes every folder: a plugin for a certain place is asked before it.
@hookimpl(trylast=True)
def replicate_check_target(target: Target, session: Session) -> Coroutine[Any, Any, None]:
    """Find the filesystem, and see that a local folder can be written to."""
    from replicate_kit_fsspec.storing import check

    return check(target, session)


@hookimpl(trylast=True)
def replicate_store_output(
    file: FileOutput, target: Target, session: Session
) -> Coroutine[Any, Any, StoredFile]:
    """Stream the file to its place."""
    from replicate_kit_fsspec.storing import store

    return store(file, target, session)


@hookimpl(trylast=True)
def replicate_record_files(
    files: Sequence[StoredFile], target: Target, session: Session
) -> Coroutine[Any, Any, None]:
    """Add the records to the manifest beside the files."""
    from replicate_kit_fsspec.manifest import record

    return record(files, target, session)


@hookimpl
def replicate_encode_input(value: Any, session: Session) -> Coroutine[Any, Any, str] | None:
    """Make a URL that models can read of a file in a store."""
    from replicate_kit_fsspec.reading import encode

    return encode(value, session)


@hookimpl
def replicate_commands(cli: click.Group) -> None:
    """Add `replicate-kit files verify`."""
    from replicate_kit_fsspec.commands import add_to

    add_to(cli)
