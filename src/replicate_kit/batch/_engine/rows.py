"""One row, from what the ledger knows of it to its result.

What is known of a row is an entry of the ledger. Each step does what that asks for, records what came of it, and gives
the entry as it then is; so a row that is new, resumed, adopted or tried again takes the same way.
"""

from __future__ import annotations

import enum
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from replicate_kit import errors
from replicate_kit._unresolved.matching import misfit
from replicate_kit.batch._engine.creates import (
    SentCreate,
    TooLate,
    check_in_time,
    intent_of,
    left_open,
    sent_at,
)
from replicate_kit.batch._engine.patience import PASSING
from replicate_kit.batch._engine.poller import is_over
from replicate_kit.batch._engine.state import Stopped, first_of
from replicate_kit.batch._ledger.entries import (
    Confirmed,
    Created,
    Disowned,
    Ended,
    Entry,
    Expired,
    Key,
    Refused,
    Saved,
    Withdrawn,
)
from replicate_kit.batch._ledger.hashing import without_inputs
from replicate_kit.batch._plan.steps import Rules, Step, as_it_is, next_step
from replicate_kit.batch._results.outcomes import (
    ACCOUNT,
    Failure,
    Outcome,
    dumped,
    failure_of,
    lost,
    outcome_of,
)
from replicate_kit.batch._results.results import error_json
from replicate_kit.records import json_of, parse_time
from replicate_kit.resources.predictions import Prediction

if TYPE_CHECKING:
    from replicate_kit.batch._engine.pace import Pace, Slot
    from replicate_kit.batch._engine.patience import Patience
    from replicate_kit.batch._engine.poller import Poller
    from replicate_kit.batch._engine.reconciler import Reconciler
    from replicate_kit.batch._engine.recorder import Recorder
    from replicate_kit.batch._engine.requests import Requests
    from replicate_kit.batch._engine.state import RunState
    from replicate_kit.batch._money.meter import Meter
    from replicate_kit.batch._plan.files import Uploads
    from replicate_kit.batch._plan.spool import Item
    from replicate_kit.batch._results.progress import Tally
    from replicate_kit.batch._results.saver import Saver
    from replicate_kit.resources._running.running import Runnable

__all__ = ["Rows"]

JSON = dict[str, Any]

_OF_ALL_ROWS = (errors.JournalError, *ACCOUNT)  # what no row can do anything about
_FIRST_PAUSE = 0.5  # seconds from which the pause between attempts grows, where nobody asked for another one
_ELSEWHERE = 0.5  # seconds between two looks at what another run has


class _Given(enum.Enum):
    """What a step gives when the row has its result."""

    YES = enum.auto()


@dataclass(slots=True, eq=False)
class _Way:
    """What the task of one row remembers on its way.

    `paid_here` says that this run has sent its create, which is `sent` while its outcome is unknown. `earlier` is the
    prediction that it had when another run was about to create one. `canceling` says that we have canceled it, or an
    earlier run of ours has. `created` is when this run created it, on the clock of `time.monotonic`. `known` is what it
    was when its output was looked at again.
    """

    item: Item
    slot: Slot
    attempts: int = 0
    paid_here: bool = False
    earlier: str | None = None
    canceling: bool = False
    sent: SentCreate | None = None
    created: float | None = None
    known: Entry | None = None

    @property
    def key(self) -> Key:
        """The key of the row."""
        return self.item.key


