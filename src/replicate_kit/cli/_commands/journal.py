"""`replicate-kit journal`: what `map` remembers, and tending it."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import click

from replicate_kit._formats.redacting import without_secrets
from replicate_kit._formats.wording import counted, money
from replicate_kit.cli import _show
from replicate_kit.cli._amounts import check_price, prices
from replicate_kit.cli._options import (
    COUNT,
    Function,
    as_json,
    check_needed,
    confirm,
    connected,
    debug,
    escape_formulas,
    is_given,
    yes,
)
from replicate_kit.cli._paths import JOURNAL, NEW_FILE, NEW_JOURNAL, check_distinct, check_writable
from replicate_kit.cli._reconciled import tell_reconciled
from replicate_kit.cli._tables.tables import check_format, write_rows
from replicate_kit.cli._wording import as_typed
from replicate_kit.errors import ConfigError, InputError, ReplicateError

if TYPE_CHECKING:
    from replicate_kit.batch.journals import Costs, JournalInfo
    from replicate_kit.client import Client

__all__ = ["command", "read_age"]

_STATES = ("intent", "created", "finished", "saved", "failed", "canceled", "unknown", "expired")
_DIFFERS = 3  # the exit code of `reconcile` where the journal and the API do not agree
_REDONE = ("failed", "unknown", "expired")
_NUMBERS = {
    **dict.fromkeys(("attempts", "sample"), "int64"),
    **dict.fromkeys(("seconds", "cost", "sent_at", "finished_at"), "float64"),
}
_Group = Literal["label", "model", "day"]
_GROUPS: tuple[_Group, ...] = get_args(_Group)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}

_journal = click.argument("journal", type=JOURNAL)


def _states(choices: tuple[str, ...]) -> Callable[[Function], Function]:
    """Make the option that narrows a command to rows in some states."""
    return click.option(
        "--state",
        "states",
        multiple=True,
        type=click.Choice(choices),
        help="Only rows in this state; repeatable.",
    )


def read_age(text: str) -> float:
    """Read a length of time such as `90s`, `12h`, `30d` or `2w` in seconds.

    >>> read_age("2h")
    7200.0
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text.strip().lower())
    seconds = float(match[1]) * _UNITS[match[2]] if match else math.inf
    if not math.isfinite(seconds):
        raise click.BadParameter(f"{text!r:.80} is no length of time. Write 90s, 30m, 12h, 30d or 2w.")
    return seconds


@click.group("journal", short_help="Look after what `map` remembers.")
def command() -> None:
    """Look after journals, in which `map` remembers what was paid for: files, or URLs where a package keeps them."""


@command.command("list")
@click.argument("paths", nargs=-1, metavar="[JOURNAL]...", type=JOURNAL)
@as_json
@debug
def list_journals(paths: tuple[Path | str, ...], as_json: bool) -> None:
    """Describe journals; without any, those of unfinished runs, which are kept in the user's cache folder."""
    from replicate_kit.batch.journals import describe, journals

    found = [describe(path) for path in paths] if paths else journals()
    if as_json:
        _show.print_json([asdict(each) for each in found])
        return
    if not found:
        _show.notes().print(
            "No unfinished run has left a journal in the cache folder. To describe one of yours: journal list FILE"
        )
        return
    columns = ("journal", "models", "labels", "rows", "cost", "size", "changed", "")
    _show.print_table(columns, map(_row, found))


