"""What the demo shows: bars while it works, a poem as it is written, and a table in the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TaskID, TextColumn
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from replicate_kit.cli._commands.demo.steps import Step

if TYPE_CHECKING:
    from replicate_kit.batch import Progress
    from replicate_kit.cli._commands.demo.running import Outcome
    from replicate_kit.resources.predictions import Prediction

__all__ = ["Display", "summary"]


class Display:
    """Bars for the steps, and below them the words that are being streamed. A context manager."""

    def __init__(self, console: Console, steps: Sequence[Step], rows: int) -> None:
        self._bars = Bars(
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn("[bold]{task.description:<13}"),
            BarColumn(28, complete_style="cyan", finished_style="green"),
            MofNCompleteColumn(),
            TextColumn("{task.fields[state]}", style="dim"),
            console=console,
        )
        self._tasks = {
            step.model: self._bars.add_task(step.model, total=rows, start=False, state="") for step in steps
        }
        self._title, self._words = "", Text()
        self._live = Live(get_renderable=self._view, console=console, refresh_per_second=15)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)
        if not self._live.console.is_terminal:
            self._live.console.print()

    def teller(self, step: Step) -> Callable[[Progress], None]:
        """Make what is told how far a step is."""
        task = self._tasks[step.model]
        self._bars.start_task(task)

        def tell(progress: Progress) -> None:
            self._bars.update(task, completed=progress.done, state=_state(progress))

        return tell

    def finish(self, outcome: Outcome) -> None:
        """Show a step as done."""
        task: TaskID = self._tasks[outcome.step.model]
        state = _state(outcome.progress) if outcome.progress else ""
        self._bars.update(task, completed=len(outcome.results), state=state)

    def hear(self, prediction: Prediction, words: str) -> None:
        """Add words to what is being streamed."""
        self._title = f"{prediction.model} writes about {prediction.input.get('prompt')!r}"
        self._words.append(words)

    def _view(self) -> Group:
        """Everything as it is now."""
        poem = Panel(self._words, title=self._title, title_align="left", border_style="dim", width=72)
        return Group(self._bars, poem) if self._words else Group(self._bars)


def _state(progress: Progress) -> str:
    """Say in words what the bar cannot."""
    counts = (
        (progress.in_flight, "in flight"),
        (progress.created, "created"),
        (progress.cached, "from the journal"),
        (progress.failed, "failed"),
        (progress.skipped, "skipped"),
    )
    return ", ".join(f"{count} {what}" for count, what in counts if count)


def summary(
    console: Console, outcomes: Sequence[Outcome], written: Sequence[Path], next_steps: Sequence[str]
) -> None:
    """Print what happened, what there is to look at, and what to do next."""
    console.print(_table(outcomes))
    created = sum(outcome.created for outcome in outcomes)
    console.print(_NOTHING if created == 0 else _SHARED, end="\n\n")
    for path in written:
        console.print(Text.assemble(("  wrote ", "dim"), str(path)), soft_wrap=True)
    console.print()
    for step in next_steps:
        console.print(f"  [cyan]→[/] {step}", soft_wrap=True)


_SHARED = "  [dim]Two rows of the table are equal: they share their predictions.[/]"
_NOTHING = (
    "  [green]0 predictions were created:[/] earlier runs had paid for everything, and this one cost nothing."
)


def _table(outcomes: Sequence[Outcome]) -> Table:
    """Count what happened, a model a row."""
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    table.add_column("model")
    for name in ("rows", "created", "cached", "failed", "files", "seconds"):
        table.add_column(name, justify="right")
    for outcome in outcomes:
        counts = outcome.progress
        failed = sum(result.error is not None for result in outcome.results)
        cached = sum(result.cached for result in outcome.results)
        table.add_row(
            outcome.step.model,
            str(len(outcome.results)),
            str(outcome.created),
            str(cached),
            f"[red]{failed}[/]" if failed else "0",
            str(outcome.files) if outcome.files else "",
            f"{counts.seconds:.1f}" if counts else "",
        )
    return table
