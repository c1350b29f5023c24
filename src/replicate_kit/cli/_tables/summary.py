"""What `replicate-kit map` says of a table: what would be done, what was done, and what to do about the rest."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from replicate_kit._formats.wording import counted, money
from replicate_kit.cli import _show
from replicate_kit.cli._wording import as_typed

if TYPE_CHECKING:
    from replicate_kit.batch import Plan
    from replicate_kit.cli._tables.mapping import Mapped

__all__ = ["advice", "how_to_get", "logged_end", "refusal_of", "tell_plan", "tell_result"]

_NO_ROWS = "{} has no rows below its header, so there is nothing to run."

_REMEDIES = {
    "invalid": "not sent. Correct the table and run it again.",
    "left out": "left out, to stay within the budget. Allow more and run it again.",
    "skipped": "skipped, since another run pays for them again. Run it again when that has ended.",
    "succeeded": "with an output that could not be decoded, or files that could not be saved. Mend what the error "
    "names and run it again: that creates nothing.",
    "canceled": "canceled. Run it again to create what was canceled.",
    "aborted": "canceled before the model began. Run it again to create what was canceled.",
    "rejected": "refused by the API. To try again: --retry failed",
    "failed": "failed in the model. To pay for another try: --retry failed",
    "unknown": "perhaps created, and not to be found. To say what became of them, free: replicate-kit journal settle. "
    "To pay for another try: --retry unknown",
    "expired": "with outputs that are gone. To pay for another try: --retry expired",
}
"""What to do about rows that ended so."""


def how_to_get(mapped: Mapped) -> str:
    """Say how to get results that could not be written."""
    return (
        f"Nothing that was paid for is lost: the journal {mapped.shown_journal} keeps it. Run the same command again, "
        "with --out and --gallery where they can be written: it takes the results from the journal, and pays for none "
        "of them again. What the journal holds: "
        f"replicate-kit journal export {shlex.quote(mapped.shown_journal)} TABLE.csv"
    )


def tell_plan(plan: Plan, mapped: Mapped, *, as_json: bool) -> None:
    """Print what would be done; rows are numbered as they stand in the table."""
    from dataclasses import asdict, replace

    numbers = mapped.numbers()
    problems = tuple(each._replace(row=numbers[each.row]) for each in plan.problems)
    skipped = sum(1 for _ in mapped.rows()) - len(numbers)
    if as_json:
        listed = [each._asdict() for each in problems]
        _show.print_json({**asdict(plan), "skipped": skipped, "problems": listed})
        return
    if not plan.rows and not skipped:
        click.echo(_NO_ROWS.format(mapped.name), err=True)
    if skipped:
        click.echo(f"rows with empty cells, which are skipped: {skipped}")
    click.echo(as_typed(str(replace(plan, problems=problems))))


def refusal_of(plan: Plan, mapped: Mapped) -> str:
    """Say which rows cannot be sent."""
    numbers = mapped.numbers()
    labels = [numbers[each.row] for each in plan.problems]
    return as_typed(plan.refusal(labels, "Correct them, or run the others with --skip-invalid."))


def tell_result(mapped: Mapped, gallery: Path | None) -> None:
    """Print what was done."""
    counts = mapped.summary()
    words = {"skipped": _skipped(counts)}
    parts = [
        words.get(name, f"{counts[name]} {name}")
        for name in ("succeeded", "failed", "skipped", "cached", "created")
        if counts[name]
    ]
    if not counts["rows"]:
        click.echo(_NO_ROWS.format(mapped.name), err=True)
    err = mapped.out is None  # the results have standard output for themselves
    click.echo(f"{counted(counts['rows'], 'row')}: {', '.join(parts) or 'nothing to do'}", err=err)
    if counts["cost"] is not None:
        estimate = "" if mapped.estimate is None else f"; the estimate was {money(mapped.estimate)} at most"
        click.echo(f"cost {money(counts['cost'])}{estimate}", err=err)
    for path in (None if mapped.unwritten else mapped.out, gallery):
        if path is not None:
            click.echo(f"wrote {path}", err=err)


def logged_end(mapped: Mapped) -> tuple[str, dict[str, Any]]:
    """What the last line of a log says of a run, whichever way that has ended."""
    reached = mapped.reached
    if reached is None:
        message = "The run has created nothing."
    else:
        message = f"{reached.done} of {counted(reached.total, 'row')} done, {reached.failed} failed"
    counts = {
        "rows": reached.total if reached else 0,
        **{name: getattr(reached, name, 0) for name in ("done", "failed", "skipped", "cached", "created")},
        "cost": reached and reached.cost,
        "seconds": round(reached.seconds, 3) if reached else 0.0,
    }
    about = {"model": mapped.model, "label": mapped.options.get("label"), "journal": mapped.shown_journal}
    has_finished = reached is not None and (reached.finished or not reached.total)
    return "finished" if has_finished else "stopped", {"message": message, **counts, **about}


def _skipped(counts: dict[str, Any]) -> str:
    """Say how many rows were skipped, and how many of these to stay within the budget."""
    count, left_out = counts["skipped"], counts["left_out"]
    if not left_out:
        return f"{count} skipped"
    if left_out == count:
        return f"{count} skipped to stay within the budget"
    return f"{count} skipped ({left_out} of them to stay within the budget)"


def advice(mapped: Mapped) -> str:
    """Say what to do about the rows that have no output."""
    remedies = [
        f"{counted(count, 'row')} {_REMEDIES[status]}"
        for status, count in mapped.faults.items()
        if status in _REMEDIES
    ]
    why = "" if mapped.unwritten else f"The column {mapped.names['error']!r} says why:\n"
    return why + "\n".join([*remedies, f"The journal is {mapped.shown_journal}."])