@command.command("costs")
@_journal
@click.option(
    "--by",
    multiple=True,
    type=click.Choice(_GROUPS),
    help="What costs are added up by; repeatable.  [default: all three]",
)
@click.option("--since", metavar="TIME", help="Only from then on: a day of UTC, or a time in ISO 8601.")
@click.option("--until", metavar="TIME", help="Only up to then: with a day, that day is counted.")
@as_json
@debug
def costs(
    journal: Path | str, by: tuple[_Group, ...], since: str | None, until: str | None, as_json: bool
) -> None:
    """Add up what was spent in a JOURNAL by the labels of runs, models and days.

    A prediction has the label of the run that sent it, and the day, in UTC, on which it ended, or was created where it
    has not. What is not known is counted apart and not in the cost: predictions without a price, those under way, and
    those that cannot be found.
    """
    from replicate_kit.batch import journals
    from replicate_kit.batch._ledger.costs import total

    groups = by or _GROUPS
    try:
        found = journals.costs(journal, by=groups, since=since, until=until)
    except InputError as error:
        raise click.UsageError(as_typed(str(error))) from None
    if as_json:
        _show.print_json({"costs": list(map(asdict, found)), "total": asdict(total(found))})
        return
    rows = [(*(_group(each, name) for name in groups), *_sums(each)) for each in found]
    columns = (*(f"{name} (UTC)" if name == "day" else name for name in groups), "predictions", "cost")
    _show.print_table(
        (*columns, "not in the cost"), [*rows, ("total", *[""] * (len(groups) - 1), *_sums(total(found)))]
    )


def _group(costs: Costs, name: _Group) -> str:
    """Name what costs were added up by."""
    value = costs.group[name]
    return {"label": "no label", "day": "not known"}.get(name, "") if value is None else _short_model(value)


def _sums(costs: Costs) -> tuple[str, str, str]:
    """Write the sums: predictions by status, their cost, and how many are not in it."""
    statuses = ", ".join(f"{count} {status}" for status, count in costs.statuses.items()) or "none"
    open = {name: costs.statuses.get(name, 0) for name in ("under way", "unknown")}
    missing = {"without a price": costs.unpriced, **open}
    cost = "not known" if costs.cost is None else money(costs.cost)
    return statuses, cost, ", ".join(f"{count} {name}" for name, count in missing.items() if count)


@command.command("export")
@_journal
@click.argument("table", type=NEW_FILE)
@_states(_STATES)
@escape_formulas
@debug
def export(journal: Path | str, table: Path, states: tuple[str, ...], escape_formulas: bool) -> None:
    """Write what a JOURNAL holds to a TABLE (.csv, .tsv, .jsonl or .parquet), one row for each prediction."""
    from replicate_kit.batch.journals import COLUMNS, entries

    check_format(table)
    check_distinct({"the journal": journal, "the table": table})
    check_writable(table)
    count = 0

    def found() -> Any:
        nonlocal count
        for entry in entries(journal, states or None):  # type: ignore[arg-type]
            count += 1
            yield entry

    texts = dict.fromkeys(set(COLUMNS) - {"output"}, "string")
    try:
        types = {**texts, **_NUMBERS}
        notes = write_rows(table, COLUMNS, found(), types, escape_formulas=escape_formulas)
    except ReplicateError:  # of the journal, which is what cannot be read
        raise
    except OSError as error:
        raise click.ClickException(
            f"{table} could not be written ({error.strerror or error}). The journal is as it was. Name another file."
        ) from error
    _show.remarks(notes)
    click.echo(f"{counted(count, 'row')} in {table}")


@command.command("prune")
@_journal
@click.option(
    "--older-than",
    metavar="TIME",
    callback=lambda _, __, text: 0.0 if text is None else read_age(text),
    help="Only what ended so long ago, such as 12h or 30d.",
)
@_states(_STATES[2:])
@yes
@debug
def prune(journal: Path | str, older_than: float, states: tuple[str, ...], yes: bool) -> None:
    """Forget rows of a JOURNAL: they are paid for again when they are run again. Rows that may be under way stay."""
    from replicate_kit.batch import journals

    confirm("Rows that are forgotten are paid for again when they are run again. Forget them?", yes=yes)
    gone = journals.prune(journal, older_than=older_than, states=states or None)  # type: ignore[arg-type]
    click.echo(f"{counted(gone, 'row')} forgotten")


