"""What can go wrong on purpose."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Collection
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, get_type_hints

from replicate_kit.simulator._faults.operations import NAMES

__all__ = ["Fault", "describe", "problem_body"]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A rule: for which requests, and what happens to them.

    Which: `operation` is a name from the API's description, with `*` for any part (`predictions.create`, `*.create`,
    `outputs.get`, `streams.get`, or `webhooks` for deliveries); `model` likewise names models (`acme/*`). Of the
    requests that fit, `calls` picks some by number, from 1 on, `probability` picks at random (the same ones for the
    same `seed`), and `times` ends it after so many.

    What: `status` answers with it (`retry_after` seconds in header and body, `body` in place of the usual one); `cut`
    breaks the connection without an answer; `refuse` does not even let it be made; `truncate` breaks it after so many
    bytes of the body. `acted` says that the work is done all the same before `status` or `cut`, so that a create leaves
    a prediction that nobody was told of. `delay` takes seconds before the answer. `jump` moves the simulator's clock.
    `duplicate` and `reorder` are for webhooks: sent twice, or after the next one.

    Raises ValueError for an `operation` that names none of the API's, and for a number that cannot be.

    >>> Fault(operation="*.create", calls={2}, status=503, retry_after=1).status
    503
    """

    operation: str = "*"
    model: str | None = None
    calls: Collection[int] | None = None
    probability: float = 1.0
    seed: int = 0
    times: int | None = None
    status: int | None = None
    retry_after: int | None = None
    body: str | None = None
    acted: bool = False
    cut: bool = False
    refuse: bool = False
    truncate: int | None = None
    delay: float = 0.0
    jump: float = 0.0
    duplicate: bool = False
    reorder: bool = False

    def __post_init__(self) -> None:
        _check_operation(self.operation)
        for name, (low, high) in _RANGES.items():
            _check_range(name, getattr(self, name), low, high)

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Read a fault as the command line writes it: `operation` and then `name=value`, separated by commas.

        Raises ValueError, saying what is wrong.

        >>> Fault.parse("*.create,calls=1+3,status=429,retry_after=2").calls
        {1, 3}
        """
        operation, *settings = text.split(",")
        values = dict(_setting(each) for each in settings)
        return cls(**{"operation": operation.strip() or "*", **values})


# The numbers that a fault may have; what is None is not asked for.
_RANGES = {
    "calls": (1, math.inf),
    "probability": (0, 1),
    "times": (0, math.inf),
    "status": (100, 599),
    "retry_after": (0, math.inf),
    "truncate": (0, math.inf),
    "delay": (0, math.inf),
    "jump": (-math.inf, math.inf),
}


def _check_range(name: str, value: Any, low: float, high: float) -> None:
    """Raise for a number that is out of its range, is none, or has no end."""
    for each in value if isinstance(value, Collection) else () if value is None else (value,):
        if not (low <= each <= high and math.isfinite(each)):
            bounds = (
                f"{low} to {high}"
                if math.isfinite(high)
                else "a finite number"
                if low < 0
                else f"{low} or more"
            )
            raise ValueError(f"A fault's {name!r} cannot be {each}. It is {bounds}.")


def _check_operation(pattern: str) -> None:
    """Raise for a fault that could never strike."""
    if any(fnmatchcase(name, pattern) for name in NAMES):
        return
    from difflib import get_close_matches

    parts = (name.split(".") for name in NAMES if "." in name)
    patterns = sorted({each for first, *_, last in parts for each in (f"{first}.*", f"*.{last}")})
    # A pattern is compared with patterns, so that each is answered by its like.
    close = get_close_matches(pattern, patterns if "*" in pattern else NAMES, n=3, cutoff=0.7)
    hint = f"Did you mean {' or '.join(map(repr, close))}?" if close else f"There are: {', '.join(NAMES)}."
    raise ValueError(f"No operation of the API is called {pattern!r}. {hint}")


def _setting(text: str) -> tuple[str, Any]:
    """Read `name=value`; a name alone is a switch that is on."""
    name, equals, value = (part.strip() for part in text.partition("="))
    hints = get_type_hints(Fault)
    if name not in hints:
        raise ValueError(f"A fault has no {name!r}. It has: {', '.join(sorted(hints))}.")
    try:
        return name, _read(str(hints[name]), value if equals else "true")
    except ValueError:
        raise ValueError(f"{value!r} is no value for a fault's {name!r}.") from None


def _read(kind: str, value: str) -> Any:
    # The order matters: `Collection[int] | None` has "int" in its name as well.
    if "Collection" in kind:
        return {int(number) for number in value.split("+")}
    if "bool" in kind:
        # False falls through to `_no`, which tells it from a word that means neither.
        return {"true": True, "false": False, "1": True, "0": False}.get(value.lower()) or _no(value)
    if "float" in kind:
        return float(value)
    return int(value) if "int" in kind else value


def _no(value: str) -> bool:
    """Accept what means no, and nothing else."""
    if value.lower() not in ("false", "0"):
        raise ValueError(value)
    return False


def describe(fault: Fault) -> str:
    """Write a fault as `Fault.parse` reads it."""
    changed = [
        f"{each.name}={_write(getattr(fault, each.name))}"
        for each in dataclasses.fields(fault)
        if each.name != "operation" and getattr(fault, each.name) != each.default
    ]
    return ",".join([fault.operation, *changed])


def _write(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int | float) else "+".join(map(str, value))


def problem_body(fault: Fault) -> tuple[bytes, str]:
    """The body of an answer that a fault makes, and its type."""
    if fault.body is not None:
        return fault.body.encode(), "text/html" if fault.body.lstrip().startswith("<") else "text/plain"
    body: dict[str, Any] = {"detail": "The simulator was told to answer so.", "status": fault.status}
    if fault.status == 429:
        body["detail"] = f"Request was throttled. Your rate limit resets in ~{fault.retry_after or 1}s."
    if fault.retry_after is not None:
        body["retry_after"] = fault.retry_after
    return json.dumps(body).encode() + b"\n", "application/problem+json"
