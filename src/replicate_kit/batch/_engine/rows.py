"""One row from its claim to its end."""

from __future__ import annotations

import random
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from replicate_kit import errors
from replicate_kit._unresolved.canonical import fingerprint
from replicate_kit._unresolved.matching import misfit
from replicate_kit.batch._engine.calls import patiently
from replicate_kit.batch._engine.endings import (
    ACCOUNT,
    Fate,
    ending_of,
    expired,
    fate_of,
    is_transient,
    lost,
    refused,
)
from replicate_kit.batch._engine.flow import first_of
from replicate_kit.batch._ledger.journal import Claim, Ending, Work
from replicate_kit.batch._plan.files import Uploads

if TYPE_CHECKING:
    from replicate_kit.batch._engine.limits import Ticket
    from replicate_kit.batch._engine.setup import Setup

__all__ = ["Rows"]

JSON = dict[str, Any]

# What may have passed when an upload is tried again, which costs nothing; and what no row can do anything about.
_TRANSIENT = (errors.TransportError, errors.ServerError, errors.RateLimited)
_OF_ALL_ROWS = (errors.JournalError, *ACCOUNT)
_FIRST_PAUSE = (
    0.5  # seconds from which the pause between attempts grows, where predictions are looked at without any
)


class Rows:
    """What is done for a row: obtain its prediction, wait for its end, write it down, store its files."""

    def __init__(self, setup: Setup) -> None:
        self._setup, self._flow = setup, setup.flow
        self._db, self._journal, self._calls = setup.db, setup.journal, setup.calls
        self._uploads = Uploads(setup.job.session, setup.db, setup.runnable.schema)

    async def resume(self, work: Work) -> None:
        """Bring a row that the journal knows of to its end."""
        await self._while_in_flight(work, self._taken_up(work))

    async def create(self, work: Work, ticket: Ticket) -> None:
        """Create a row's prediction in its turn, and bring it to its end."""
        await self._while_in_flight(work, self._created(work, ticket))

    async def adopted(self, work: Work, prediction: JSON) -> None:
        """Bring a row to its end whose prediction was found."""
        await self._while_in_flight(work, self._noted(work, prediction))

    async def _while_in_flight(self, work: Work, obtaining: Awaitable[JSON | None]) -> None:
        """Hold a place in the window until the prediction has ended, and no longer."""
        prediction: JSON | None = None
        try:
            prediction = await obtaining
            if prediction is not None:
                prediction = await self._ended(work, prediction)
        finally:
            self._setup.window.in_flight -= 1
            self._flow.wake()
        if prediction is not None:
            await self._settle(work, prediction)

    async def _ended(self, work: Work, prediction: JSON) -> JSON | None:
        """Wait until a prediction has ended; None if the API does not know it, which was seen to."""
        try:
            return await self._setup.watcher.ended(prediction)
        except errors.NotFound as error:
            # It had an id, so that it was created and may have cost. To pay for another one is not ours to decide.
            await self.finish(work, lost(work, f"The API does not know the prediction any more ({error})."))
            return None

    # How a row gets its prediction.

    async def _created(self, work: Work, ticket: Ticket) -> JSON | None:
        """Fill in the files, then create."""
        try:
            # What a function of the user's raises is known before it costs anything.
            self._setup.saver.named(work)
            # Files are uploaded before the claim. That may take minutes, and costs nothing if the process dies; the
            # time in which the server may act on the create is counted from the claim on.
            input = await self._uploads.filled(work.input)
        except _TRANSIENT as error:
            self._not_needed(work)
            self._flow.again.appendleft(work)
            self._calls.creates.pause(self._setup.trouble.happened(error))
            return None
        except _OF_ALL_ROWS:
            raise
        except (errors.APIError, errors.InputError, errors.PluginError, OSError) as error:
            self._not_needed(work)  # its file, or who reads or takes it
            return await self._refused(work, error, by_us=True)
        await self._compare_clocks()
        self._flow.creating += 1
        try:
            return await self._claimed(work, input, ticket)
        finally:
            self._flow.creating -= 1
            self._flow.wake()

    async def _compare_clocks(self) -> None:
        """See the server's clock before anything is created; a service that does not answer is asked again."""
        while not self._flow.stopped:
            try:
                await self._calls.compare_clocks()
            except errors.TransportError as error:
                await first_of(self._flow.stopping, self._setup.trouble.happened(error))
            else:
                return

    async def _claimed(self, work: Work, input: JSON, ticket: Ticket) -> JSON | None:
        """Note the intent, then create, unless the run is stopped meanwhile."""
        if self._flow.stopped:
            self._not_needed(work)
            return None
        work.fingerprint = fingerprint(input)
        self._calls.about_to_create(work)
        # The intent is on disk when this comes back, and only then is the create sent. A process that dies in between
        # leaves an intent, for which the next run looks in the API before it pays. In the other order it would leave a
        # prediction that nobody knows of, and the next run would pay for the row again.
        claim = await self._db.do(lambda db: self._journal.claim(db, work))
        if claim.verdict != "create":
            self._calls.creates.give_back()
            # Else it is paid for by this budget, whoever has created it.
            if not self._setup.purse.counts_journal:
                self._release(work)
            return await self._by_claim(work, claim)
        # While the intent was written, somebody may have stopped the run, or the journal may have been lost: then
        # nothing is sent any more.
        if self._flow.stopping.is_set():
            self._calls.creates.give_back()
            await self.came_to_nothing(work)
            return None
        work.paid_here = True
        return await self._send(work, input, ticket)

    async def _taken_up(self, work: Work) -> JSON | None:
        """See what the journal says."""
        return await self._by_claim(work, await self._db.do(lambda db: self._journal.look(db, work)))

    async def _by_claim(self, work: Work, claim: Claim) -> JSON | None:
        """Do what the journal says is to be done; give the prediction if there is one to wait for."""
        if claim.verdict not in ("attach", "confirm", "look up", "elsewhere"):
            self._settle_claim(work, claim)
        match claim.verdict:
            case "attach":
                return {"id": claim.prediction_id}
            case "confirm":
                return await self._confirmed(work, claim.prediction_id or "")
            case "check":
                return await self._looked_at_again(work)
            case "create":
                # By way of the dispatcher, which waits for the budget and for a token: a row that is resumed has
                # neither.
                self._flow.again.append(work)
            case "look up":
                self._calls.taken_up(work)
                self._flow.look_ups.add(work)
            case "elsewhere":
                work.earlier = work.earlier or claim.prediction_id
                self._flow.elsewhere.add(work)
            case "save":
                await self.done(work, failed=not await self._setup.saver.save(work))
            case "done":
                await self.done(work)
        return None

    async def _confirmed(self, work: Work, id: str) -> JSON | None:
        """See whether the prediction that somebody settled a row with is that row's; else it is unknown again."""
        try:
            found = await patiently(self._calls.get, id, self._setup.trouble)
        except (errors.NotFound, errors.PermissionDenied) as error:
            fault: str | None = f"the API does not know it ({error})"
        else:
            fault = misfit(self._setup.target, work.input, found, self._setup.runnable.schema)
            if fault is None:
                await self._db.do(lambda db: self._journal.confirmed(db, work))
                return found
        ending = lost(
            work,
            f"The row was settled with the prediction {id}, which is not its own: {fault}. Settle it with another one, "
            "or with this one and check=False if it is the right one all the same.",
        )
        await self._db.do(lambda db: self._journal.mistaken(db, work, ending))
        self._settle_money(work, None)
        await self.done(work, failed=True)
        return None

    async def _looked_at_again(self, work: Work) -> JSON | None:
        """See whether the output of what has finished long ago is still there."""
        kept = await self._db.do(lambda db: self._journal.kept(db, work))
        try:
            found = await patiently(self._calls.get, kept.prediction_id, self._setup.trouble)
            if ending_of(found, ours=False).state != "expired":
                return found
        except errors.NotFound:
            pass
        await self._db.do(lambda db: self._journal.gone(db, work, expired(kept.prediction_id, kept.lost)))
        await self.done(work, failed=True)
        return None

    async def _send(self, work: Work, input: JSON, ticket: Ticket) -> JSON | None:
        """Send the create; None if that did not work, and was seen to."""
        try:
            prediction = await self._calls.create(
                self._setup.target,
                input,
                ticket,
                hold=self._setup.is_quick,
                deadline=self._setup.options.deadline,
            )
        except errors.ReplicateError as error:
            return await self._not_created(work, error)
        self._setup.trouble.is_over()
        self._setup.tally.created += 1
        return await self._noted(work, prediction)

    async def _noted(self, work: Work, prediction: JSON) -> JSON | None:
        """Write down whose prediction it is; if another row was faster to take it, ours is to be found."""
        if await self._db.do(lambda db: self._journal.created(db, work, prediction["id"])):
            return prediction
        self._flow.look_ups.add(work)
        return None

    async def _not_created(self, work: Work, error: errors.ReplicateError) -> JSON | None:
        """See to a create that failed, by what is known of its fate."""
        fate = fate_of(error)
        if fate is Fate.REFUSED:
            self._release(work)
            return await self._refused(work, error)
        if fate is Fate.UNCERTAIN:
            # The intent stays, and so does what is reserved for it: there may be a prediction that costs.
            self._calls.gave_up(work)
            self._flow.look_ups.add(work)
        else:
            await self.came_to_nothing(work)
        if fate is Fate.FATAL:
            self._flow.fail(error)
        elif fate is Fate.LATER:
            self._flow.again.appendleft(work)
        # A 429 has closed the bucket and narrowed the window already (`Calls`), and does not tell of a service that is
        # down.
        if fate in (Fate.LATER, Fate.UNCERTAIN) and not isinstance(error, errors.RateLimited):
            self._setup.window.overloaded()
            self._calls.creates.pause(self._setup.trouble.happened(error))
        return None

    async def _refused(self, work: Work, error: Exception, *, by_us: bool = False) -> JSON | None:
        """Give a row that was not accepted its error, unless another run has it."""
        claim = await self._db.do(lambda db: self._journal.refused(db, work, refused(error, by_us=by_us)))
        if claim is not None:
            return await self._by_claim(work, claim)
        await self.done(work, failed=True)
        return None

    async def came_to_nothing(self, work: Work) -> None:
        """Take note that a create certainly came to nothing: the row is again what it was before."""
        await self._db.do(lambda db: self._journal.withdraw(db, work))
        work.paid_here = False  # another run may pay for it now
        self._release(work)

    # How a row ends.

    async def _settle(self, work: Work, prediction: JSON) -> None:
        """Write down how a prediction ended; create another one where that is right."""
        ours = work.canceling or self._flow.canceling
        ending = self._paid(work, ending_of(prediction, ours=ours)).seen(self._calls.since_end(prediction))
        if ending.state != "canceled":
            await self.finish(work, ending)
            return
        interrupted = is_transient(prediction)
        if interrupted and work.attempts >= self._setup.options.retries and not self._flow.stopped:
            await self.finish(work, ending.final())
            return
        await self._db.do(lambda db: self._journal.ended(db, work, ending))
        self._setup.tally.canceled += not interrupted
        if self._flow.stopped:
            return
        work.attempts += interrupted
        work.canceling = False
        self._flow.pause(work, self._pause(work.attempts) if work.attempts else 0.0)

    def _paid(self, work: Work, ending: Ending) -> Ending:
        """Note what a prediction cost."""
        if ending.status == "aborted":  # it never began: that is not billed
            self._setup.window.overloaded()  # more was in the queue than was worked off in time
            self._release(work)
            return ending
        if ending.seconds is not None:
            self._setup.watcher.took(ending.seconds)
            self._setup.window.ended()
        self._settle_money(work, ending.seconds)
        return ending.costing(self._setup.options.cost.charge(ending.seconds))

    def _pause(self, attempts: int) -> float:
        """Seconds until another attempt, with full jitter. No pause between looks is none between attempts."""
        shortest = self._setup.watcher.poll_interval or _FIRST_PAUSE
        return random.uniform(0.0, min(30.0, shortest * 2.0**attempts))

    async def finish(self, work: Work, ending: Ending) -> None:
        """Write down an end, store the files where that was asked for, and hand over the result."""
        await self._db.do(lambda db: self._journal.ended(db, work, ending))
        self._settle_money(work, None)  # unless it was done: what it cost cannot be known any more
        failed = ending.state != "finished"
        if not failed and self._setup.saver.wanted:
            failed = not await self._setup.saver.save(work)
        await self.done(work, failed=failed)

    async def done(self, work: Work, *, failed: bool = False) -> None:
        """Hand over a result."""
        self._setup.saver.done(work)
        cached = await self._db.do(lambda db: self._journal.ready(db, work))
        self._setup.tally.done += work.copies
        self._setup.tally.failed += work.copies * failed
        self._setup.tally.cached += work.copies * cached
        self._setup.delivery.finished(work)
        if self._setup.options.errors == "raise" and (failed or self._setup.results.may_fail):
            error = await self._setup.results.error_of(work)
            if error is not None:
                self._flow.fail(error)

    def _not_needed(self, work: Work) -> None:
        """Give back what was set aside for a create that is not sent."""
        self._calls.creates.give_back()
        self._release(work)

    def _settle_claim(self, work: Work, claim: Claim) -> None:
        """Replace what was set aside by what the prediction cost that another run has seen end, if there is one."""
        if claim.billed and (claim.prediction_id is None or claim.prediction_id != work.earlier):
            self._settle_money(work, claim.seconds)
        else:
            self._release(work)

    def _settle_money(self, work: Work, seconds: float | None) -> None:
        """Replace what was set aside for a row by what its prediction cost."""
        if work.reserved:
            work.reserved = False
            self._setup.purse.settle(seconds, ours=work.paid_here)

    def _release(self, work: Work) -> None:
        """Give a reservation back."""
        if work.reserved:
            work.reserved = False
            self._setup.purse.release()