@command.command("retry")
@_journal
@_states(_REDONE)
@debug
def retry(journal: Path | str, states: tuple[str, ...]) -> None:
    """Let the next run pay again for rows of a JOURNAL that failed, or are unknown or expired."""
    from replicate_kit.batch import journals

    count = journals.retry(journal, states or ("failed",))  # type: ignore[arg-type]
    click.echo(f"the next run pays again for {counted(count, 'row')}")


@command.command("settle")
@_journal
@click.argument("key", required=False)
@click.option("--prediction", "id", metavar="ID", help="The id of the row's prediction.")
@click.option("--none", "absent", is_flag=True, help="There is no prediction: the next run creates one.")
@click.option(
    "--sample", type=click.IntRange(0, sys.maxsize), help="Which of several rows with equal inputs."
)
@click.option(
    "--check/--no-check",
    default=True,
    show_default=True,
    help="Have the next run see whether the prediction is of the row's model and input.",
)
@as_json
@debug
def settle(
    journal: Path | str,
    key: str | None,
    id: str | None,
    absent: bool,
    sample: int | None,
    check: bool,
    as_json: bool,
) -> None:
    """Say what became of a row of a JOURNAL that is unknown; without a KEY, list those rows.

    KEY is the row's key, or its first digits. With --prediction, the next run waits for that prediction and gives its
    output, free. With --none, the next run creates the row, as if it had never been sent.
    """
    from replicate_kit.batch import journals

    if key is None:
        if id is not None or absent or sample is not None or is_given("check"):
            raise click.UsageError("Which row? Pass its KEY. Without any option, the rows are listed.")
        _list_open(list(journals.entries(journal, ("unknown", "intent"))), as_json=as_json)
        return
    if (id is None) is not absent:
        raise click.UsageError("Pass either --prediction ID, or --none if there is no prediction.")
    if absent:
        check_needed(
            {"check": "--check/--no-check"}, without="with --none: there is no prediction to look at."
        )
    try:
        entry = journals.settle(journal, key, prediction_id=id, absent=absent, sample=sample, check=check)
    except ConfigError as error:
        raise click.UsageError(as_typed(str(error))) from None
    if as_json:
        _show.print_json(entry)
    elif absent:
        click.echo("the next run creates this row")
    else:
        click.echo(f"the next run waits for the prediction {id}, free")


def _list_open(entries: list[dict[str, Any]], *, as_json: bool) -> None:
    """Print the rows that may be settled."""
    if as_json:
        _show.print_json(entries)
        return
    if not entries:
        _show.notes().print("No row is unknown.")
        return
    columns = ("key", "sample", "state", "sent", "model", "input")
    _show.print_table(columns, map(_open_row, entries))


def _open_row(entry: dict[str, Any]) -> tuple[object, ...]:
    """One row that may be settled."""
    sent = (
        ""
        if entry["sent_at"] is None
        else f"{datetime.fromtimestamp(entry['sent_at'], UTC):%Y-%m-%d %H:%M:%S} UTC"
    )
    # Where the journal has no input, its hash is what tells the rows of a table apart.
    input = without_secrets(entry["input"]) or entry["input_hash"]
    return entry["key"], entry["sample"], entry["state"], sent, entry["model"], _show.short(input)


