"""A run that pays: the parts of its engine, put together from its plan."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TYPE_CHECKING

from replicate_kit import errors
from replicate_kit._formats.store_urls import local_path
from replicate_kit._formats.wording import counted, money
from replicate_kit.batch._engine.accounts import check_account, is_shown
from replicate_kit.batch._engine.creates import left_open
from replicate_kit.batch._engine.engine import Engine
from replicate_kit.batch._engine.limits import Window
from replicate_kit.batch._engine.pace import Pace
from replicate_kit.batch._engine.patience import Patience
from replicate_kit.batch._engine.poller import Poller
from replicate_kit.batch._engine.reconciler import LedgerSource, Reconciler
from replicate_kit.batch._engine.recorder import Recorder
from replicate_kit.batch._engine.requests import Requests
from replicate_kit.batch._engine.rows import Rows
from replicate_kit.batch._engine.sharing import SharedBucket, Sharing
from replicate_kit.batch._engine.state import RunState
from replicate_kit.batch._ledger.entries import Run
from replicate_kit.batch._ledger.protocol import shares
from replicate_kit.batch._ledger.space import Space
from replicate_kit.batch._money.meter import Meter
from replicate_kit.batch._money.shared import SharedAccount
from replicate_kit.batch._plan.files import Uploads
from replicate_kit.batch._plan.options import leaks
from replicate_kit.batch._plan.spool import Item
from replicate_kit.batch._results.delivery import Delivery
from replicate_kit.batch._results.progress import Progress, Tally
from replicate_kit.batch._results.results import Results
from replicate_kit.batch._results.saver import Saver

if TYPE_CHECKING:
    from replicate_kit.batch._engine.creates import SentCreate
    from replicate_kit.batch._ledger.entries import Entry, Key
    from replicate_kit.batch._runs.planned import Planned

__all__ = ["Execution"]

log = logging.getLogger("replicate_kit")


class Execution:
    """A run from its plan to its last result. Only whoever runs it and takes its results sees it."""

    def __init__(self, run: Planned, *, wait: bool = True) -> None:
        self._run, options, session = run, run.job.options, run.job.session
        self.state = RunState(detach=options.on_interrupt == "detach")
        self.window, self._patience = Window(options.concurrency), Patience(options.patience)
        self._requests = Requests(
            run.job.predictions,
            options.creates_per_minute,
            self.window.overloaded,
            run.runnable.secret_inputs,
            shared=shares(run.ledger)
            and (run.ledger.shares_creates or isinstance(run.budget, SharedAccount)),
        )
        self._account: str | None = None
        self._recorder = Recorder(run.ledger, self._journal_failed)
        source = run.job.inputs if isinstance(run.job.inputs, Sequence) else None
        self.results = Results(run.spool, run.ledger, run.runnable, session, source)
        self.saver = Saver(self._recorder, self.results, options)
        self.delivery = Delivery(
            run.spool, self.results, self.state.wake, self._undecodable, ordered=options.ordered
        )
        known, invalid = run.known, run.plan.invalid
        self.tally = Tally(run.plan.rows, invalid + known.ready, invalid + known.failed, known.cached)
        self._space = Space(
            None if options.saving is None else local_path(options.saving.folder),
            str(run.folder or run.spool.folder),
        )
        self.rest: errors.ReplicateError | None = None
        self._undecoded = 0
        self._engine = self._made(wait=wait)

    def _made(self, *, wait: bool) -> Engine:
        """Make the engine."""
        run, options, owners = self._run, self._run.job.options, dict[str, "SentCreate"]()
        saves = self.saver.wanted and (run.runnable.schema is None or run.runnable.schema.has_files)
        pace = Pace(
            self.state,
            self.window,
            self._requests.creates,
            run.budget,
            self.saver.backlog if saves else None,
            lambda: self.delivery.has_room,
            self._takes_more,
        )
        poller = Poller(self._requests, run.job.session.config.poll_interval, self._patience)
        source = LedgerSource(self._requests, run.ledger, self._recorder, run.spool, owners)
        reconciler = Reconciler(source, run.runnable, self._requests, self._patience)
        rows = Rows(
            runnable=run.runnable,
            rules=run.rules,
            retries=options.retries,
            deadline=options.deadline,
            meter=Meter(options.cost),
            keeps_inputs=options.journal_inputs == "keep",
            state=self.state,
            pace=pace,
            patience=self._patience,
            requests=self._requests,
            recorder=self._recorder,
            poller=poller,
            reconciler=reconciler,
            uploads=Uploads(run.job.session, run.spool, run.runnable.schema),
            saver=self.saver,
            tally=self.tally,
            done=self._done,
            owners=owners,
            label=options.label,
            wait=wait,
        )
        return Engine(
            spool=run.spool,
            ledger=run.ledger,
            state=self.state,
            pace=pace,
            rows=rows,
            poller=poller,
            reconciler=reconciler,
            recorder=self._recorder,
            saver=self.saver,
            reserved=run.budget.counts_others,
            exhausted=self._exhausted,
        )

    async def begin(self) -> None:
        """See that this account may go on with what is in the ledger, and write down that the plan is run."""
        run, options = self._run, self._run.job.options
        if self._recorder.lease < (longest := self._requests.longest):
            raise errors.JournalError(
                f"The lease of the journal {self.journal!r} is too short: {self._recorder.lease:.0f} seconds are left, "
                f"and to send a create may take {longest:g}. Pass a longer one in its URL, such as "
                f"lease={1.5 * longest:.0f}, or a shorter timeout= to the client. Nothing was created."
            )
        account = await check_account(
            run.known.accounts,
            run.job.session,
            run.ledger,
            self._requests,
            self._patience,
            self.state,
            options,
        )
        self._account = account[0]
        await run.ledger.begin(
            Run(
                run.run_id,
                str(run.runnable.reference),
                run.plan.rows,
                run.rules.redo,
                options.journal_inputs == "keep",
                *account,
                run.pin,
                options.label,
            )
        )
        if options.journal_inputs != "keep":
            for each in leaks(await run.ledger.kept_inputs(), options):
                log.warning("%s", each)

    async def find_unknown(self, keys: Sequence[Key]) -> dict[Key, str]:
        """Look once for the predictions of rows that are unknown; give the ids of those found."""
        requests, spool = self._requests, self._run.spool
        entries = [each for each in await self._run.ledger.find(keys) if each and each.state == "unknown"]
        # An id that was not there once, as at another service, may be there now.
        known = {
            each.key: each.prediction_id
            for each in entries
            if each.prediction_id is not None and await is_shown(each.prediction_id, requests, self._patience)
        }
        searched = {
            entry.key: self._engine.reconciler.look_for(
                left_open(
                    Item(entry.key, 0, spool.input_of(entry.key.digest) or ""),
                    entry,
                    requests.clocks,
                    requests.settling,
                )
            )
            for entry in entries
            if entry.prediction_id is None and entry.sent_at
        }
        await self._engine.reconciler.look()
        findings = {key: future.result().prediction for key, future in searched.items() if future.done()}
        return known | {key: found["id"] for key, found in findings.items() if found is not None}

    async def work(self) -> None:
        """Bring all rows to their results. Raises what stopped the run."""
        async with self._sharing():
            await self._engine.run()

    def _sharing(self) -> AbstractAsyncContextManager[None]:
        """Share limits with other runs on the ledger, if it can do that."""
        run, creates = self._run, self._requests.creates
        if not (shares(run.ledger) and isinstance(creates, SharedBucket)):
            return nullcontext()
        budget = run.budget if isinstance(run.budget, SharedAccount) else None
        sharing = Sharing(run.ledger, run.run_id, creates, budget, self.state, self._journal_failed)
        return sharing.running(self._account)

    @property
    def progress(self) -> Progress:
        """How far the run is."""
        spent = self._run.budget.spent.money if self._run.job.options.cost.known else None
        return self.tally.now(self.window.in_flight, spent)

    @property
    def journal(self) -> str:
        """What to pass as journal= to go on with it."""
        return self._run.ledger.url

    @property
    def lost(self) -> errors.JournalError | None:
        """Why the journal is not where it was, if so."""
        return self._run.ledger.lost

    @property
    def has_written(self) -> bool:
        """Whether the ledger was told of any row."""
        return self._recorder.has_written

    async def look(self) -> None:
        """Raise `JournalError` if the journal was lost."""
        await self._run.ledger.find(())
        if self._run.ledger.lost is not None:
            raise self._run.ledger.lost

    async def rescue(self) -> str:
        """Copy a journal that was lost; say where to, or why not. Empty where it is still there."""
        return "" if self._run.ledger.lost is None else await self._run.ledger.rescue()

    def is_needed(self) -> bool:
        """Whether the journal holds what nobody was given, or what another run may still get."""
        if self._undecoded or not (self.tally.is_complete and self.delivery.all_given):
            return True
        return self._run.spool.at_stake()

    def _done(self, item: Item, entry: Entry, paid_here: bool) -> None:
        """Hand over the result of a row."""
        self._run.spool.put(item, entry, paid_here=paid_here)
        failed = entry.error is not None
        self.tally.done += item.copies
        self.tally.failed += item.copies * failed
        self.tally.cached += item.copies * (not paid_here and entry.is_known)
        self.delivery.finished(item)
        if self._run.job.options.errors == "raise" and (failed or self.results.may_fail):
            error = self.results.error_of(item)
            if error is not None:
                self.state.fail(error)

    def _journal_failed(self, error: Exception) -> None:
        """Create nothing more; what another run may have taken over is not ours to cancel."""
        self.state.detach = self.state.detach or not getattr(error, "copyable", False)
        self.state.fail(error)

    def _takes_more(self, under_way: int) -> bool:
        """Whether what one more prediction makes can be stored, beside those of the rows under way.

        If not, the run ends when what is paid for is saved.
        """
        saver, to_come = self.saver, self._run.plan.to_pay - self.tally.created
        saver.failure = saver.failure or self._space.missing(
            under_way=under_way, to_come=to_come, mean_size=saver.backlog.mean_size
        )
        return saver.failure is None

    def _undecodable(self, error: errors.ReplicateError) -> None:
        """Count a row that went well, and whose output cannot be given."""
        self._undecoded += 1
        self.tally.failed += 1
        if self._run.job.options.errors == "raise":
            self.state.fail(error)

    def _exhausted(self) -> None:
        """Note that the rest of the rows cannot be afforded."""
        self.rest = errors.BudgetExhausted(
            f"This row was left out: its prediction might cost more than is left of the budget{self._of_journal()}. "
            f"Raise budget= and run it again with journal={self.journal!r}; what is done is free then."
        )

    def _of_journal(self) -> str:
        """Say what was spent of a budget before this run, if that counts."""
        budget = self._run.budget
        if not budget.counts_journal:
            return ""
        cost = f" for {money(budget.before.money)}" if self._run.job.options.cost.known else ""
        earlier = counted(budget.before.predictions, "prediction")
        return f", which counts the {earlier}{cost} of earlier runs with the journal"
