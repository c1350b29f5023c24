"""Brings a journal in line with the API: what runs have left open is adopted, as by a run that is begun again.

Nothing is created: the runs that adopt have a budget of no predictions, and what still runs is not waited for.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from replicate_kit._formats.references import Reference
from replicate_kit._unresolved.canonical import canonical, digest
from replicate_kit._unresolved.echoes import Similarity
from replicate_kit._unresolved.matching import is_of
from replicate_kit.batch._engine.accounts import AnotherAccount, is_shown
from replicate_kit.batch._engine.patience import Patience
from replicate_kit.batch._engine.requests import Requests
from replicate_kit.batch._ledger.copying import copy_journal
from replicate_kit.batch._ledger.entries import Key, State
from replicate_kit.batch._ledger.guard import files_copied
from replicate_kit.batch._ledger.hashing import is_hash
from replicate_kit.batch._ledger.locks import in_use
from replicate_kit.batch._ledger.places import JournalPath
from replicate_kit.batch._ledger.protocol import Administrator, Record
from replicate_kit.batch._ledger.stores import is_url, journal_text, shown, store_of
from replicate_kit.batch._money.pricing import Budget
from replicate_kit.batch._plan.options import Options
from replicate_kit.batch._runs.execution import Execution
from replicate_kit.batch._runs.planned import Job, Keeping, LeftOpen, planned
from replicate_kit.errors import (
    JournalError,
    NotFound,
    PermissionDenied,
    ReplicateError,
    RequestError,
    ValidationError,
)
from replicate_kit.records import parse_time
from replicate_kit.resources._jobs.creating import reference_of

if TYPE_CHECKING:
    from replicate_kit.client import Client

__all__ = ["Reconciled", "Reconciling", "RowNow", "Unlisted"]

_LEFT: tuple[State, ...] = ("intent", "created", "unknown")
_ENDED: tuple[State, ...] = ("finished", "saved", "failed", "canceled", "expired")


class RowNow(NamedTuple):
    """A row that runs have left open: its state `before`, and what it is `now`; None where it is not known any more."""

    key: str
    sample: int
    model: str
    before: str
    now: str | None
    status: str | None
    prediction_id: str | None
    remark: str | None = None


class Unlisted(NamedTuple):
    """A prediction with the input of a row of the journal, that no row has."""

    prediction_id: str
    model: str
    key: str
    status: str | None
    created_at: str | None


@dataclass(frozen=True)
class Reconciled:
    """What was changed, what is left open, what the journal lacks, and how many predictions were listed.

    `missing` are rows that ended and whose predictions the API does not know. `cut` tells that the limit left out some
    of what was to be compared. `priced` predictions had ended without a cost and have one now; `unpriced` rows that
    were changed have none, where others of the journal do. `error` is what has stopped it before it was done.
    """

    changed: list[RowNow] = field(default_factory=list)
    left: list[RowNow] = field(default_factory=list)
    lacking: list[Unlisted] = field(default_factory=list)
    missing: list[RowNow] = field(default_factory=list)
    listed: int = 0
    cut: bool = False
    priced: int = 0
    unpriced: int = 0
    error: ReplicateError | None = None

    @property
    def differs(self) -> bool:
        """Whether the journal and the API still do not say the same, or it was not seen whether they do."""
        return bool(self.left or self.lacking or self.missing or self.cut)


class Reconciling:
    """Compares one journal with what a client's account has run."""

    def __init__(self, client: Client, journal: JournalPath, **price: Any) -> None:
        self._client, self._journal, self._shown = client, journal, shown(journal)
        self._options = Options.of({"budget": Budget(predictions=0), "progress": False, **price})

    def _requests(self) -> Requests:
        """Requests that create nothing."""
        return Requests(self._client.predictions, self._options.creates_per_minute, lambda: None)

    async def run(self, *, since: float | None, limit: int, dry: bool) -> Reconciled:
        """Adopt what can be, and compare with the list: `limit` predictions since a Unix time, or the first create.

        A `dry` run does all of it to a copy of the journal, in a file. Raises `JournalError` while a run uses it.
        """
        if not is_url(self._journal):
            if in_use(Path(self._journal)):
                self._refuse()
        else:
            with _looked_after(self._journal) as administrator:
                if administrator.summary().in_use:
                    self._refuse()
        if not dry:
            return await self._run(self._journal, since, limit)
        with tempfile.TemporaryDirectory(prefix="replicate-kit-") as folder:
            copy = self._copied(Path(folder))
            try:
                return await self._run(copy, since, limit)
            except JournalError as error:
                said = str(error).replace(str(copy), self._shown)
                raise JournalError(said) from error

    def _refuse(self) -> NoReturn:
        raise JournalError(f"A run uses the journal {self._shown}. Let it end, or stop it first.")

    def _copied(self, folder: Path) -> Path:
        """Copy the journal to a file in a folder."""
        if not is_url(self._journal):
            return files_copied(Path(self._journal), folder)
        copy_journal(self._journal, folder / "copy.sqlite")
        return folder / "copy.sqlite"

    async def _run(self, journal: JournalPath, since: float | None, limit: int) -> Reconciled:
        """Do it to a journal."""
        with _looked_after(journal) as administrator:
            await self._check_service(administrator.telling())
            before = {each.entry.key: each for each in administrator.records(_LEFT)}
        remarks, error = dict[str, str](), None
        try:
            await self._adopt(journal, before, remarks)
        except ReplicateError as stopped:
            error = stopped
        with _looked_after(journal) as administrator:
            # What was adopted now has its cost already.
            priced = administrator.fill_costs(self._options.cost)
            has_costs = administrator.summary().cost is not None
            models, first, now = set[str](), float("inf"), dict[Key, Record]()
            for each in administrator.records():
                models.add(each.model)
                first = min(first, each.entry.sent_at or first)
                if each.entry.key in before:
                    now[each.entry.key] = each
            rows_now = [_row_now(each, now.get(key), remarks.get(each.model)) for key, each in before.items()]
            found = Reconciled(
                [each for each in rows_now if each.before != each.now],
                [each for each in rows_now if each.now in _LEFT],
                priced=priced,
                unpriced=has_costs * sum(map(_lacks_cost, now.values())),
                error=error,
            )
            if error is not None:
                return found
            try:
                return await self._compare(
                    administrator, models, first if since is None else since, limit, found
                )
            except ReplicateError as stopped:  # what was changed is told all the same
                return replace(found, error=stopped)

    async def _adopt(
        self, journal: JournalPath, before: Mapping[Key, Record], remarks: dict[str, str]
    ) -> None:
        """Adopt what can be of rows that were left open; remark why not, by their model."""
        unknown = [each for each in before.values() if each.entry.state == "unknown"]
        for model, rows in _by_model(unknown).items():
            with _remarking(remarks, model):
                await self._settle_unknown(journal, model, rows)
        with _looked_after(journal) as administrator:
            open = list(administrator.records(("intent", "created")))
        for model, rows in _by_model(open).items():
            with _remarking(remarks, model):
                async with planned(self._job(journal, model, rows), Keeping(True)) as run:
                    execution = Execution(run, wait=False)
                    await execution.begin()
                    await execution.work()

    async def _check_service(self, ids: Sequence[str]) -> None:
        """Refuse a service that knows none of some predictions of the journal.

        The API forgets none, so that even one that it does not know tells of another service. Where it has lost them
        all the same, `map` writes that down: a run is over rows that somebody means, and says which are unknown.
        """
        requests, patience = self._requests(), Patience(self._options.patience)
        for id in ids:
            if await is_shown(id, requests, patience):
                return
        if ids:
            raise JournalError(
                f"This service does not know the predictions of the journal {self._shown} "
                f"({len(ids)} were looked for, such as {ids[0]}): they are of another account, backend or base URL. "
                "Nothing was changed. Reconcile it with the backend, the base URL and a token of the account that ran "
                "them. If the service has lost them, run map again, which takes note of that."
            )

    async def _settle_unknown(
        self, journal: JournalPath, model: str, rows: Sequence[tuple[Key, str]]
    ) -> None:
        """Settle rows that are unknown with the predictions that are found now."""
        async with planned(self._job(journal, model, rows), Keeping(True)) as run:
            execution = Execution(run, wait=False)
            await execution.begin()
            found = await execution.find_unknown([key for key, _ in rows])
        with _looked_after(journal) as administrator:
            for key, id in found.items():
                administrator.settle(key.digest.hex(), sample=key.sample, prediction_id=id, check=False)

    def _job(self, journal: JournalPath, model: str, rows: Sequence[tuple[Key, str]]) -> Job:
        """A run over rows that were left open, which pays for nothing."""
        client, options = self._client, replace(self._options, journal=journal)
        return Job(model, LeftOpen(rows), options, client.session, client.models, client.predictions)

    async def _compare(
        self,
        administrator: Administrator,
        models: set[str],
        since: float,
        limit: int,
        found: Reconciled,
    ) -> Reconciled:
        """List predictions; add those that have the input of a row and belong to none, and the rows' that are gone."""
        requests = self._requests()
        if not requests.lists or not models or since == float("inf"):
            return found
        targets = {model: reference_of(model, self._client.session) for model in models}
        ids, lacking, oldest = set[str](), list[Unlisted](), float("inf")
        page, link = await requests.page(
            created_after=datetime.fromtimestamp(max(since, 0.0), UTC).isoformat()
        )
        while True:
            page = [each for each in page if isinstance(each.get("id"), str)]
            more, page = link is not None or len(page) > limit - len(ids), page[: limit - len(ids)]
            for each in page:
                ids.add(each["id"])
                created = parse_time(each.get("created_at"))
                oldest = min(oldest, created.timestamp() if created is not None else oldest)
                if created is None or created.timestamp() >= since:
                    lacking += _lacking(administrator, each, targets)
            if link is None or len(ids) >= limit:
                break
            page, link = await requests.page(link)
        cut = more and oldest > since
        missing, all_looked_for = await self._missing(
            administrator, requests, ids, max(since, oldest) if cut else since, limit
        )
        return replace(
            found, lacking=lacking, missing=missing, listed=len(ids), cut=cut or not all_looked_for
        )

    async def _missing(
        self, administrator: Administrator, requests: Requests, ids: set[str], since: float, limit: int
    ) -> tuple[list[RowNow], bool]:
        """Name rows that ended and whose predictions are not there, of those that were to be in a list.

        Each is asked for by its id, since a list may be late, and clocks differ: `limit` of them. Tells whether these
        were all.
        """
        missing, patience, count = list[RowNow](), Patience(self._options.patience), 0
        for each in administrator.records(_ENDED):
            id, sent_at = each.entry.prediction_id, each.entry.sent_at or 0.0
            if id is None or id in ids or sent_at < since:
                continue
            count += 1
            if count > limit:
                return missing, False
            if not await is_shown(id, requests, patience):
                missing.append(_row_now(each, each))
        return missing, True


