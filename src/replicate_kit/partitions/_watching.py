"""How far a job is, as its journal tells: workers are elsewhere, and the driver does nothing but wait."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Self

from replicate_kit._runtime.foreign_code import described
from replicate_kit.batch import Progress, journals
from replicate_kit.batch._ledger.costs import UNDER_WAY
from replicate_kit.errors import JournalError

if TYPE_CHECKING:
    from replicate_kit.batch._runs.display import Show

__all__ = ["Watch"]

log = logging.getLogger("replicate_kit")

_PAUSE = 2.0  # seconds between two looks
_SHARE = 10  # and at least so many times what a look takes: all payments of the journal are read
_AGAIN = frozenset({"aborted", "canceled"})  # a row is created again after these


class Watch:
    """Looks into a journal now and then, on a thread of its own, and shows what it finds if there is a `show`.

    Without a number of rows nobody knows that anything is to come: then it is shown once something has changed.
    """

    def __init__(self, journal: str, label: str, show: Show | None, total: int | None) -> None:
        self._journal, self._label, self._show, self._total = journal, label, show, total
        self._began = time.monotonic()
        self._first: tuple[int, int] | None = None  # what was created and done, when it was first looked at
        self._told = False  # that it cannot be read
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="replicate-kit-watch", daemon=True)

    def look(self) -> Progress:
        """Read how far the job is. Without a number of rows, the total are those that were created so far."""
        found = [
            each for each in journals.costs(self._journal, by="label") if each.group["label"] == self._label
        ]
        seconds = time.monotonic() - self._began
        if not found:
            return Progress(total=self._total or 0, seconds=seconds)
        (costs,) = found
        in_flight = costs.statuses.get(UNDER_WAY, 0)
        done = sum(n for status, n in costs.statuses.items() if status != UNDER_WAY and status not in _AGAIN)
        return Progress(
            total=self._total or done + in_flight,
            done=done,
            failed=done - costs.statuses.get("succeeded", 0),
            in_flight=in_flight,
            created=costs.predictions,
            seconds=seconds,
            rate=done / seconds if seconds > 0 else 0.0,
            cost=costs.cost,
        )

    def __enter__(self) -> Self:
        if self._show is not None:
            self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._over.set()
        if self._show is not None:
            self._thread.join()

    def _look_on(self) -> None:
        """Look until it is over, and once more."""
        pause = 0.0
        while not self._over.wait(pause):
            pause = max(_PAUSE, _SHARE * self._tell(last=False))
        self._tell(last=True)

    def _tell(self, *, last: bool) -> float:
        """Show how far it is; give the seconds that it took."""
        began = time.monotonic()
        try:
            progress = self.look()
        except JournalError as error:  # there is none before the first run has made it
            log.debug("The progress cannot be read: %s", described(error))
            self._first = self._first or (0, 0)
        except Exception as error:  # the job goes on, and so do looks: the next may be answered
            log.log(
                logging.DEBUG if self._told else logging.WARNING,
                "The progress cannot be read (%s). The job goes on.",
                described(error),
            )
            self._told = True
        else:
            assert self._show is not None
            seen = progress.created, progress.done
            self._first = self._first or seen
            if self._total is not None or seen != self._first:
                self._show(progress, last)
        return time.monotonic() - began
