"""Saving: the output files of a prediction go where `save_to=` says, through the hook
`replicate_store_output`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from replicate_kit.outputs import FileOutput, Target

if TYPE_CHECKING:
    from replicate_kit.session import Session

__all__ = ["safe_name", "store_outputs"]


async def store_outputs(
    output: Any,
    *,
    folder: str,
    prediction_id: str,
    model: str | None,
    session: Session,
    stem: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Any:
    """Store every file in a decoded output; give the output with the URLs where they now are.

    `stem` names the files, the prediction's id where it is None; a number follows it where there are several.
    `options` go to the storage. Raises `FileError` for a file that could not be stored.
    """
    files = [each for each in _leaves(output) if isinstance(each, FileOutput)]
    stored: dict[int, str] = {}
    for index, file in enumerate(files):
        name = safe_name(stem or prediction_id) + (f"-{index}" if len(files) > 1 else "")
        target = Target(
            folder=folder,
            stem=name,
            prediction_id=prediction_id,
            model=model,
            index=index,
            options=options or {},
        )
        stored[id(file)] = await session.hooks.store_output(file, target, session)
    return _replaced(output, stored)


def safe_name(text: str) -> str:
    """Make a file name of any text: one that stays in its folder on every system, and that people can read.

    >>> safe_name("../A wombat, at sea/…")
    'A-wombat-at-sea'
    """
    plain = unicodedata.normalize("NFKC", text)
    words = re.sub(r"[^\w.~=+-]+", "-", plain).strip("-.")
    return re.sub(r"-{2,}", "-", words)[:120].strip("-.") or "output"


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