@command.command("reconcile")
@_journal
@click.option(
    "--since", metavar="TIME", help="List predictions from then on.  [default: from the first create]"
)
@click.option(
    "--limit", type=COUNT, default=1000, show_default=True, help="List so many predictions at most."
)
@prices
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@as_json
@connected
def reconcile(
    client: Client,
    journal: Path | str,
    since: str | None,
    limit: int,
    price: float | Mapping[str, float] | None,
    price_per_second: float | None,
    most: Mapping[str, float] | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Compare a JOURNAL with the list of predictions, and adopt what became of rows that runs have left open.

    Nothing is created and nothing is waited for. Rows that are unknown get their predictions if these are found now.
    Predictions that have the input of a row and belong to none are named; `journal settle` can give a row one of them.
    A price is that of predictions that are adopted, and of all that have ended without a cost before.

    \b
    Exit codes: 0 the journal and the list agree · 1 stopped by an error · 2 wrong usage
                3 rows are still open, one of both has predictions that the other lacks, or the list was cut by --limit
    """
    import asyncio

    from replicate_kit._formats.arguments import unix_time
    from replicate_kit.batch._runs.reconciling import Reconciling

    try:
        first = unix_time("since", since)
    except InputError as error:
        raise click.UsageError(as_typed(str(error))) from None
    check_price(price, price_per_second, most)
    reconciling = Reconciling(client, journal, price=price, price_per_second=price_per_second, most=most)
    with _show.working("Comparing with the list of predictions…"):
        found = asyncio.run(reconciling.run(since=first, limit=limit, dry=dry_run))
    if as_json:
        rows = {
            name: [each._asdict() for each in getattr(found, name)]
            for name in ("changed", "left", "lacking", "missing")
        }
        numbers = {name: getattr(found, name) for name in ("listed", "cut", "priced", "unpriced")}
        _show.print_json({"dry_run": dry_run, **rows, **numbers})
    else:
        tell_reconciled(found, dry=dry_run)
    if found.error is not None:
        raise found.error
    raise SystemExit(_DIFFERS if found.differs else 0)


@command.command("copy")
@click.argument("source", metavar="FROM", type=JOURNAL)
@click.argument("target", metavar="TO", type=NEW_JOURNAL)
@debug
def copy(source: Path | str, target: Path | str) -> None:
    """Copy all that a journal remembers to another one: a file, or the URL of a database, that holds nothing yet.

    A run with TO pays for nothing that FROM has. All of it is copied or, where anything fails, nothing. Use one of the
    two from then on: neither sees what the other pays for.
    """
    from replicate_kit.batch import journals
    from replicate_kit.batch._ledger.stores import shown

    click.echo(f"{counted(journals.copy(source, target), 'row')} copied to {shown(target)}")


@command.command("hash-inputs")
@_journal
@yes
@debug
def hash_inputs(journal: Path | str, yes: bool) -> None:
    """Replace the inputs in a JOURNAL by their hashes, for good. Nothing is paid twice for that.

    Runs with --journal-inputs hash write none in the first place. Outputs stay in the journal.
    """
    from replicate_kit.batch import journals
    from replicate_kit.batch._ledger.stores import shown

    confirm(f"The inputs in {shown(journal)} cannot be brought back. Replace them by their hashes?", yes=yes)
    click.echo(f"{counted(journals.hash_inputs(journal), 'input')} replaced by the hash")


@command.command("remove")
@_journal
@yes
@debug
def remove(journal: Path | str, yes: bool) -> None:
    """Remove a JOURNAL that no run uses."""
    from replicate_kit.batch import journals
    from replicate_kit.batch._ledger.stores import shown

    confirm(f"What {shown(journal)} remembers is paid for again when it is run again. Remove it?", yes=yes)
    journals.remove(journal)


def _row(info: JournalInfo) -> tuple[object, ...]:
    """One row of the list."""
    states = ", ".join(f"{count} {state}" for state, count in info.states.items()) or "none"
    cost = "" if info.cost is None else money(info.cost)
    changed = datetime.fromtimestamp(info.changed_at, UTC)
    models = _show.short(", ".join(map(_short_model, info.models)))
    labels = _show.short(", ".join(info.labels))
    return info.path, models, labels, states, cost, _size(info.size), changed, "in use" if info.in_use else ""


def _short_model(model: str) -> str:
    """Cut the version of a model, which is long."""
    return re.sub(r":[0-9a-f]{9,}$", lambda match: match[0][:9], model)


def _size(size: int) -> str:
    """Write a number of bytes."""
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.0f} kB"
