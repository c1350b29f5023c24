"""What a run gives for each row."""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Sequence, Set
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from replicate_kit import errors
from replicate_kit._files.outputs import FileOutput, decode_output
from replicate_kit._formats.nesting import MOST_NESTED, is_nested_deeper, replace_leaves
from replicate_kit._formats.redacting import HIDDEN_INPUT, input_secrets, scrubbed, without_secrets
from replicate_kit._formats.wording import with_safe_repr
from replicate_kit._http.hiding import clean_error
from replicate_kit._runtime.foreign_code import described
from replicate_kit._unresolved.canonical import read
from replicate_kit.batch._ledger.stored import lost_of, without
from replicate_kit.batch._plan.spool import Row
from replicate_kit.resources.predictions import Prediction
from replicate_kit.tables import Rows

if TYPE_CHECKING:
    from replicate_kit._http.session import Session
    from replicate_kit.batch._ledger.entries import Entry, Key
    from replicate_kit.batch._ledger.protocol import Ledger
    from replicate_kit.batch._plan.spool import Item, Spool
    from replicate_kit.resources._running.running import Runnable

__all__ = ["Known", "Result", "Results", "error_json"]

log = logging.getLogger("replicate_kit")

_CHUNK = 256
_PAID_ANEW = (
    "Another run pays for this row again, and has not come to its end yet. Run it again afterwards: what it gives is "
    "free then."
)


