"""What `predictions save` says of the files that it has saved, and of those that are gone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from replicate_kit._formats.redacting import redacted
from replicate_kit._formats.wording import counted
from replicate_kit.cli import _show
from replicate_kit.cli._wording import as_typed

if TYPE_CHECKING:
    from rich.status import Status

    from replicate_kit.storage import SavedOutput, SaveOutcome

__all__ = ["LOST", "Shown", "as_objects", "tell_saved"]

LOST = ("expired", "failed")
"""The outcomes of predictions whose files are not in the folder, and should be."""

_UNITS = ((10**9, "GB"), (10**6, "MB"), (10**3, "kB"))


class Shown:
    """Shows on a terminal how far it is."""

    def __init__(self, status: Status) -> None:
        self._status, self._bytes = status, 0

    def __call__(self, output: SavedOutput, done: int, total: int) -> None:
        if output.outcome == "saved":
            self._bytes += sum(each.size or 0 for each in output.files)
        self._status.update(f"{done} of {counted(total, 'prediction')}, {_size(self._bytes)} saved…")


def as_objects(outputs: Sequence[SavedOutput]) -> list[dict[str, Any]]:
    """What became of each prediction, as JSON has it."""
    return [
        {
            **vars(each),
            "created_at": None if each.created_at is None else each.created_at.isoformat(),
            "files": [file.to_json() for file in each.files],
            "error": None if each.error is None else as_typed(str(each.error)),
        }
        for each in outputs
    ]


def tell_saved(outputs: Sequence[SavedOutput], folder: str, *, dry: bool) -> None:
    """Print the files that were saved, or would be; then what else there was, and at last what is lost, by name."""
    which: SaveOutcome = "planned" if dry else "saved"
    found = {
        name: [each for each in outputs if each.outcome == name]
        for name in (which, "kept", "empty", "running", *LOST)
    }
    if rows := [
        (each.id, each.model, each.created_at, file.size, file.url)
        for each in found[which]
        for file in each.files
    ]:
        _show.print_table(("prediction", "model", "created", "bytes", "file"), rows)
    size = sum(file.size or 0 for each in found[which] for file in each.files)
    said = [
        f"{counted(len(rows), 'file')} of {counted(len(found[which]), 'prediction')} "
        f"{'would be saved' if dry else 'saved'} in {redacted(folder)} ({_size(size)})"
    ]
    others = (
        ("kept", "there already"),
        ("empty", "without files"),
        ("running", "not ended yet: run this again later"),
        ("expired", "gone: the API had removed the output"),
        ("failed", "not saved"),
    )
    said += [
        f"{counted(len(found[name]), 'prediction')} {words}" for name, words in others if found.get(name)
    ]
    lost = (f"{each.id}: {_reason(each)}" for name in LOST for each in found[name])
    _show.remarks((*said, *lost))


def _reason(output: SavedOutput) -> str:
    """Say why files of a prediction are lost, or not there yet."""
    if output.outcome == "failed":
        return as_typed(str(output.error))
    model = f", of {output.model}" if output.model else ""
    created = "" if output.created_at is None else f", created {_show.ago(output.created_at)}"
    return f"gone{model}{created}"


def _size(size: int) -> str:
    """Write a number of bytes for people.

    >>> _size(512), _size(263_400), _size(3_400_000)
    ('512 bytes', '263 kB', '3.4 MB')
    """
    return next((f"{size / least:.3g} {unit}" for least, unit in _UNITS if size >= least), f"{size} bytes")
