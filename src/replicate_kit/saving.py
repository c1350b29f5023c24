"""Saving: the output files of a prediction go where `save_to=` says, through the hook
`replicate_store_output`.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from replicate_kit.errors import APIError, FileError, TransportError
from replicate_kit.naming import safe_name
from replicate_kit.outputs import FileOutput
from replicate_kit.storage import StoredFile, Target

if TYPE_CHECKING:
    from replicate_kit.session import Session

__all__ = ["StoredFile", "check_target", "safe_name", "store_outputs"]


async def check_target(
    folder: str | os.PathLike[str], session: Session, options: Mapping[str, Any] | None = None
) -> None:
    """Find out whether files can be stored in `folder`, before anything is paid for.

    Raises `MissingExtraError` where a part has to be installed for it, `ConfigError` for a place that nobody
    knows, and `FileError` for one that does not take files.
    """
    target = Target(folder=os.fspath(folder), stem="check", options=options or {})
    await session.hooks.check_target(target, session)


async def store_outputs(
    output: Any,
    *,
    folder: str | os.PathLike[str],
    prediction_id: str,
    model: str | None,
    session: Session,
    stem: str | None = None,
    options: Mapping[str, Any] | None = None,
    row: int | None = None,
    input_key: str | None = None,
    on_stored: Callable[[StoredFile], None] | None = None,
) -> Any:
    """Store every file in a decoded output; give the output with the URLs where they now are.

    `stem` names the files, the prediction's id where it is None; a number follows it where there are several.
    `options` go to the storage. `on_stored` is called with the record of each file as soon as it is there;
    `row` and `input_key` are noted in it. Raises `FileError` for a file that could not be stored; those
    before it stay where they are.
    """
    files = [each for each in _leaves(output) if isinstance(each, FileOutput)]
    stored: dict[int, str] = {}
    for index, file in enumerate(files):
        name = safe_name(stem or prediction_id) + (f"-{index}" if len(files) > 1 else "")
        target = Target(
            folder=os.fspath(folder),
            stem=name,
            prediction_id=prediction_id,
            model=model,
            index=index,
            options=options or {},
        )
        record = dataclasses.replace(await _stored(file, target, session), row=row, input_key=input_key)
        if on_stored is not None:
            on_stored(record)
        stored[id(file)] = record.url
    return _replaced(output, stored)


async def _stored(file: FileOutput, target: Target, session: Session) -> StoredFile:
    """Store one file; whatever goes wrong says which file of which prediction it was."""
    try:
        result = await session.hooks.store_output(file, target, session)
    except (FileError, APIError, TransportError, OSError) as error:
        kind = type(error) if isinstance(error, FileError) else FileError
        raise kind(
            f"File {target.index} of the prediction {target.prediction_id} could not be stored in "
            f"{target.folder!r}: {error}"
        ) from error
    if isinstance(result, StoredFile):
        return result
    return StoredFile(url=result, source=file.url, index=target.index, prediction_id=target.prediction_id)


def _leaves(value: Any) -> list[Any]:
    """List what is in an output, in order."""
    if isinstance(value, list):
        return [leaf for each in value for leaf in _leaves(each)]
    if isinstance(value, dict):
        return [leaf for each in value.values() for leaf in _leaves(each)]
    return [value]


def _replaced(value: Any, stored: Mapping[int, str]) -> Any:
    """Put the new URLs in the places of the files."""
    if isinstance(value, list):
        return [_replaced(each, stored) for each in value]
    if isinstance(value, dict):
        return {key: _replaced(each, stored) for key, each in value.items()}
    return stored.get(id(value), value)