@with_safe_repr
@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of one row.

    `index` is its position in the inputs, counted from 0, and `input` what stood there. `output` is the
    model's: text joined to one, files as the URLs where they are (those of the copies, with `save_to`).
    `error` is None where all went well. `status` is the API's ("succeeded", "failed", "canceled", "aborted"),
    or "invalid", "rejected", "skipped", "unknown" or "expired" where there is no prediction to speak of.
    `seconds` is the running time that is billed, None where the API does not tell one that can be true; `cost` what
    it cost where a price was given, and the most that it may have cost where `seconds` is None. `cached` says
    that it was, or may have been, paid for before this run. `files` are the URLs of all files in the output.
    `output` and `files` of a row that has expired hold what is left of them. `secret_inputs` are the names of inputs
    that the model's schema declares to be secret: `repr` and galleries show those, and others such as `api_key`, as
    `[secret]`.

    >>> Result(0, {"prompt": "sea", "api_key": "hunter2"}, "a poem").input["api_key"]
    'hunter2'
    >>> print(str(Result(0, {"prompt": "sea", "api_key": "hunter2"}, "a poem"))[:63])
    Result(index=0, input={'prompt': 'sea', 'api_key': '[secret]'},
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
    secret_inputs: frozenset[str] = field(default=frozenset(), repr=False, compare=False)

    def __repr__(self) -> str:
        shown = replace(self, input=without_secrets(self.input, self.secret_inputs))
        parts = [f"{each.name}={getattr(shown, each.name)!r}" for each in fields(self) if each.repr]
        secrets = input_secrets(self.input, self.secret_inputs)
        return scrubbed(f"{type(self).__name__}({', '.join(parts)})", secrets, HIDDEN_INPUT)


class Known(NamedTuple):
    """What the journal knows of a row's prediction: its id and status, its input as JSON, and its running time."""

    id: str | None
    status: str | None
    input: str = "{}"
    seconds: float | None = None

    @classmethod
    def of(cls, entry: Entry, input: str) -> Known:
        """Take it from an entry of a ledger."""
        return cls(entry.prediction_id, entry.status, input, entry.seconds)

    def json(self) -> dict[str, Any]:
        """Show it as the API shows predictions."""
        metrics = {} if self.seconds is None else {"predict_time": self.seconds}
        return {"id": self.id, "status": self.status, "input": json.loads(self.input), "metrics": metrics}


@with_safe_repr
@dataclass(frozen=True)
class Results:
    """Makes results of what the tables hold. What cannot be decoded is an error of its row, and of no other."""

    spool: Spool
    ledger: Ledger
    runnable: Runnable
    session: Session
    source: Any = None
    _warned: set[str] = field(default_factory=set)
    _decoded: list[Any] = field(default_factory=list)  # an entry, its output and its files

    async def so_far(self) -> list[Result]:
        """Give every result that there is, good or bad, in the order of the rows."""
        found: list[Result] = []
        while rows := await self.filled(self.spool.done(found[-1].index + 1 if found else 0, _CHUNK)):
            found += [self.of(row) for row in rows]
        return found

    @property
    def may_fail(self) -> bool:
        """Whether a row that went well may have an error yet: plugins decode its output."""
        return self.session.hooks.decodes

    async def first_failure(self) -> errors.ReplicateError | None:
        """The error of a row that failed in an earlier run, or that cannot be decoded, and is not paid for again."""
        if (row := self.spool.failed_before()) is not None:
            (filled,) = await self.filled([row])
            return self.of(filled).error
        position = 0 if self.may_fail else None
        while position is not None:
            rows = await self.filled(self.spool.known_before(position, _CHUNK))
            for each in rows:
                if (error := self.of(each).error) is not None:
                    return error
            position = rows[-1].pos + 1 if rows else None
        return None

    def error_of(self, item: Item) -> errors.ReplicateError | None:
        """The error of a row that has its result, None if it has none."""
        return self.of(self.spool.row(item.pos)).error

    async def stored(self, place: str) -> list[str]:
        """What is noted of the files of this run's rows that are stored there, by this run and by earlier ones."""
        found, position = list(self.spool.stored(place)), 0
        while rows := await self.filled(self.spool.known_before(position, _CHUNK)):
            position = rows[-1].pos + 1
            known = {each.key: each.entry for each in rows if each.entry is not None}.values()
            found += [
                each.stored
                for each in known
                if each.stored and (each.state, each.stored_in) == ("saved", place)
            ]
        return list(dict.fromkeys(found))

    async def filled(self, rows: list[Row]) -> list[Row]:
        """Give rows with their results: those that were known before the run are in the ledger."""
        asked = {each.key: None for each in rows if each.is_in_ledger and each.key is not None}
        if not asked:
            return rows
        found = await self.ledger.find(list(asked))
        if len(asked) == len(rows):  # as mostly: each has a key of its own
            return [Row(*row[:4], entry, row.key) for row, entry in zip(rows, found, strict=True)]
        entries: dict[Key | None, Entry | None] = dict(zip(asked, found, strict=True))
        # A row that is not asked for has what came of it in this run already.
        return [Row(*row[:4], entries.get(row.key, row.entry), row.key) for row in rows]

    def of(self, row: Row) -> Result:
        """Make the result of a row. Its error tells none of its secret inputs."""
        result = self._of(row)
        if result.error is not None:
            secrets = input_secrets(json.loads(row.input), self.runnable.secret_inputs)
            clean_error(result.error, secrets, HIDDEN_INPUT)
        return result

    def _of(self, row: Row) -> Result:
        """Make it."""
        pos, entry, secret = row.pos, row.entry, self.runnable.secret_inputs
        input = self.input(pos, row.input)
        if row.problem is not None:
            fault = errors.InputError(f"Row {pos} cannot be sent, so nothing was created:\n{row.problem}")
            return Result(pos, input, error=fault, status="invalid", secret_inputs=secret)
        # What was known before the run may be paid for again by another one, or forgotten, by now.
        if entry is None or entry.is_open:
            cached, anew = entry is not None and entry.is_known, errors.ReplicateError(_PAID_ANEW)
            return Result(pos, input, error=anew, status="skipped", cached=cached, secret_inputs=secret)
        cached = not row.is_paid_here and entry.is_known
        failure = self._error(json.loads(entry.error), Known.of(entry, row.input)) if entry.error else None
        try:
            value, files = self._shared(entry, row.input)
        except Exception as reason:
            known = Known.of(entry, row.input)
            value, files, failure = None, (), failure or self._undecodable(reason, known, entry.output)
        status, id = entry.status or entry.state, entry.prediction_id
        seconds, cost = entry.seconds, entry.cost
        return Result(pos, input, value, failure, status, id, seconds, cost, cached, files, secret)

    def skipped(self, row: Row, error: errors.ReplicateError) -> Result:
        """Make the result of a row that was left out."""
        input, secret = self.input(row.pos, row.input), self.runnable.secret_inputs
        return Result(row.pos, input, error=error, status="skipped", secret_inputs=secret)

    def input(self, pos: int, text: str) -> Any:
        """What stood in the inputs: the very object where it can be had again, else its JSON.

        A text is the input that it fills.
        """
        if self.source is not None:
            try:
                given = self.source[pos]
                return read(text) if isinstance(given, str) and text.startswith("{") else given
            except Exception as error:  # it is the caller's own, and may have become shorter meanwhile
                self._warn(f"the inputs (a {type(self.source).__name__}) raised {described(error)}")
        return read(text)

    def number(self, pos: int) -> int:
        """Which row of its table a row is: those with a null are left out of a run, and a run may be of a part."""
        return self.source.positions[pos] if isinstance(self.source, Rows) else pos

    def _warn(self, reason: str) -> None:
        """Say, once for a reason, that results hold the JSON of an input instead of the object that was passed."""
        if reason not in self._warned:
            self._warned.add(reason)
            log.warning("A result's input is given as JSON: %s", reason)

    def _shared(self, entry: Entry, input: str) -> tuple[Any, tuple[str, ...]]:
        """Decode an output once for equal rows, which mostly come one after the other: as long as nobody can change
        what they share.
        """
        if self._decoded and self._decoded[0] == entry:
            _, value, files = self._decoded
        else:
            self._decoded.clear()
            value, files = self._output(entry, input)
            if _can_be_shared(value):
                self._decoded.extend((entry, value, files))
        return (list(value) if isinstance(value, list) else value), files

    def _output(self, entry: Entry, input: str) -> tuple[Any, tuple[str, ...]]:
        """Decode an output, and list its files: those that were stored, as far as they are still there."""
        if entry.stored is not None and entry.state in ("saved", "expired"):
            return _kept(entry.stored, entry.state == "expired")
        if entry.output is None:
            return None, ()
        files: list[str] = []
        output = read(entry.output)
        if type(output) in _UNCHANGING and self._makes_no_files and not self.may_fail:
            return output, ()
        if self.may_fail:
            value = _plain(self.decoded(Known.of(entry, input), output), files)
        else:  # no plugin is to see a prediction and its files: of many rows these would be made in vain
            value = self._joined(self._noted(output, files))
        if entry.state == "expired":
            return _left(value, files, {each for each in files if not each.startswith("data:")})
        return value, tuple(files)

    @cached_property
    def _makes_no_files(self) -> bool:
        """Whether the model's schema says that there are no files in its outputs."""
        schema = self.runnable.schema
        return schema is not None and bool(schema.output) and not schema.has_files

    def decoded(self, known: Known, output: Any) -> Any:
        """Give a prediction's output with its files as such, and the pieces of a text joined."""
        return self._joined(self.record(known, output=output).output)

    def _noted(self, output: Any, files: list[str]) -> Any:
        """Note the files of an output, as the package itself decodes it."""

        def noted(url: str) -> str:
            files.append(url)
            return url

        return decode_output(output, self.runnable.schema, self.session.is_output_file, noted)

    def _joined(self, output: Any) -> Any:
        """Join the pieces of a text."""
        if self.runnable.is_concatenated and isinstance(output, list):
            return "".join(str(piece) for piece in output)
        return output

    def _undecodable(self, reason: Exception, known: Known, output: str | None) -> errors.ReplicateError:
        """The error of a row whose output is in the journal, and could not be decoded."""
        said = _message(reason)
        advice = (
            f"The output of the prediction {known.id} could not be decoded. It is paid for and in the journal: when "
            "this is mended, run it again with the same journal, and it is free."
        )
        failure: errors.ReplicateError
        if isinstance(reason, errors.PluginError):
            failure = errors.PluginError(f"{said}\n{advice}", plugin=reason.plugin, hook=reason.hook)
        elif isinstance(reason, errors.ReplicateError):
            failure = copy.copy(reason)  # a plugin may raise one and the same for several rows
            failure.__notes__ = [*getattr(reason, "__notes__", ()), advice]
        else:
            failure = errors.ReplicateError(f"{advice} ({said})")
        failure.__cause__ = reason.__cause__ if isinstance(reason, errors.ReplicateError) else reason
        failure.prediction = self.record(known, output=_parsed(output))
        return failure

    def record(self, known: Known, **rest: Any) -> Prediction:
        """Make the record of a prediction, which knows its model and its schema."""
        target = self.runnable.reference
        of = {"model": target.model, "version": target.version}
        record = Prediction({**known.json(), **of, **rest}, self.session)
        record.schema = self.runnable.schema
        return record

    def _error(self, error: dict[str, Any], known: Known) -> errors.ReplicateError:
        """Make the error again that was written down."""
        kind: Any = getattr(errors, error["kind"], errors.ReplicateError)
        message = error["message"]
        if known.status == "expired":  # the row's; the API's is what it was
            known = known._replace(status="succeeded")
        failure: errors.ReplicateError
        if issubclass(kind, errors.APIError):
            failure = kind(message, status=error.get("status", 0), body=error.get("body"))
        else:  # not by its constructor: each takes something else besides the message
            failure = kind.__new__(kind, message)
            failure.args = (message,)
        if issubclass(kind, errors.PluginError):
            vars(failure).update(plugin=error.get("plugin"), hook=error.get("hook"))
        if known.id or issubclass(kind, errors.PredictionError):
            failure.prediction = self.record(known, error=message)
        return failure


def _can_be_shared(value: Any) -> bool:
    """Whether an output is a text or the like, or a flat list, of which each row gets its own."""
    if type(value) is list:
        return all(type(each) in _UNCHANGING for each in value)
    return type(value) in _UNCHANGING


_UNCHANGING = frozenset({str, int, float, bool, type(None)})


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
    written: dict[str, Any] = {"kind": _kind(error), "message": _message(error)}
    if isinstance(error, errors.APIError):
        is_plain = isinstance(error.body, dict | list | str) and not is_nested_deeper(error.body, MOST_NESTED)
        written |= {"status": error.status, "body": error.body if is_plain else None}
    if isinstance(error, errors.PluginError):
        written |= {"plugin": error.plugin, "hook": error.hook}
    return written


def _kind(error: Exception) -> str:
    """The kind of an error by which it can be made again; of one that is not ours, the nearest that is."""
    ours = (each for each in type(error).__mro__ if issubclass(each, errors.ReplicateError))
    names = (each.__name__ for each in ours if getattr(errors, each.__name__, None) is each)
    return next(names, "ReplicateError")


def _message(error: Exception) -> str:
    """What an error says; of what is not ours, its kind too, for many say nothing without it."""
    return str(error) if isinstance(error, errors.ReplicateError) else described(error)


def _parsed(output: str | None) -> Any:
    """The JSON of an output, if it is any."""
    try:
        return None if output is None else json.loads(output)
    except (ValueError, RecursionError):
        return None


def _plain(value: Any, files: list[str]) -> Any:
    """Make plain texts of files, and note them."""

    def plain(leaf: Any) -> Any:
        if not isinstance(leaf, FileOutput):
            return leaf
        files.append(str.__str__(leaf))
        return files[-1]

    return replace_leaves(value, plain)
