"""What the demo does: three models over one table of prompts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import as_file, files
from typing import Any

from replicate_kit.cli._tables.tables import Row, read_rows

__all__ = ["Step", "prompts", "steps"]


@dataclass(frozen=True)
class Step:
    """One model over the table. `makes` names its results, `columns` are inputs and the columns that fill them.

    `settings` are the same for every row.
    """

    model: str
    makes: str
    title: str
    columns: tuple[str, ...] = ("prompt",)
    settings: Mapping[str, Any] = field(default_factory=dict)
    saves: bool = False
    streams: bool = False

    def input(self, row: Row) -> dict[str, Any]:
        """The model's input for one row."""
        return {**{name: row[name] for name in self.columns}, **self.settings}


def steps(*, fast: bool) -> list[Step]:
    """The three models; `fast` asks them for less, for tests."""
    size = {"width": 48, "height": 36} if fast else {"width": 576, "height": 400}
    words = {"delay": 0.001 if fast else 0.06}
    return [
        Step("demo/painter", "picture", "Pictures", ("prompt", "style", "seed"), size, saves=True),
        Step("demo/poet", "poem", "Poems, streamed", ("prompt", "lines"), words, streams=True),
        Step(
            "demo/flaky", "answer", "Answers of a model that sometimes fails", settings={"failure_rate": 0.3}
        ),
    ]


def prompts() -> list[Row]:
    """Read the table that the package ships; numbers are numbers in it."""
    with as_file(files("replicate_kit.cli._commands.demo").joinpath("prompts.csv")) as path:
        rows = list(read_rows(path))
    return [{**row, "seed": int(row["seed"]), "lines": int(row["lines"])} for row in rows]
