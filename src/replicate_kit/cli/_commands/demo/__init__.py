"""`replicate-kit demo`: the whole way of a table, from prompts to a page, without a token or a network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from replicate_kit.cli import _show
from replicate_kit.cli._options import debug
from replicate_kit.cli._paths import FOLDER, check_folder

if TYPE_CHECKING:
    from replicate_kit.cli._commands.demo.running import Folders, Outcome
    from replicate_kit.cli._tables.tables import Row

__all__ = ["command"]

_ON_BOTH = "black-forest-labs/flux-schnell"  # a model that Replicate has, and the mock a stand-in for


@click.command("demo", short_help="Try everything: no token, no network, no money.")
@click.option(
    "--out",
    type=FOLDER,
    default=Path("replicate-kit-demo"),
    show_default=True,
    help="The folder to write to.",
)
@click.option("--open", "open_page", is_flag=True, help="Open the page in the browser when it is done.")
@click.option("--fast", is_flag=True, help="Smaller pictures and no pauses, as tests want it.")
@debug
def command(out: Path, open_page: bool, fast: bool) -> None:
    """Run three mock models over a table of prompts: pictures, streamed poems, and one that sometimes fails.

    Pictures are saved as PNG files, results as Parquet (or CSV without pyarrow), and a page shows them all.
    Kill it half way and run it again: nothing is created twice. Run it once more: it costs nothing.
    """
    from replicate_kit.batch._runs.terminating import Terminated
    from replicate_kit.cli._commands.demo.display import summary
    from replicate_kit.cli._commands.demo.running import Folders
    from replicate_kit.cli._commands.demo.steps import prompts

    check_folder(out)
    folders, rows = Folders(out), prompts()
    try:
        outcomes = _run(folders, rows, fast=fast)
    except (KeyboardInterrupt, Terminated) as stop:
        stop.add_note("Run it again: it goes on where it stopped, and creates nothing twice.")
        raise
    page, table = _write(folders, rows, outcomes)
    summary(
        _show.console(), outcomes, [folders.pictures, table, page], _next_steps(page, open_page=open_page)
    )
    if open_page:
        click.launch(page.absolute().as_uri())


def _next_steps(page: Path, *, open_page: bool) -> list[str]:
    """Say what to do after this."""
    return [
        f"look at [bold]{page}[/]" + ("" if open_page else "  (--open does it for you)"),
        "run it again: nothing is created twice  (or kill it half way first)",
        f"your own table: replicate-kit map {_ON_BOTH} TABLE.csv --input prompt=COLUMN --backend mock",
        "the real thing: set REPLICATE_API_TOKEN, and leave out --backend",
    ]


def _run(folders: Folders, rows: list[Row], *, fast: bool) -> list[Outcome]:
    """Run the models one after the other."""
    from contextlib import nullcontext

    from replicate_kit.cli._commands.demo.display import Display
    from replicate_kit.cli._commands.demo.listening import listening
    from replicate_kit.cli._commands.demo.running import has_dataframes, open_client, run_step
    from replicate_kit.cli._commands.demo.steps import steps

    chosen, outcomes = steps(fast=fast), []
    of = "a DataFrame" if has_dataframes() else "a table"
    _show.console().print(
        f"[bold]{len(rows)} prompts[/] in {of}, [bold]{len(chosen)} models[/], no token, no network\n"
    )
    with open_client(folders) as client, Display(_show.console(), chosen, len(rows)) as display:
        for step in chosen:
            ears = listening(client, step.model, display.hear) if step.streams else nullcontext()
            with ears:
                outcomes.append(run_step(client, step, rows, folders, display.teller(step)))
            display.finish(outcomes[-1])
    return outcomes


def _write(folders: Folders, rows: list[Row], outcomes: Sequence[Outcome]) -> tuple[Path, Path]:
    """Write the table of results and the page; give their paths."""
    from importlib.util import find_spec

    from replicate_kit import gallery
    from replicate_kit.cli._tables.tables import write_rows

    table = folders.folder / ("results.parquet" if find_spec("pyarrow") else "results.csv")
    lines = [_line(row, outcomes, index) for index, row in enumerate(rows)]
    _show.remarks(write_rows(table, list(lines[0]), lines))
    groups = {outcome.step.title: outcome.results for outcome in outcomes}
    note = f"{len(rows)} prompts, {len(outcomes)} models, no token, no network: predictions ran on the mock."
    return gallery.write(folders.folder / "index.html", groups, title="replicate-kit demo", note=note), table


def _line(row: Row, outcomes: Sequence[Outcome], index: int) -> Row:
    """One row of the table: the prompt's own columns, and what each model made of it."""
    line = dict(row)
    for outcome in outcomes:
        result, makes = outcome.results[index], outcome.step.makes
        output = result.output[0] if outcome.step.saves and isinstance(result.output, list) else result.output
        line[makes] = output
        line[f"{makes}_status"] = result.status
        line[f"{makes}_error"] = None if result.error is None else str(result.error)
        line[f"{makes}_prediction"] = result.prediction_id
    return line
