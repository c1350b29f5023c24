"""Files that are there already: results of another run, and what is no results at all, are not written over unasked."""

from __future__ import annotations

import re
from pathlib import Path

import click

from replicate_kit._formats.wording import counted, shown_names
from replicate_kit.cli._tables.tables import read_columns, read_rows
from replicate_kit.cli._tables.unreadable import TableError
from replicate_kit.tables import RESULTS

__all__ = ["check_page", "check_results"]

_IDS = re.compile(r"(replicate_(\d+_)?)?prediction_id")


def check_results(out: Path, journal: Path | str, model: str, limit: int | None) -> None:
    """Refuse to write over a file that is no results, over results of which none are of this model in this journal,
    and over more rows than a run with a limit would write.

    Some of them are enough: rows that are paid for again have other predictions than before.
    """
    if not out.is_file() or not out.stat().st_size:
        return
    found = _results(out)
    if found is None:
        raise TableError(
            f"{out} is there already and holds no results of this command, so nothing was created: this run would "
            "write over it. Name another file with --out, or pass --force to replace it."
        )
    ids, count = found
    _check_whose(out, ids, journal, model)
    if limit is not None and count > limit:
        raise TableError(
            f"{out} holds {counted(count, 'row')} of results, and with --limit {limit} this run would leave {limit}, "
            "so nothing was created. Name another file with --out, or pass --force to replace them."
        )


def check_page(gallery: Path) -> None:
    """Refuse to write a page over what is none."""
    from replicate_kit.gallery._page import is_page

    try:
        if not gallery.is_file() or not gallery.stat().st_size or is_page(gallery):
            return
    except OSError:  # then nobody can tell what is in it
        pass
    raise TableError(
        f"{gallery} is there already and is no page of this command, so nothing was created: this run would write "
        "over it. Name another file with --gallery, or pass --force to replace it."
    )


def _check_whose(out: Path, ids: set[str], journal: Path | str, model: str) -> None:
    """Refuse to write over results of which none are of this model in this journal."""
    from replicate_kit.batch._ledger.stores import shown
    from replicate_kit.batch.journals import entries

    models = set[str]()
    for entry in entries(journal) if ids else ():
        if entry["prediction_id"] in ids:
            models.add(entry["model"])
            if entry["model"] == model:
                return
    if ids:
        whose = (
            f"of {shown_names(sorted(models))}"
            if models
            else f"that the journal {shown(journal)} does not know"
        )
        raise TableError(
            f"{out} holds results {whose}, so nothing was created: this run would write over them. Name another file "
            "with --out, or pass --force to replace them."
        )


def _results(out: Path) -> tuple[set[str], int] | None:
    """Name the predictions in a table of results, and count its rows; None where there is no such table."""
    ids, count = set[str](), 0
    try:
        columns = read_columns(out)
        # The last are those of the results: others came with the table that was run.
        names = [name for name in columns if _IDS.fullmatch(name)][-1:]
        if not names or not columns.keys() >= {
            names[0].removesuffix("prediction_id") + name for name in RESULTS
        }:
            return None
        for row in read_rows(out):
            ids.add(row.get(names[0]) or "")
            count += 1
    except (click.ClickException, OSError):
        return None
    return ids - {""}, count
