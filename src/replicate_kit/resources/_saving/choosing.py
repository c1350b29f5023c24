"""Which predictions are to be saved: those of a time, a model and some statuses."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

from replicate_kit import errors
from replicate_kit._formats.arguments import choices, unix_time, whole
from replicate_kit._formats.patterns import pattern
from replicate_kit.records import parse_duration
from replicate_kit.resources._jobs.creating import reference_of
from replicate_kit.resources._resource import async_paginate

if TYPE_CHECKING:
    from replicate_kit._formats.references import Reference
    from replicate_kit.resources.predictions import Prediction, Predictions

__all__ = ["Choice", "When"]

When: TypeAlias = "datetime | date | timedelta | str"
"""A time: a moment, a day of UTC, or how long ago it was, such as "2h"."""

# What an aborted one had to say was never said: it did not start.
_WITH_OUTPUT = ("succeeded", "failed", "canceled")
_AGO = pattern(r"(?:(\d{1,5})d)?((?:\d+[hms])*)", re.ASCII)
_DAY = 24 * 3600


@dataclass(frozen=True)
class Choice:
    """What predictions must be like."""

    since: float
    until: float
    model: Reference | None
    statuses: Collection[str]
    limit: int | None

    @classmethod
    def of(
        cls,
        predictions: Predictions,
        since: When,
        until: When | None,
        model: Any,
        status: str | Iterable[str],
        limit: int | None,
    ) -> Choice:
        """Check what was asked for. Raises `InputError` for what cannot be meant."""
        now = datetime.now(UTC).timestamp()
        first = _time_of("since", since, now)
        last = now if until is None else _time_of("until", until, now, ends=True)
        if first >= last:
            raise errors.InputError(
                f"since={since!r} is not before {'now' if until is None else f'until={until!r}'}, so no prediction is "
                "between them. Pass an earlier since=. Nothing was sent."
            )
        statuses = choices("status", status, _WITH_OUTPUT)
        if not statuses:
            raise errors.InputError(
                "status= names no status. Pass 'succeeded', or several of "
                + ", ".join(map(repr, _WITH_OUTPUT))
                + "."
            )
        return cls(
            first,
            # What was created while we look counts, too.
            float("inf") if until is None else last,
            None if model is None else reference_of(model, predictions.session),
            statuses,
            None if limit is None else whole("limit", limit, 1),
        )

    async def listed(self, predictions: Predictions) -> list[Prediction]:
        """List them, the oldest first: its files are the next that the API removes.

        With a limit these are the newest ones. Each is there once, however the list changes while it is paged; those
        that still run are among them.
        """
        found: dict[str, Prediction] = {}
        seen: set[str] = set()
        filters = {"created_after": datetime.fromtimestamp(max(self.since, 0.0), UTC)}
        async with aclosing(async_paginate(predictions.async_list, None, **filters)) as pages:
            async for page in pages:
                fresh = {each.id: each for each in page if each.id and each.id not in seen}
                seen |= fresh.keys()
                found |= {id: each for id, each in fresh.items() if self._takes(each)}
                is_old = all(self._is_older(each) for each in page)  # a server may know no `created_after`
                if is_old or not fresh or self._suffices(found.values()):
                    break
        newest = sorted(found.values(), key=_created, reverse=True)
        ended = [each for each in newest if each.ended][: self.limit]
        return [*reversed(ended), *(each for each in newest if not each.ended)]

    def _takes(self, prediction: Prediction) -> bool:
        """Whether a prediction is one of them, or may become one."""
        if prediction.created_at is not None and not self.since <= _created(prediction) < self.until:
            return False
        return self._is_of_model(prediction) and (not prediction.ended or prediction.status in self.statuses)

    def _is_older(self, prediction: Prediction) -> bool:
        return prediction.created_at is not None and _created(prediction) < self.since

    def _is_of_model(self, prediction: Prediction) -> bool:
        """Whether it is of the model, the version or the deployment that was asked for."""
        if self.model is None:
            return True
        if self.model.deployment:
            return prediction.deployment in (f"{self.model.owner}/{self.model.name}", self.model.name)
        # Names of models are the same in upper and lower case.
        name, version = self.model.model, self.model.version
        if name is None:
            return version == prediction.version
        # The API hides the versions of official models: what may be of this one is not left to expire.
        return (prediction.model or "").casefold() == name.casefold() and (
            version in (None, prediction.version) or prediction.version == "hidden"
        )

    def _suffices(self, found: Iterable[Prediction]) -> bool:
        return self.limit is not None and sum(each.ended for each in found) >= self.limit


def _created(prediction: Prediction) -> float:
    """When it was created, in Unix time; now for one that does not say it."""
    return float("inf") if prediction.created_at is None else prediction.created_at.timestamp()


def _time_of(name: str, value: Any, now: float, *, ends: bool = False) -> float:
    """The Unix time of a moment, or of so long ago. Raises `InputError` for what is neither."""
    if isinstance(value, timedelta):
        return now - value.total_seconds()
    if (ago := _seconds_ago(value)) is not None:
        return now - ago
    found = unix_time(name, value, ends=ends, hint=", or how long ago it was, such as '2h', '90m' or '1d'")
    if found is None:
        raise errors.InputError(f"{name}=None is no time. Pass how long ago it was, such as '2h'.")
    return found


def _seconds_ago(value: Any) -> float | None:
    """Read how long ago something was; None for what does not say that.

    >>> _seconds_ago("1d12h"), _seconds_ago("90m"), _seconds_ago("2026-08-01"), _seconds_ago("90")
    (129600, 5400, None, None)
    """
    found = _AGO.fullmatch(value.strip()) if isinstance(value, str) and value.strip() else None
    return None if found is None else int(found[1] or 0) * _DAY + parse_duration(found[2])