@contextmanager
def _looked_after(journal: JournalPath) -> Iterator[Administrator]:
    """Look after a journal."""
    with closing(store_of(journal).administrator(journal_text(journal))) as administrator:
        yield administrator


@contextmanager
def _remarking(remarks: dict[str, str], model: str) -> Iterator[None]:
    """Go on with other models where one fails, and remark why; raise what would stop them, too."""
    try:
        yield
    except AnotherAccount:
        remarks[model] = (
            "they were created with another API token, and this token's account does not see them. Reconcile it with "
            "a token of that account"
        )
    except ReplicateError as error:
        # The model may be gone, or be hidden from this account, or be named by a plugin that is not there any more.
        of_model = isinstance(error, NotFound | PermissionDenied | ValidationError)
        if isinstance(error, RequestError | JournalError) and not of_model:
            raise
        remarks[model] = f"{model} cannot be run ({str(error).rstrip('.')})"


def _by_model(records: Sequence[Record]) -> dict[str, list[tuple[Key, str]]]:
    """The rows of each model; without those of which the journal has the hash of the input alone."""
    found: dict[str, list[tuple[Key, str]]] = {}
    for each in records:
        if not is_hash(each.input):
            found.setdefault(each.model, []).append((each.entry.key, each.input))
    return found


def _lacks_cost(row: Record) -> bool:
    """Whether a row has ended with a prediction whose cost is not known."""
    return row.entry.state in _ENDED and row.entry.is_billed and row.entry.cost is None


def _row_now(before: Record, now: Record | None, remark: str | None = None) -> RowNow:
    """Say what became of a row; `remark` is why it may be left."""
    entry, key = before.entry, before.entry.key
    new = None if now is None else now.entry
    if is_hash(before.input):
        remark = "the journal has no input of it: run map again with its table"
    return RowNow(
        key.digest.hex(),
        key.sample,
        before.model,
        entry.state,
        new and new.state,
        new and new.status,
        new and new.prediction_id,
        remark if new is not None and new.state in _LEFT else None,
    )


def _lacking(
    administrator: Administrator, prediction: Mapping[str, Any], targets: Mapping[str, Reference]
) -> Iterator[Unlisted]:
    """Name the model and the row that a prediction could be of, if no row has it."""
    id, input = prediction["id"], prediction.get("input")
    if not isinstance(input, dict) or administrator.owns(id):
        return
    for model, target in targets.items():
        if is_of(target, prediction) is Similarity.SAME:
            key = digest(model, canonical(input))
            if administrator.has(key):
                yield Unlisted(id, model, key.hex(), prediction.get("status"), prediction.get("created_at"))
