"""`replicate-kit map`: a model over the rows of a table, resumed by running it again."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from replicate_kit.cli import _show
from replicate_kit.cli._amounts import Amounts, check_most, check_price, prices, read_amounts
from replicate_kit.cli._logs import at_end
from replicate_kit.cli._options import (
    COUNT,
    as_json,
    check_input,
    check_needed,
    connected,
    escape_formulas,
    read_duration,
    storage_options,
)
from replicate_kit.cli._paths import (
    NEW_FILE,
    NEW_JOURNAL,
    RESULTS,
    STANDARD,
    TABLE,
    check_distinct,
    check_writable,
    read_location,
)
from replicate_kit.cli._progress import WAYS, shown_as
from replicate_kit.cli._tables.dialects import read_delimiter, read_encoding
from replicate_kit.cli._tables.unreadable import TableError
from replicate_kit.cli._wording import as_typed

if TYPE_CHECKING:
    from replicate_kit.batch import Plan
    from replicate_kit.cli._tables.mapping import Mapped
    from replicate_kit.client import Client

__all__ = ["command"]

_INCOMPLETE = 3

_OPTIONS = (
    click.option(
        "-i",
        "--input",
        "inputs",
        multiple=True,
        metavar="INPUT=COLUMN",
        help="What fills an input: a column, a field inside of one (such as input.prompt), or a text with {columns} "
        "in it. Without any, columns fill the inputs of their name.",
    ),
    click.option(
        "-s", "--set", "constants", multiple=True, metavar="INPUT=VALUE", help="An input, alike for all rows."
    ),
    click.option(
        "-o",
        "--out",
        type=RESULTS,
        help="Where the results go: .csv, .tsv, .jsonl (also .csv.gz and so on) or .parquet, or - for standard "
        "output.  [default: TABLE-results.*, of a spreadsheet .csv, of - standard output]",
    ),
    escape_formulas,
    click.option(
        "--sheet", metavar="NAME", help="The sheet of a spreadsheet.  [default: the first visible one]"
    ),
    click.option(
        "--delimiter",
        metavar="CHARACTER",
        callback=read_delimiter,
        help="What stands between the cells of a .csv or .tsv, such as ';' or tab.  [default: what is found in it]",
    ),
    click.option(
        "--encoding",
        metavar="NAME",
        callback=read_encoding,
        help="The encoding of a table of text, such as cp1252.  [default: what is found in it, mostly UTF-8]",
    ),
    click.option(
        "--save-to",
        metavar="FOLDER",
        callback=read_location,
        help="Save output files in this folder or fsspec URL, which may end in a template of names, such as "
        "'pictures/{row:04}-{prompt}{ext}'.",
    ),
    click.option("--manifest", is_flag=True, help="Keep a list of the saved files beside them."),
    storage_options,
    click.option("--gallery", type=NEW_FILE, help="Write a page to look at, too."),
    click.option(
        "--journal",
        type=NEW_JOURNAL,
        help="What remembers the predictions that were paid for: a file, or a URL such as postgresql://host/db.  "
        "[default: animals.journal.sqlite for animals.csv]",
    ),
    click.option(
        "--journal-inputs",
        type=click.Choice(["keep", "hash"]),
        default="keep",
        show_default=True,
        help="Keep the rows' inputs in the journal, or hashes alone.",
    ),
    click.option(
        "--label",
        metavar="TEXT",
        help="Keep this with the run in the journal: `journal costs` adds up by it, such as 'nightly'.",
    ),
    click.option("--limit", type=COUNT, help="Only the first rows."),
    click.option("--concurrency", type=COUNT, help="How many predictions run at once."),
    click.option(
        "--budget",
        multiple=True,
        metavar="MONEY|METRIC=NUMBER",
        callback=read_amounts,
        help="Spend no more than this in this run, which needs a price, or use no more of a metric, which needs "
        "--most, such as output_token_count=100000; repeatable.",
    ),
    click.option(
        "--max-predictions",
        type=click.IntRange(0, sys.maxsize),
        help="Create no more than so many in this run.",
    ),
    click.option(
        "--budget-per-journal",
        is_flag=True,
        help="Count what the journal has spent before against --budget and --max-predictions, too.",
    ),
    prices,
    click.option(
        "--cancel-after",
        metavar="TIME",
        callback=read_duration,
        help="Have the API end each prediction after so long: seconds, or a time such as 10m.  [default: 1h]",
    ),
    click.option(
        "--retries",
        type=click.IntRange(0, sys.maxsize),
        default=2,
        show_default=True,
        help="How often a prediction is repeated that the service interrupted.",
    ),
    click.option(
        "--retry",
        multiple=True,
        type=click.Choice(["failed", "unknown", "expired"]),
        help="Pay again for rows that an earlier run left so; repeatable.",
    ),
    click.option(
        "--refresh-version", is_flag=True, help="Use the model's latest version, not the journal's."
    ),
    click.option(
        "--dedupe/--no-dedupe",
        default=True,
        show_default=True,
        help="Let rows with equal inputs share one prediction.",
    ),
    click.option(
        "--on-interrupt",
        type=click.Choice(["cancel", "detach"]),
        default="cancel",
        show_default=True,
        help="What Ctrl-C and SIGTERM do with predictions that run.",
    ),
    click.option(
        "--progress",
        "way",
        type=click.Choice(WAYS),
        default="auto",
        show_default=True,
        help="How progress is shown: lines, JSON, not at all, or what suits where it goes.",
    ),
    click.option("-q", "--quiet", is_flag=True, help="Say nothing but warnings and errors."),
    click.option("--skip-invalid", is_flag=True, help="Run the other rows where some cannot be sent."),
    click.option(
        "--force",
        is_flag=True,
        help="Write over what --out has, also if it is of another model or journal, or no results at all, and over "
        "what --gallery has, also if it is no page of results.",
    ),
    click.option("--dry-run", is_flag=True, help="Say what would be created and paid, and stop."),
)


def _with_options(function: Any) -> Any:
    """Add the options, in their order."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@click.command("map", short_help="Run a model over the rows of a table.")
