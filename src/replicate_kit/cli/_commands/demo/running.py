"""Running a step: through the dataframe's accessor where pandas is installed, else straight through the client."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from replicate_kit.cli._commands.demo.steps import Step
from replicate_kit.cli._tables.tables import Row
from replicate_kit.tables import col

if TYPE_CHECKING:
    from replicate_kit.batch import Progress, Result
    from replicate_kit.client import Client

__all__ = ["Folders", "Outcome", "has_dataframes", "open_client", "run_step"]


@dataclass(frozen=True)
class Folders:
    """The folder that the demo writes to, and what is in it."""

    folder: Path

    @property
    def state(self) -> Path:
        """Where the mock keeps its predictions, as the service would: they outlive this process."""
        return self.folder / ".replicate-kit" / "simulator"

    @property
    def journal(self) -> Path:
        """Where we keep what was paid for."""
        return self.folder / ".replicate-kit" / "journal.sqlite"

    @property
    def pictures(self) -> Path:
        """Where files go."""
        return self.folder / "pictures"


@dataclass
class Outcome:
    """What came of a step: the results in the order of the rows, and the counts at its end."""

    step: Step
    results: list[Result] = field(default_factory=list)
    progress: Progress | None = None

    @property
    def files(self) -> int:
        """How many files its rows have; rows that are alike share theirs."""
        return len({file for result in self.results for file in result.files})

    @property
    def created(self) -> int:
        """How many predictions were paid for now."""
        return self.progress.created if self.progress else 0


@contextlib.contextmanager
def open_client(folders: Folders) -> Iterator[Client]:
    """Give a client of a simulator whose predictions survive us."""
    from replicate_kit.client import Client
    from replicate_kit.simulator import Simulator, install

    try:
        simulator = install(Simulator(state=folders.state))
    except RuntimeError as error:  # another demo is at work here
        raise click.ClickException(f"{error} (--out names another.)") from error
    try:
        with Client(backend=simulator, poll_interval=0.05) as client:
            yield client
    finally:
        simulator.close()


def run_step(
    client: Client, step: Step, rows: list[Row], folders: Folders, told: Callable[[Progress], None]
) -> Outcome:
    """Run one model over the rows; tell how far it is."""
    outcome = Outcome(step)

    def tell(progress: Progress) -> None:
        outcome.progress = progress
        told(progress)

    options: dict[str, Any] = {
        "journal": folders.journal,
        "save_to": str(folders.pictures) if step.saves else None,
        "progress": tell,
        "retries": 0,
        "stems": lambda index, input: f"{index + 1:02d} {input['prompt']}",
    }
    through = _through_dataframe if has_dataframes() else _through_client
    outcome.results = sorted(through(client, step, rows, options), key=lambda result: result.index)
    return outcome


def has_dataframes() -> bool:
    """Whether pandas and its accessor are installed."""
    try:
        return hasattr(import_module("pandas").DataFrame, "replicate")
    except ImportError:
        return False


def _through_dataframe(
    client: Client, step: Step, rows: list[Row], options: dict[str, Any]
) -> Iterator[Result]:
    """Run the model over a DataFrame, as a notebook would."""
    frame = import_module("pandas").DataFrame(rows)  # asked for by name: it is none of our dependencies
    input = {**{name: col(name) for name in step.columns}, **step.settings}
    for _, result in frame.replicate.iter(step.model, input, client=client, **options):
        yield result


def _through_client(client: Client, step: Step, rows: list[Row], options: dict[str, Any]) -> Iterator[Result]:
    """Run the model over the rows without pandas."""
    with client.map(step.model, [step.input(row) for row in rows], **options) as results:
        yield from results
