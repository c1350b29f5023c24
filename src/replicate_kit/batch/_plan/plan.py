"""The plan: what a run would do and cost, known before anything is spent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from replicate_kit._formats.wording import counted, money, with_safe_repr
from replicate_kit.errors import InputError

if TYPE_CHECKING:
    pass

__all__ = ["SHOWN", "UNSAVED", "Plan", "Problem"]

SHOWN = 20  # problems of rows
UNSAVED = "the API removes output files an hour after they are made, and nothing saves them (save_to=)"
"""What is said of outputs that expire."""

_WORTH_SAYING = 60.0  # seconds that a run takes
_MANY = 100_000  # rows, from which on it is worth knowing on which disk they are


class Problem(NamedTuple):
    """What is wrong with a row: its position, and one line for each fault."""

    row: int
    message: str


@with_safe_repr
@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run would do. `cost` is the most it may cost, None where no price was given; `cost_with_retries` is the
    most if the service interrupts every prediction, and each is created again as often as `retries` allows.

    `rows` are all; `invalid` of them cannot be sent, and the first of those are in `problems`. The others are
    `distinct` predictions: `cached` of these are in the journal and free, `in_flight` were created before and
    are only waited for, `gone` have lost files that were stored on this machine and are looked up again, free,
    `to_pay` are to be created. `uploads` are the bytes of files to upload for those. `newer` is a version of the model
    that has come since the journal's was recorded; `pinned` is False for what cannot be held to a version.
    `no_files` says so where `save_to` will have nothing to store, going by the model's schema.
    `remark` says where the journal is kept if it could not be kept in its usual place.

    `fits` is how many of the predictions to pay are sure to be within the budget, whatever each of them costs, as the
    journal is now; None without a budget. Most cost less, so that more may be created.
    `seconds` is how long the creates take at least, at the rate that the account may create with. `spool` is the folder
    in which the rows wait, on disk or, as /tmp often is, in memory. `unsaved` says that the outputs to pay have files
    that nothing saves, `free` that the backend's predictions cost no money.
    """

    model: str
    pinned: bool
    rows: int = 0
    invalid: int = 0
    distinct: int = 0
    cached: int = 0
    in_flight: int = 0
    gone: int = 0
    to_pay: int = 0
    uploads: int = 0
    cost: float | None = None
    cost_with_retries: float | None = None
    fits: int | None = None
    newer: str | None = None
    journal: str | None = None
    remark: str | None = None
    no_files: str | None = None
    seconds: float = 0.0
    spool: str | None = None
    unsaved: bool = False
    free: bool = False
    problems: tuple[Problem, ...] = ()

    def __str__(self) -> str:
        """Say it in words."""
        lines = [
            f"{counted(self.rows, 'row')} of {self.model}: {counted(self.to_pay, 'prediction')} to pay, "
            f"{self.cached} in the journal, {self.in_flight} under way, {counted(self.invalid, 'invalid row')}"
        ]
        if self.gone:
            lines.append(
                f"{counted(self.gone, 'prediction')} with stored files that are gone: looked up again, free, and the "
                "files stored again if the API still has them"
            )
        valid = self.rows - self.invalid
        if self.distinct < valid:
            share = counted(valid - self.distinct, "row shares", "rows share")
            lines.append(f"{share} the prediction of an equal row (dedupe=True)")
        if self.uploads:
            lines.append(f"{self.uploads / 1e6:.1f} MB to upload")
        if self.cost is not None:
            lines.append(f"costs at most {money(self.cost)}")
        if self.cost_with_retries is not None and self.cost_with_retries != self.cost:
            lines[-1] += f", or {money(self.cost_with_retries)} if the service interrupts every prediction"
        lines += self._outlook()
        if self.newer:
            lines.append(f"there is a newer version, {self.newer} (refresh_version=True uses it)")
        if self.no_files:
            lines.append(self.no_files)
        if self.remark:
            lines.append(self.remark)
        if not self.pinned:
            lines.append("the model has no fixed version: its results may change with the model")
        return "\n".join([*lines, *(f"row {each.row}:\n{each.message}" for each in self.problems)])

    def _outlook(self) -> list[str]:
        """Say what fits, how long it takes, where the rows wait, and what becomes of the outputs, where that counts."""
        lines: list[str] = []
        if self.fits is not None and self.to_pay:
            fits = "all of these" if self.fits == self.to_pay else counted(self.fits, "prediction")
            lines.append(f"sure to fit into the budget: {fits}")
        if self.seconds >= _WORTH_SAYING:
            rate = self.to_pay / self.seconds * 60
            lines.append(
                f"takes at least {_duration(self.seconds)}: the account may create {rate:.5g} predictions a minute "
                "(creates_per_minute=)"
            )
        if self.unsaved:
            lines.append(UNSAVED)
        if self.free:
            lines.append(
                "predictions cost no money on this backend: those that a killed process leaves run again"
            )
        if self.spool is not None and self.rows >= _MANY:
            lines.append(f"the rows wait in {self.spool!r} (REPLICATE_KIT_SPOOL names another folder)")
        return lines

    def __repr__(self) -> str:
        first, _, _ = str(self).partition("\n")
        return f"<Plan: {first}>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Show all of it at IPython's prompt and in notebooks."""
        printer.text(str(self))

    def raise_for_problems(self) -> None:
        """Raise `InputError` that lists the invalid rows, if there are any."""
        if not self.invalid:
            return
        labels = [each.row for each in self.problems]
        raise InputError(self.refusal(labels, "Correct them, or pass errors='collect' to run the others."))

    def refusal(self, labels: Sequence[object], advice: str, *, part: str = "") -> str:
        """Say which rows cannot be sent, and what to do: the first of them, by these names of theirs.

        `part` is what a table is called that is one of several: others may have created rows.
        """
        listed = [f"row {label}:\n{each.message}" for label, each in zip(labels, self.problems, strict=False)]
        refused = f"{self.invalid} of {counted(self.rows, 'row')} cannot be sent to {self.model}"
        more = self.invalid - len(listed)
        rest = [f"and {more} more"] if more else []
        return "\n".join(
            [
                f"{refused}, so nothing{part and f' of this {part}'} was created:",
                *listed,
                *rest,
                advice,
            ]
        )


def _duration(seconds: float) -> str:
    """Say how long something takes.

    >>> [_duration(each) for each in (90, 7200, 100_000)]
    ['2 minutes', '2 hours', '28 hours']
    """
    if seconds < 5400:
        return counted(max(1, round(seconds / 60)), "minute")
    return counted(round(seconds / 3600), "hour")