@click.argument("model")
@click.argument("table", type=TABLE)
@_with_options
@check_input
@as_json
@connected
def command(
    client: Client,
    model: str,
    table: Path | str,
    as_json: bool,
    skip_invalid: bool,
    dry_run: bool,
    quiet: bool,
    force: bool,
    way: str,
    gallery: Path | None,
    **options: Any,
) -> None:
    """Run MODEL over the rows of TABLE (.csv, .tsv, .jsonl, each also .gz, .parquet, a spreadsheet such as .xlsx,
    or - for standard input), one prediction for each distinct row.

    All rows are checked before anything is created. Rows with an empty cell in what fills the model's inputs
    are skipped; without --input, an empty cell leaves out an input that the model does not require. If it is
    stopped, run it again: what was paid for is not paid twice, and nothing is lost.

    \b
    Exit codes: 0 every row has its output · 1 stopped by an error, or results not written
                2 wrong usage · 3 some rows failed, or were left out to stay within the budget
                130 stopped by Ctrl-C · 143 by SIGTERM

    \b
    replicate-kit map demo/painter prompts.csv -i prompt="{animal} at {place}" -s num_outputs=2 \\
        --save-to pictures --out results.parquet --backend mock
    """
    from replicate_kit.cli._tables.mapping import prepare
    from replicate_kit.cli._tables.standard import table_of
    from replicate_kit.cli._tables.summary import tell_plan

    if (options["out"] or table) == STANDARD and not dry_run:
        _show.take_output()
    _check_budget(**options)
    _check_input(table, **options)
    if quiet:
        check_needed({"way": "--progress"}, without="with --quiet. Leave one of them out.")
    options["progress"] = shown_as("off" if quiet else way, options["label"], model)
    if options["save_to"] is None:
        check_needed(
            {"manifest": "--manifest", "storage_options": "--storage-options"},
            without="without --save-to, which says where files are saved. Add it, or leave this out.",
        )
    with table_of(table) as path:
        mapped = prepare(client, model, path, table, **options)
        _check_files(mapped, gallery, piped=table == STANDARD)
        if not dry_run:
            _run(mapped, gallery, as_json=as_json, quiet=quiet, skip_invalid=skip_invalid, force=force)
        plan = mapped.plan()
        tell_plan(plan, mapped, as_json=as_json)
        raise SystemExit(TableError.exit_code if plan.invalid and not skip_invalid else 0)


