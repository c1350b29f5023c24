"""Results that are there already: those of another model, or another journal, are not written over unasked."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

import click

from replicate_kit._formats.wording import shown_names
from replicate_kit.cli._tables.tables import read_columns, read_rows
from replicate_kit.cli._tables.unreadable import TableError

__all__ = ["check_results"]

_IDS = re.compile(r"(replicate_(\d+_)?)?prediction_id")


def check_results(out: Path, journal: Path, model: str) -> None:
    """Refuse to write over results of which none are of this model in this journal.

    Some of them are enough: rows that are paid for again have other predictions than before.
    """
    from replicate_kit.batch.journals import entries

    ids = _predictions(out)
    models = set[str]()
    for entry in entries(journal) if ids else ():
        if entry["prediction_id"] in ids:
            models.add(entry["model"])
            if entry["model"] == model:
                return
    if ids:
        whose = f"of {shown_names(sorted(models))}" if models else f"that the journal {journal} does not know"
        raise TableError(
            f"{out} holds results {whose}, so nothing was created: this run would write over them. Name another file "
            "with --out, or pass --force to replace them."
        )


def _predictions(out: Path) -> set[str]:
    """Name the predictions in a table of results; none where there is no such table."""
    ids = set[str]()
    with suppress(click.ClickException, OSError):
        columns = [name for name in read_columns(out) if _IDS.fullmatch(name)]
        for row in read_rows(out) if columns else ():
            ids.add(row.get(columns[-1]) or "")  # the others came with the table that was run
    return ids - {""}
