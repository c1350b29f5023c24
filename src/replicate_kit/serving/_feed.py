"""The requests that came lately, for whoever looks at the page."""

from __future__ import annotations

import itertools
import time
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Feed", "Visit"]

KEPT = 300


@dataclass(eq=False)
class Visit:
    """One request. `change` grows with every change of any visit, so that one can ask for what is new."""

    number: int
    change: int
    at: float
    method: str
    target: str
    agent: str
    hidden: bool = False
    status: int | None = None
    operation: str = ""
    seconds: float | None = None


def _by_the_page(headers: Any) -> bool:
    """Whether a browser fetches what the page shows, which nobody wants to see there again."""
    found = {name: value for name, value in headers if name.startswith(b"sec-fetch-")}
    shown = found.get(b"sec-fetch-dest") in (b"image", b"audio", b"video")
    return shown and found.get(b"sec-fetch-site") == b"same-origin"


class Feed:
    """Takes down what comes in, and how it was answered. It belongs to the event loop."""

    def __init__(self) -> None:
        self._visits: deque[Visit] = deque(maxlen=KEPT)
        self._changes, self._numbers = itertools.count(1), itertools.count(1)

    def begin(self, scope: Any) -> Visit:
        """A request arrives."""
        agent = next((value for name, value in scope["headers"] if name == b"user-agent"), b"")
        query = b"?" + scope["query_string"] if scope["query_string"] else b""
        visit = Visit(
            number=next(self._numbers),
            change=next(self._changes),
            at=time.time(),
            method=scope["method"],
            target=(scope["raw_path"] + query).decode("latin-1")[:500],
            agent=agent.decode("latin-1")[:100],
            hidden=_by_the_page(scope["headers"]),
        )
        if not visit.hidden:
            self._visits.append(visit)
        return visit

    def end(self, visit: Visit, status: int, operation: str) -> None:
        """It is answered; 0 stands for a connection that was cut."""
        visit.status, visit.operation = status, operation
        visit.seconds, visit.change = time.time() - visit.at, next(self._changes)

    def since(self, change: int) -> list[dict[str, Any]]:
        """What arrived or was answered after `change`, oldest first."""
        return [asdict(each) for each in self._visits if each.change > change]