def _run(
    mapped: Mapped, gallery: Path | None, *, as_json: bool, quiet: bool, skip_invalid: bool, force: bool
) -> NoReturn:
    """Run the rows, and exit as it went."""
    from replicate_kit.cli._tables.results import check_page, check_results
    from replicate_kit.cli._tables.summary import logged_end, refusal_of

    def review(plan: Plan) -> None:
        from replicate_kit.batch._plan.plan import UNSAVED

        if not (as_json or quiet):
            click.echo(str(plan).partition("\n")[0], err=True)
        if plan.invalid and not skip_invalid:
            raise TableError(refusal_of(plan, mapped))
        if mapped.out is not None and not force:
            check_results(mapped.out, mapped.journal, plan.model, mapped.limit)
        if plan.unsaved:
            click.echo(f"Warning: {as_typed(UNSAVED)}", err=True)
        mapped.estimate = plan.cost

    for path in (mapped.out, gallery):
        if path is not None:
            check_writable(path)
    if gallery is not None and not force:
        check_page(gallery)
    at_end(partial(logged_end, mapped))
    mapped.run(review, keep=gallery is not None)
    _finish(mapped, gallery, as_json=as_json, quiet=quiet)


def _check_input(table: Path | str, *, constants: Sequence[str], **_: Any) -> None:
    """Refuse to read standard input twice: there would be nothing left."""
    if table == STANDARD and (twice := [each for each in constants if each.endswith("=@-")]):
        raise click.UsageError(
            f"--set {twice[0]} reads standard input, which is the table. Name a file for one of them."
        )


def _check_budget(
    *,
    budget: Amounts,
    max_predictions: int | None,
    budget_per_journal: bool,
    price: float | Mapping[str, float] | None,
    price_per_second: float | None,
    most: Mapping[str, float] | None,
    **_: Any,
) -> None:
    """Refuse a budget that would bound nothing."""
    check_price(price, price_per_second, most)
    for name in budget:
        if name is not None and name != "predict_time":
            check_most(f"--budget {name}=…", name, most)
    if None in budget and price is None and price_per_second is None:
        raise click.UsageError(
            "--budget needs to know what it costs. Pass --price or --price-per-second, too."
        )
    if budget_per_journal and not budget and max_predictions is None:
        raise click.UsageError(
            "--budget-per-journal needs a budget. Pass --budget or --max-predictions, too."
        )


def _check_files(mapped: Mapped, gallery: Path | None, *, piped: bool) -> None:
    """Refuse to write one file over another; also over that of which the table was `piped` in."""
    from replicate_kit.cli._tables.standard import is_input

    for option, path in (("--out", mapped.out), ("--gallery", gallery)):
        if piped and path is not None and is_input(path):
            raise click.UsageError(f"{option} is the table itself ({path}). Name another file.")
    check_distinct(
        {
            "the table itself": mapped.table,
            "the journal": mapped.journal,
            "--out": mapped.out,
            "--gallery": gallery,
        }
    )


def _finish(mapped: Mapped, gallery: Path | None, *, as_json: bool, quiet: bool) -> NoReturn:
    """Write the page, say what came of it all, and exit accordingly."""
    from replicate_kit.cli._tables.summary import advice, how_to_get, tell_result

    failures = [] if mapped.unwritten is None else [mapped.failure]
    page = None if gallery is None else _write_page(gallery, mapped, failures)
    _show.remarks(mapped.notes)
    if as_json:
        _show.print_json(mapped.summary(), err=mapped.out is None)
    else:
        if not quiet:
            tell_result(mapped, page)
        if not mapped.is_complete:
            click.echo(advice(mapped), err=True)
    if failures:
        raise click.ClickException("\n".join([*failures, how_to_get(mapped)]))
    raise SystemExit(0 if mapped.is_complete else _INCOMPLETE)


def _write_page(path: Path, mapped: Mapped, failures: list[str]) -> Path | None:
    """Write the page; give its path, or None and the reason why there is none."""
    from replicate_kit.gallery import write

    try:
        return write(path, {mapped.model: mapped.kept}, title=f"{mapped.model} over {Path(mapped.name).name}")
    except OSError as error:
        failures.append(f"{path} could not be written ({error.strerror or error}).")
        return None