@dataclass(kw_only=True)
class Rows:
    """What is done for a row: obtain its prediction, wait for its outcome, write it down, store its files.

    `done` is called with each row that has its result, and whether this run has paid for it. `owners` are the
    predictions of this run by their ids, noted before they are recorded: of two rows one gets a prediction, and the
    other goes on looking for its own. Where it does not `wait`, a row whose prediction has not ended is left.
    """

    runnable: Runnable
    rules: Rules
    retries: int
    deadline: int
    meter: Meter
    keeps_inputs: bool
    state: RunState
    pace: Pace
    patience: Patience
    requests: Requests
    recorder: Recorder
    poller: Poller
    reconciler: Reconciler
    uploads: Uploads
    saver: Saver
    tally: Tally
    done: Callable[[Item, Entry, bool], None]
    owners: dict[str, SentCreate]
    label: str | None = None
    wait: bool = True
    creating: int = 0

    async def bring(self, item: Item, slot: Slot, *, known: bool) -> None:
        """Bring a row to its result; one that is not known to the ledger is created. A run that stops leaves it."""
        way = _Way(item, slot)
        with slot:
            try:
                found: Entry | _Given | None = await self._found(way) if known else None
                while not isinstance(found, _Given):
                    found = await self._step(way, found)
            except Stopped:
                pass

    async def _step(self, way: _Way, entry: Entry | None) -> Entry | _Given | None:
        """Do what is next."""
        step = next_step(entry, self.rules)
        if step is Step.CREATE:
            self._settle_others(way, entry)
            return await self._create(way, entry)
        assert entry is not None
        match step:
            case Step.TAKE_OVER:
                return await self._taken_over(way)
            case Step.WAIT:
                return await self._elsewhere(way, entry)
            case Step.SEARCH:
                return await self._search(way, entry)
            case Step.CONFIRM:
                return await self._confirmed(way, entry)
            case Step.ATTACH:
                return await self._attached(way, entry)
        self._settle_others(way, entry)
        if step is Step.CHECK:
            return await self._checked(way, entry)
        if step is Step.SAVE:
            entry = await self.saver.save(way.item, entry)
        return self._give(way, entry)

    # What the ledger says.

    async def _found(self, way: _Way) -> Entry | None:
        """Read what is known of a row."""
        return await self._read(await self.recorder.find(way.key))

    async def _read(self, entry: Entry | None) -> Entry | None:
        """See an entry as the disk has it; files that have come back are written down.

        So is that a saved row has no error: that another run could not store it elsewhere is nothing to this one.
        """
        if entry is None:
            return None
        now = as_it_is(entry)
        if now.state == "saved" and (now != entry or now.error is not None):
            await self.recorder.record(Saved(now.key, now.stored or "", now.stored_in or ""))
            return now._replace(error=None)
        return now

    async def _taken_over(self, way: _Way) -> Entry | None:
        """Take what a dead run has left open."""
        entry = await self._read(await self.recorder.take_over(way.key))
        if entry is not None and entry.is_open and entry.holder == "ours":
            way.sent, way.canceling = None, entry.status == "canceling"
        return entry

    async def _elsewhere(self, way: _Way, entry: Entry | None) -> Entry | None:
        """Wait until another run does not have the row any more; that holds nobody up."""
        way.slot.park()
        while next_step(entry, self.rules) is Step.WAIT:
            assert entry is not None
            if entry.state == "intent":
                way.earlier = way.earlier or entry.prediction_id
            await first_of(self.state.stopping, _ELSEWHERE)
            self._check_goes_on()
            entry = await self._found(way)
        way.slot.resume()
        return entry

    def _check_goes_on(self) -> None:
        """Leave the row if the run stops."""
        if self.state.stopped:
            raise Stopped

    # How a row gets its prediction.

    async def _create(self, way: _Way, entry: Entry | None) -> Entry | _Given | None:
        """Fill in the files, claim the row, and create."""
        if not way.slot.may_create:
            await self.pace.again(way.slot, self._pause(way.attempts) if way.attempts else 0.0)
        try:
            # What a function of the user's raises is known before it costs anything.
            self.saver.named(way.item)
            # Files are uploaded before the claim. That may take minutes, and costs nothing if the process dies; the
            # time in which the server may act on the create is counted from the claim on.
            input, fingerprint = await self.uploads.filled(way.item.input)
        except PASSING as error:
            way.slot.not_needed()
            self.requests.creates.pause(self.patience.happened(error))
            return entry
        except _OF_ALL_ROWS:
            raise
        except (errors.APIError, errors.InputError, errors.PluginError, OSError) as error:
            way.slot.not_needed()  # its file, or who reads or takes it
            return await self._refused(way, error, "canceled")
        if not self.requests.knows_time:
            await self._compare_clocks()
        self._check_goes_on()
        self.creating += 1
        try:
            found = await self._claimed(way, input, fingerprint)
        finally:
            self.creating -= 1
            if self.state.stopped:  # then the end of the run waits for it
                self.state.wake()
        return await self._noted(way, found) if isinstance(found, Prediction) else found

    async def _compare_clocks(self) -> None:
        """See the server's clock before anything is created; a service that does not answer is asked again."""
        while not (self.requests.knows_time or self.state.stopped):
            try:
                await self.requests.compare_clocks()
            except errors.TransportError as error:
                await first_of(self.state.stopping, self.patience.happened(error))

    async def _claimed(
        self, way: _Way, input: JSON, fingerprint: bytes
    ) -> Prediction | Entry | _Given | None:
        """Note the intent, then create, unless the run is stopped meanwhile. Gives the prediction, if there is one."""
        requests, clocks, settling = self.requests, self.requests.clocks, self.requests.settling
        claimed_at = clocks.now()
        # The intent is in the ledger when this comes back, and only then is the create sent. A process that dies in
        # between leaves an intent, for which the next run looks in the API before it pays. In the other order it would
        # leave a prediction that nobody knows of, and the next run would pay for the row again.
        entry = await self.recorder.claim(intent_of(way.item, fingerprint, claimed_at, clocks, settling))
        if entry is not None:
            way.slot.give_token_back()
            # Else it is paid for by this budget, whoever has created it.
            if not self.pace.budget.counts_others:
                way.slot.release()
            return await self._read(entry)
        # While the intent was written, somebody may have stopped the run, or the journal may have been lost: then
        # nothing is sent any more.
        if self.state.stopped:
            way.slot.not_needed()
            return await self._withdrawn(way)
        way.paid_here, way.sent = True, sent_at(clocks.now(), way.item, fingerprint, clocks, settling)
        way.created, hold, began = None, self.poller.is_quick, time.monotonic()
        try:
            prediction = await requests.create(
                self.runnable.reference,
                input,
                way.slot.use_token(),
                hold=hold,
                deadline=self.deadline,
                last_check=partial(self._check_in_time, claimed_at),
            )
        except TooLate:
            # As the process was stopped, or the ledger cannot be reached, or what sees each request has taken so long.
            self.pace.creates.give_back()
            self.pace.creates.pause(_ELSEWHERE)
            return await self._withdrawn(way)
        except errors.ReplicateError as error:
            return await self._not_created(way, error)
        self.patience.is_over()
        self.tally.created += 1
        # An answer that was held came later than its prediction.
        way.created = began if hold else time.monotonic()
        return prediction

    def _check_in_time(self, claimed_at: float) -> None:
        """Raise `TooLate` where a create that was claimed then must not be sent any more."""
        check_in_time(claimed_at, self.requests.clocks.now(), self.recorder.lease, self.requests.longest)

    async def _noted(self, way: _Way, prediction: Prediction) -> Entry | _Given | None:
        """Write down whose prediction it is; if another row was faster to take it, ours is to be found."""
        assert way.sent is not None
        if self.owners.setdefault(prediction.id, way.sent) is not way.sent:
            return self._intent(way)
        prediction.label = self.label
        self.requests.session.hooks.prediction_created(prediction)
        json = json_of(prediction)
        if is_over(json):
            return await self._ended(way, json)
        if not await self.recorder.record(Created(way.key, prediction.id)):
            return await self._found(way)
        way.sent = None
        return await self._awaited(way, prediction)

    def _intent(self, way: _Way) -> Entry:
        """What the ledger has of a create whose outcome is unknown."""
        assert way.sent is not None
        return Entry(way.key, "intent", "ours", fingerprint=way.sent.fingerprint)

    async def _search(self, way: _Way, entry: Entry) -> Entry | _Given | None:
        """Wait until it is known what became of a create; that holds nobody up."""
        if way.sent is None:
            way.sent = left_open(way.item, entry, self.requests.clocks, self.requests.settling)
        way.slot.park()
        finding = await self.reconciler.look_for(way.sent)
        way.slot.resume()
        if finding.prediction is not None:
            return await self._noted(way, self.requests.predictions.load(finding.prediction))
        if finding.outcome == "absent":
            return await self._withdrawn(way)
        why = "its prediction cannot be found" if self.requests.lists else "this backend lists no predictions"
        return await self._over(way, None, lost(way.key, f"A create was sent and not answered, and {why}."))

    async def _attached(self, way: _Way, entry: Entry) -> Entry | _Given | None:
        """Wait for a prediction that the ledger knows of."""
        assert entry.prediction_id is not None
        way.canceling = way.canceling or entry.status == "canceling"
        prediction = Prediction({"id": entry.prediction_id}, self.requests.session)
        prediction.label = self.label
        self.owners.setdefault(prediction.id, left_open(way.item, entry, self.requests.clocks, 0.0))
        return await self._awaited(way, prediction)

    async def _confirmed(self, way: _Way, entry: Entry) -> Entry | _Given | None:
        """See whether the prediction that somebody settled the row with is that row's; else it is unknown again."""
        id = entry.prediction_id or ""
        try:
            found = await self.patience.repeat(partial(self.requests.get, id))
        except (errors.NotFound, errors.PermissionDenied) as error:
            fault: str | None = f"the API does not know it ({error})"
        else:
            fault = misfit(self.runnable.reference, way.item.input, found, self.runnable.schema)
            if fault is None:
                await self.recorder.record(Confirmed(way.key, id))
                return entry._replace(status=None)
        outcome = lost(
            way.key,
            f"The row was settled with the prediction {id}, which is not its own: {fault}. Settle it with another one, "
            "or with this one and check=False if it is the right one all the same.",
        )
        said = self._written(way, outcome.error)
        if not await self.recorder.record(Disowned(way.key, id, said, time.time())):
            return await self._found(way)
        way.slot.settle(None, ours=False)
        return self._give(way, Entry(way.key, "unknown", status="unknown", error=said))

    # What came of it.

    async def _not_created(self, way: _Way, error: errors.ReplicateError) -> Entry | _Given | None:
        """See to a create that failed, by what that means."""
        assert way.sent is not None
        failure = failure_of(error)
        if failure is Failure.REFUSED:
            way.slot.release()
            return await self._refused(way, error, "failed")
        # A 429 has closed the bucket and narrowed the window already, and does not tell of a service that is down.
        if failure in (Failure.LATER, Failure.UNRESOLVED) and not isinstance(error, errors.RateLimited):
            self.pace.window.overloaded()
            try:
                self.requests.creates.pause(self.patience.happened(error))
            except (
                errors.ReplicateError
            ) as reason:  # patience has run out; what was sent is looked for all the same
                self.state.fail(reason)
        if failure is Failure.UNRESOLVED:
            # The intent stays, and so does what is reserved for it: there may be a prediction that costs.
            way.sent = way.sent.gave_up(self.requests.clocks, self.requests.timeout)
            return self._intent(way)
        if failure is Failure.OF_ALL:
            self.state.fail(error)
        return await self._withdrawn(way)

    async def _withdrawn(self, way: _Way) -> Entry | None:
        """Take note that a create certainly came to nothing: the row is again what it was before."""
        await self.recorder.record(Withdrawn(way.key))
        way.paid_here, way.sent = False, None  # another run may pay for it now
        way.slot.release()
        self._check_goes_on()
        # The ledger says what is next: another run may have the row by now, or it is failed, unknown or expired as it
        # was before the intent.
        return await self._found(way)

    async def _refused(
        self, way: _Way, error: Exception, state: Literal["failed", "canceled"]
    ) -> Entry | _Given | None:
        """Give a row that was not accepted its error, unless another run has it."""
        said = self._written(way, error_json(error))
        way.paid_here, way.sent = False, None
        is_ours = await self.recorder.record(Refused(way.key, way.item.input, state, said))
        entry = await self._found(way)
        return self._give(way, entry) if is_ours and entry is not None else entry

    async def _awaited(self, way: _Way, prediction: Prediction) -> Entry | _Given | None:
        """Wait until a prediction has ended, and write down how."""
        try:
            if not self.wait and not is_over(
                await self.patience.repeat(partial(self.requests.get, prediction.id))
            ):
                raise Stopped
            json = await self.poller.ended(prediction, way.created)
        except errors.NotFound as error:
            # It had an id, so that it was created and may have cost. To pay for another one is not ours to decide.
            said = f"The API does not know the prediction any more ({error})."
            return await self._over(way, prediction.id, lost(way.key, said))
        return await self._ended(way, json)

    async def _ended(self, way: _Way, json: JSON) -> Entry | _Given | None:
        """Write down how a prediction ended; another one is created where that is right."""
        way.slot.leave_window()
        outcome = outcome_of(json, ours=way.canceling or self.state.canceling)
        again, (cost, used) = outcome.state == "canceled", self._paid(way, json["id"], outcome)
        if outcome.again and way.attempts >= self.retries and not self.state.stopped:
            again = False  # what never began, the next run may create again
            if outcome.status != "aborted":
                outcome = outcome._replace(state="failed")
        # Its own: the reference that runs may be a version's id or a deployment, which tells no model.
        model = json.get("model") or self.runnable.reference.model
        found = await self._over(
            way, json["id"], outcome, cost, self._since_end(json), used, model=model, again=again
        )
        if not again or isinstance(found, _Given):
            return found
        self.tally.canceled += not outcome.again
        self._check_goes_on()
        way.attempts += outcome.again
        way.canceling = way.paid_here = False
        return found

    async def _over(
        self,
        way: _Way,
        id: str | None,
        outcome: Outcome,
        cost: float | None = None,
        ago: float = 0.0,
        used: Mapping[str, float] | None = None,
        *,
        model: str | None = None,
        again: bool = False,
    ) -> Entry | _Given | None:
        """Write down an outcome, and unless the row is created again, store its files and give its result."""
        way.slot.leave_window()
        error = None if outcome.error is None else self._written(way, outcome.error)
        event = Ended(
            way.key,
            id,
            "finished" if outcome.state == "expired" else outcome.state,
            "succeeded" if outcome.state == "expired" else outcome.status,
            dumped(outcome.output),
            None if outcome.state == "expired" else error,
            outcome.seconds,
            cost,
            time.time() - ago,
            used or {},
        )
        recorded = self.recorder.record(event)
        if outcome.state == "expired":
            await self.recorder.record(Expired(way.key, error or ""))
        if not await recorded:
            return await self._found(way)  # it is not ours any more, or belongs to another row
        if cost is not None:
            self.requests.session.hooks.prediction_charged(id, model, cost, self.label)
        way.sent = None
        self.owners.pop(id or "", None)  # the ledger knows now; a run may have millions of rows
        way.slot.settle(None, ours=way.paid_here)  # unless it was done: what it cost cannot be known any more
        found: Any = {
            "state": outcome.state,
            "prediction_id": id,
            "status": outcome.status,
            "output": event.output,
            "error": error,
            "finished_at": event.finished_at,
        }
        if way.known is None:
            entry = Entry(way.key, **found, seconds=outcome.seconds, cost=cost)
        else:
            entry = way.known._replace(**found)
        if again:
            return entry
        if outcome.state == "finished" and self.saver.wanted:
            entry = await self.saver.save(way.item, entry, model)
        return self._give(way, entry)

    async def _checked(self, way: _Way, entry: Entry) -> Entry | _Given | None:
        """See whether the output of what has finished long ago is still there."""
        id = entry.prediction_id or ""
        try:
            json = await self.patience.repeat(partial(self.requests.get, id))
            if outcome_of(json, ours=False).state != "expired":
                way.known = entry
                return await self._awaited(way, Prediction(json, self.requests.session))
        except errors.NotFound:
            pass
        return self._give(way, await self.saver.expired(way.item, entry))

    def _give(self, way: _Way, entry: Entry) -> _Given:
        """Hand over a result."""
        self.saver.done(way.item)
        self.done(way.item, entry, way.paid_here)
        return _Given.YES

    # Money, and what is written down.

    def _paid(self, way: _Way, id: str, outcome: Outcome) -> tuple[float | None, Mapping[str, float]]:
        """Note what a prediction cost, and give it, with what it used of metrics."""
        if outcome.status == "aborted":  # it never began: that is not billed
            self.pace.window.overloaded()  # more was in the queue than was worked off in time
            way.slot.release()
            return None, {}
        if outcome.seconds is not None:
            self.poller.took(outcome.seconds)
            self.pace.window.ended()
        used = self.meter.read(id, outcome.metrics)
        way.slot.settle(outcome.seconds, used, ours=way.paid_here)
        return self.meter.charge(outcome.seconds, used), used

    def _settle_others(self, way: _Way, entry: Entry | None) -> None:
        """Replace what was set aside by what the prediction cost that another run has seen end, if there is one."""
        if not way.slot.reserved or way.slot.may_create or way.paid_here:
            return
        if entry is not None and entry.is_billed and entry.prediction_id != (way.earlier or ""):
            way.slot.settle(entry.seconds, ours=False)
        else:
            way.slot.release()

    def _since_end(self, json: JSON) -> float:
        """Seconds since a prediction has ended, at the least that the server's clock tells."""
        ended = parse_time(json.get("completed_at"))
        return 0.0 if ended is None else max(0.0, self.requests.clocks.earliest() - ended.timestamp())

    def _written(self, way: _Way, error: JSON | None) -> str:
        """What is written down of an error, which may quote the row's input."""
        return dumped(error if self.keeps_inputs else without_inputs(error, way.item.input)) or ""

    def _pause(self, attempts: int) -> float:
        """Seconds until another attempt, with full jitter. No pause between looks is none between attempts."""
        shortest = self.poller.poll_interval or _FIRST_PAUSE
        return random.uniform(0.0, min(30.0, shortest * 2.0**attempts))
