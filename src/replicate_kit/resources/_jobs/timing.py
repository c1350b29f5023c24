"""How long a prediction took, and when to look at one again, by what the API shows of it.

Only differences of the server's own times count, and our own time of its create: two clocks are never compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from replicate_kit._formats.arguments import finite
from replicate_kit._formats.looks import unknown_pause
from replicate_kit.records import parse_time

if TYPE_CHECKING:
    from collections.abc import Hashable

    from replicate_kit._formats.looks import Durations

__all__ = ["note", "pause"]


def note(durations: Durations, job: Mapping[str, Any]) -> None:
    """Note how long one ran that has ended; one that was canceled, or failed, says nothing of the others."""
    if job.get("status") != "succeeded":
        return
    ran = _between(job, "started_at", "completed_at")
    if ran is None:
        metrics = job.get("metrics")
        ran = finite(metrics.get("predict_time")) if isinstance(metrics, Mapping) else None
    if ran is not None:
        durations.note(_kind(job), ran)


def pause(
    durations: Durations,
    job: Mapping[str, Any],
    age: float | None,
    waited: float,
    growth: float | None = None,
) -> float:
    """Seconds until the next look at one that runs.

    `age` is for how long we know that it was created, None where that was not seen; `waited` how long we have waited.
    `growth` is how fast pauses grow where nothing is known.
    """
    known, queued = durations.of(_kind(job)), _between(job, "created_at", "started_at")
    if known is None or age is None or (queued is not None and queued > age):  # the service's clocks disagree
        passed = waited if age is None else age
        return unknown_pause(
            passed, **({} if growth is None else {"growth": growth}), least=durations.least_pause
        )
    if queued is None and job.get("status") == "starting":
        return known.queue_pause(age, durations.least_pause)
    return known.pause(age - (queued or 0.0), durations.least_pause)


def _kind(job: Mapping[str, Any]) -> Hashable:
    """What those have in common that take alike: official models show no version, deployments have hardware of their
    own.
    """
    return tuple(str(job.get(name)) for name in ("model", "version", "deployment"))


def _between(job: Mapping[str, Any], first: str, second: str) -> float | None:
    """Seconds between two times of the server; None where it shows one of them not, or they are in no order."""
    earlier, later = parse_time(job.get(first)), parse_time(job.get(second))
    if earlier is None or later is None or later < earlier:
        return None
    return (later - earlier).total_seconds()
