"""What is known of one server: how it is, and how many predictions it takes at once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from replicate_kit_cog.predictions import Prediction

__all__ = ["Health", "Server"]

_PROBED_AGAIN = 1.0  # seconds after a server had no slot more than is known
_TWICE = 2  # a single 409 says little: a free server answers so, too, in a few of a hundred calls
_PAUSE = 0.02  # seconds after a server refused though nothing of ours is there; doubled up to
_LONGEST_PAUSE = 0.25

_ADVICE = {
    "UNHEALTHY": "its worker has crashed, or its own health check fails. Restart it: it takes no more predictions "
    "until then",
    "DEFUNCT": "its worker has crashed, and it ends. Restart it",
    "SETUP_FAILED": "its model could not be set up. Read its log, and start it again",
}


class Health(NamedTuple):
    """What `/health-check` says. `coglet` is the version of the newer server, "" for the older one (0.16)."""

    status: str
    coglet: str = ""
    logs: str = ""
    started_at: str = ""

    @classmethod
    def read(cls, body: Any) -> Health | None:
        """Read an answer; None for one that is not of Cog."""
        if not isinstance(body, Mapping) or not isinstance(body.get("status"), str):
            return None
        start, version = body.get("setup") or {}, body.get("version") or {}
        if not isinstance(start, Mapping) or not isinstance(version, Mapping):
            return None
        logs = str(start.get("logs") or "")
        return cls(body["status"], str(version.get("coglet") or ""), logs, str(start.get("started_at") or ""))

    @property
    def takes(self) -> bool:
        """Whether a server takes predictions, now or once it is less busy."""
        return self.status in ("READY", "BUSY")

    @property
    def fault(self) -> str:
        """What keeps a server from working, and what to do about it."""
        if self.status == "STARTING":
            return "it is still starting"
        last = self.logs.strip().splitlines()[-1:] if self.status == "SETUP_FAILED" else []
        advice = _ADVICE.get(self.status, f"it is {self.status}. Look at its log")
        return f"{advice} (it said: {last[0]})" if last else advice


class Server:
    """One server of a pool. How many slots it has, no version of Cog says: it is found out by what is refused."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.health: Health | None = None
        self.fault: str | None = None
        """Why it cannot be used; None while it can, or while that is unknown."""
        self.schema: dict[str, Any] = {}
        self.looked_at: float | None = None
        self.slots = 1
        self.taken: dict[Prediction, int] = {}
        """What it works on, and how many that made when it was sent."""
        self.crew = 0
        """How many predictions its worker was at when it crashed."""
        self._probes: set[Prediction] = set()
        self._probe_at = self._free_at = 0.0
        self._refusals = 0

    @property
    def usable(self) -> bool:
        """Whether it takes predictions, as far as is known."""
        return self.health is not None and self.fault is None

    @property
    def is_starting(self) -> bool:
        """Whether it will be usable by itself."""
        return self.health is not None and self.health.status == "STARTING"

    @property
    def streams(self) -> bool:
        """Whether its model gives events (Cog 0.23: the operation is marked in its schema)."""
        found = _below(self.schema, "paths", "/predictions", "post")
        return isinstance(found, Mapping) and found.get("x-cog-streaming") is True

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the model's inputs; none where it has no schema."""
        found = _below(self.schema, "components", "schemas", "Input", "properties")
        return tuple(sorted(found)) if isinstance(found, Mapping) else ()

    @property
    def version(self) -> str:
        """The schema as a text: the same for the same one."""
        return json.dumps(self.schema.get("components"), sort_keys=True) if self.schema else ""

    def room(self, now: float) -> float:
        """How much of it is free, from 0 to 1; next to nothing where one more than is known would be a try."""
        if not self.usable or now < self._free_at:
            return 0.0
        if len(self.taken) < self.slots:
            return 1 - len(self.taken) / self.slots
        return 1e-6 if now >= self._probe_at and len(self.taken) < 2 * self.slots else 0.0

    def take(self, prediction: Prediction) -> None:
        """A prediction is sent to it."""
        if len(self.taken) >= self.slots:
            self._probes.add(prediction)
        self.taken[prediction] = len(self.taken) + 1

    def accepted(self, prediction: Prediction) -> None:
        """It did not refuse the prediction, and so has as many slots as were taken then."""
        self._refusals = 0
        self._probes.discard(prediction)
        if (count := self.taken.get(prediction)) is not None:
            self.slots = max(self.slots, count - len(self._probes))

    def refused(self, prediction: Prediction, now: float) -> float:
        """It answered that it is busy; give the seconds after which to try again, 0 for at once or at the next end."""
        is_probe = prediction in self._probes
        self.release(prediction)
        self._refusals += not is_probe
        if is_probe or self._refusals >= _TWICE:
            self._probe_at = now + _PROBED_AGAIN
        if self._refusals >= _TWICE and not is_probe:
            self.slots = max(1, len(self.taken))
        if self.taken:
            return 0.0
        pause = min(_PAUSE * 2.0 ** min(self._refusals, 10), _LONGEST_PAUSE)
        self._free_at = now + pause
        return pause

    def release(self, prediction: Prediction) -> None:
        """It is done with a prediction."""
        self._probes.discard(prediction)
        self.taken.pop(prediction, None)

    def learn(self, health: Health | None, fault: str | None) -> None:
        """Take in how it is; None is for a server that cannot be reached, or is none of Cog's."""
        if health is not None and health.takes and self.fault is not None:
            self.crew = 0
        self.health = health
        self.fault = fault or (None if health is None or health.takes else health.fault)


def _below(document: Any, *names: str) -> Any:
    """What is deep in a document; None where it is not there."""
    for name in names:
        document = document.get(name) if isinstance(document, Mapping) else None
    return document
