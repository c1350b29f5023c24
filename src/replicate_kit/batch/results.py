"""What a run gives for each row."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from replicate_kit import errors
from replicate_kit.batch.stored import lost_of, without
from replicate_kit.outputs import FileOutput
from replicate_kit.resources.predictions import Prediction

if TYPE_CHECKING:
    from replicate_kit.batch.database import Database
    from replicate_kit.batch.journal import Work
    from replicate_kit.resources.running import Runnable
    from replicate_kit.session import Session

__all__ = ["SELECT", "Result", "Results", "error_json"]

# `ready` is 0 while a row has no result, 1 where it had one before the run, 2 where the run has paid for it, 3 where
# the run has brought to its end what was paid for before.
SELECT = (
    "SELECT r.pos, r.input, r.problem, w.ready, i.state, i.status, i.output, i.stored, i.error, "
    "i.prediction_id, i.seconds, i.cost FROM run.rows AS r "
    "LEFT JOIN run.items AS w ON w.key = r.key AND w.sample = r.sample "
    "LEFT JOIN main.items AS i ON i.key = r.key AND i.sample = r.sample "
)

_PAID_ANEW = (
    "Another run pays for this row again, and has not come to its end yet. Run it again afterwards: what it gives is "
    "free then."
)


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of one row.

    `index` is its position in the inputs, counted from 0, and `input` what stood there. `output` is the
    model's: text joined to one, files as the URLs where they are (those of the copies, with `save_to`).
    `error` is None where all went well. `status` is the API's ("succeeded", "failed", "canceled", "aborted"),
    or "invalid", "rejected", "skipped", "unknown" or "expired" where there is no prediction to speak of.
    `seconds` is the running time that is billed, None where the API does not tell one that can be true; `cost` what
    it cost where a price was given, and the most that it may have cost where `seconds` is None. `cached` says
    that it was paid for before this run. `files` are the URLs of all files in the output. `output` and
    `files` of a row that has expired hold what is left of them.
    """

    index: int
    input: Any
    output: Any = None
    error: errors.ReplicateError | None = None
    status: str = ""
    prediction_id: str | None = None
    seconds: float | None = None
    cost: float | None = None
    cached: bool = False
    files: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class Results:
    """Makes results of what the tables hold."""

    db: Database
    runnable: Runnable
    session: Session
    source: Any = None

    async def so_far(self) -> list[Result]:
        """Give every result that there is, good or bad, in the order of the rows."""
        return await self._selected("WHERE r.problem IS NOT NULL OR w.ready > 0 ORDER BY r.pos")

    async def first_failure(self) -> errors.ReplicateError | None:
        """The error of the first row that failed in an earlier run, and is not paid for again."""
        found = await self._selected("WHERE w.ready = 1 AND i.error IS NOT NULL ORDER BY r.pos LIMIT 1")
        return found[0].error if found else None

    async def error_of(self, work: Work) -> errors.ReplicateError:
        """The error of a row that has one."""
        (result,) = await self._selected("WHERE r.pos = ?", work.pos)
        return result.error or errors.ReplicateError(f"Row {work.pos} failed.")

    async def _selected(self, which: str, *values: Any) -> list[Result]:
        """Read results."""
        rows = await self.db.do(lambda db: db.execute(SELECT + which, values).fetchall())
        return [self.of(row) for row in rows]

    def of(self, row: tuple[Any, ...]) -> Result:
        """Make the result of one row of `SELECT`."""
        pos, text, problem, ready, state, status, output, stored, error, id, seconds, cost = row
        input = self.input(pos, text)
        if problem is not None:
            fault = errors.InputError(f"Row {pos} cannot be sent, so nothing was created:\n{problem}")
            return Result(pos, input, error=fault, status="invalid")
        value, files = self._output(output, stored, state)
        failure = self._error(json.loads(error), id, status) if error else None
        if failure is None and state in ("intent", "created"):
            return Result(pos, input, error=errors.ReplicateError(_PAID_ANEW), status="skipped", cached=True)
        return Result(pos, input, value, failure, status or state, id, seconds, cost, ready != 2, files)

    def skipped(self, row: tuple[Any, ...], error: errors.ReplicateError) -> Result:
        """Make the result of a row that was left out."""
        return Result(row[0], self.input(row[0], row[1]), error=error, status="skipped")

    def input(self, pos: int, text: str) -> Any:
        """What stood in the inputs: the very object where it can be had again, else its JSON."""
        return json.loads(text) if self.source is None else self.source[pos]

    def _output(
        self, output: str | None, stored: str | None, state: str | None
    ) -> tuple[Any, tuple[str, ...]]:
        """Decode an output, and list its files: those that were stored, as far as they are still there."""
        if stored is not None and state in ("saved", "expired"):
            return _kept(stored, state == "expired")
        if output is None:
            return None, ()
        files: list[str] = []
        value = _plain(self.decoded({"output": json.loads(output)}), files)
        if state == "expired":
            return _left(value, files, {each for each in files if not each.startswith("data:")})
        return value, tuple(files)

    def decoded(self, prediction: Mapping[str, Any]) -> Any:
        """Give a prediction's output with its files as such, and the pieces of a text joined."""
        record = self.record(prediction)
        output = record.output
        if self.runnable.is_concatenated and isinstance(output, list):
            return "".join(str(piece) for piece in output)
        return output

    def record(self, prediction: Mapping[str, Any]) -> Prediction:
        """Make the record of a prediction, which knows its model's schema."""
        record = Prediction(prediction, self.session)
        record.schema = self.runnable.schema
        return record

    def _error(self, error: dict[str, Any], id: str | None, status: str | None) -> errors.ReplicateError:
        """Make the error again that was written down."""
        kind: Any = getattr(errors, error["kind"], errors.ReplicateError)
        message = error["message"]
        if status == "expired":  # the row's; the API's is what it was
            status = "succeeded"
        record = self.record({"id": id, "status": status, "error": message}) if id else None
        options: dict[str, Any] = {}
        if issubclass(kind, errors.APIError):
            options = {"status": error.get("status", 0), "body": error.get("body")}
        elif issubclass(kind, errors.PredictionError):
            options = {"prediction": record or self.record({})}
        failure: Any = kind(message, **options)
        failure.prediction = record
        return failure  # type: ignore[no-any-return]


def _kept(stored: str, expired: bool) -> tuple[Any, tuple[str, ...]]:
    """The output that was stored, and its files; where it has expired since, what is left of them."""
    kept = json.loads(stored)
    if not expired:
        return kept["output"], tuple(kept["files"])
    return _left(kept["output"], kept["files"], {each.url for each in lost_of(kept)})


def _left(value: Any, files: Sequence[str], gone: Set[str]) -> tuple[Any, tuple[str, ...]]:
    """What is left of an output, and of its files."""
    return without(value, gone), tuple(each for each in files if each not in gone)


def error_json(error: Exception) -> dict[str, Any]:
    """Write an error down."""
    if isinstance(error, errors.APIError):
        body = error.body if isinstance(error.body, dict | list | str) else None
        return {"kind": type(error).__name__, "message": str(error), "status": error.status, "body": body}
    kind = type(error).__name__ if isinstance(error, errors.ReplicateError) else "ReplicateError"
    return {"kind": kind, "message": str(error)}


def _plain(value: Any, files: list[str]) -> Any:
    """Make plain texts of files, and note them."""
    if isinstance(value, FileOutput):
        files.append(str.__str__(value))
        return files[-1]
    if isinstance(value, list):
        return [_plain(each, files) for each in value]
    if isinstance(value, dict):
        return {key: _plain(each, files) for key, each in value.items()}
    return value
