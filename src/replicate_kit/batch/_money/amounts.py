"""Numbers that guard money and pace: those that callers pass, and those that servers send."""

from __future__ import annotations

from collections.abc import Mapping
from reprlib import repr as shown
from typing import Any

from replicate_kit._formats.arguments import finite
from replicate_kit.errors import ConfigError
from replicate_kit.records import parse_time

__all__ = ["LONGEST", "SECONDS", "amount", "amounts", "billed_seconds", "counted_metrics", "whole"]

# Seconds. The API ends a prediction after 30 minutes (its documentation of prediction limits), for some accounts
# later. A day is no running time of a prediction, so a server that tells one is wrong.
LONGEST = 86_400.0

SECONDS = "predict_time"
"""The metric that is the running time (the API's OpenAPI description)."""


def amount(name: str, value: Any, hint: str = "", *, positive: bool = False) -> float:
    """Read a number that may have a fraction: 0 or more, or more than 0 where it must be `positive`.

    Takes what is a number for Python, numpy's included, and decimals. Raises `ConfigError`, which names the option,
    for everything else: true and false, texts, what is not finite. `hint` is what else may be passed.

    >>> from decimal import Decimal
    >>> amount("price", Decimal("0.25")), amount("budget", 3)
    (0.25, 3.0)
    """
    found = finite(value)
    if found is None or found < 0 or (positive and found == 0):
        raise _refusal(name, value, f"a finite number of {'more than 0' if positive else '0 or more'}{hint}")
    return found


def whole(name: str, value: Any, least: int, hint: str = "") -> int:
    """Read a number without a fraction, of at least `least`; raises `ConfigError` as `amount` does.

    >>> whole("retries", 2.0, 0)
    2
    """
    found = finite(value)
    if found is None or found < least or not found.is_integer():
        enough = f"at least {least}" if least else "0 or more"
        raise _refusal(name, value, f"a whole number of {enough}{hint}")
    return int(value)


def amounts(name: str, value: Any, example: float) -> dict[str, float]:
    """Read amounts of metrics by the names of these, as `amount` reads one.

    >>> amounts("most", {"output_token_count": 512}, 512)
    {'output_token_count': 512.0}
    """
    if (
        not isinstance(value, Mapping)
        or not value
        or not all(each and isinstance(each, str) for each in value)
    ):
        wanted = f"amounts by names of metrics, such as {{'output_token_count': {example:g}}}"
        raise _refusal(name, value, wanted)
    return {each: amount(f"{name}[{each!r}]", number) for each, number in value.items()}


def counted_metrics(prediction: Mapping[str, Any]) -> dict[str, float]:
    """What the model counted, of the metrics of a prediction that has ended: those that are numbers of 0 or more."""
    metrics = prediction.get("metrics")
    if not isinstance(metrics, dict):
        return {}
    found = {name: finite(value) for name, value in metrics.items()}
    return {name: value for name, value in found.items() if value is not None and value >= 0}


def billed_seconds(prediction: dict[str, Any]) -> float | None:
    """The running time of a prediction that has ended; None where it is not known.

    A time that cannot be true counts as not known, and what is not known is charged as the most that the prediction
    may have cost: a wrong number of a server must never make what was spent look smaller than it may be.
    """
    if prediction.get("status") == "aborted":  # it ended before it began, which is not billed
        return 0.0
    metrics = prediction.get("metrics")
    measured = metrics.get(SECONDS) if isinstance(metrics, dict) else None
    if measured is not None:
        return _possible(measured)
    return _between(prediction, "started_at" if prediction.get("started_at") else "created_at")


def _between(prediction: dict[str, Any], start: str) -> float | None:
    """The time to the end: from the start, or from the creation, as one that was canceled early may have no start."""
    began, completed = parse_time(prediction.get(start)), parse_time(prediction.get("completed_at"))
    return _possible((completed - began).total_seconds()) if began and completed else None


def _possible(seconds: Any) -> float | None:
    """A running time, if a prediction can have run so long."""
    found = finite(seconds)
    return found if found is not None and 0 <= found <= LONGEST else None


def _refusal(name: str, value: Any, wanted: str) -> ConfigError:
    """Say what is wrong with an option, and what to pass."""
    return ConfigError(f"{name}={shown(value)} cannot be used. Pass {wanted}. Nothing was created.")
