"""A list that is behind what is created all the time: what it says of a create that cannot be found, at which time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from replicate_kit._formats.references import Reference
from replicate_kit._unresolved.canonical import canonical, fingerprint
from replicate_kit._unresolved.clocks import Clocks, Span
from replicate_kit._unresolved.protocols import Owner
from replicate_kit._unresolved.search import Search

BEGAN = 1_000_000.0
LAG, SETTLING = 2.0, 10.0
INPUT = {"prompt": "sea"}


class Clock(Clocks):
    """One clock for us and the server, moved by hand."""

    time = BEGAN

    def now(self) -> float:
        return self.time


@dataclass
class Create:
    """A create that was never sent, for which there was time until `theirs.last`, and in truth until `latest`."""

    theirs: Span
    latest: float
    ours: Span | None = None
    input: str = canonical(INPUT)
    fingerprint: bytes = fingerprint(INPUT)


class Busy:
    """Creates a prediction of another input each second; lists and gets show them, the list late."""

    timeout, settling = 1.0, SETTLING

    def __init__(self) -> None:
        self.clocks = Clock()

    def _all(self, until: float) -> dict[str, dict[str, Any]]:
        return {str(at): _made(at) for at in range(int(BEGAN), int(until) + 1)}

    async def compare_clocks(self) -> None:
        self.clocks.dated(int(self.clocks.time), self.clocks.time)

    async def page(self, link: str | None = None, **filters: str) -> tuple[list[dict[str, Any]], None]:
        return list(self._all(self.clocks.time - LAG).values()), None

    async def gets(self, ids: Collection[str], found: dict[str, dict[str, Any]]) -> None:
        found |= {id: each for id, each in self._all(self.clocks.time).items() if id in ids}

    async def known(self, since: float) -> list[str]:
        return list(self._all(self.clocks.time))

    async def owners(self, ids: list[str]) -> Mapping[str, Owner]:
        return {id: Owner(True, canonical(_made(int(id))["input"])) for id in ids}

    async def in_thread(self, function: Callable[[], Any]) -> Any:
        return function()


def _made(at: int) -> dict[str, Any]:
    return {
        "id": str(at),
        "model": "acme/poet",
        "input": {"prompt": f"sea {at}"},
        "created_at": datetime.fromtimestamp(at, UTC).isoformat(),
    }


@pytest.mark.parametrize("had", [5.0, 60.0, 3600.0])
@pytest.mark.parametrize("took_over", [0.0, 4.0, 30.0])
def test_a_create_of_a_dead_run_is_absent_once_the_list_shows_all_of_its_time(
    had: float, took_over: float
) -> None:
    source, latest = Busy(), BEGAN + took_over + SETTLING
    create = Create(Span(BEGAN, BEGAN + had), latest)
    search: Search[Create] = Search(source, Reference.parse("acme/poet"), None)
    seen = dict[float, str]()
    for step in range(400):
        source.clocks.time = BEGAN + step / 4
        ((_, seen[source.clocks.time], *_),) = asyncio.run(search.look([create]))
    assert set(seen.values()) == {"later", "absent"}
    absent = min(at for at, each in seen.items() if each == "absent")
    # Not before the list shows what the server may have done; no later than that and what two clocks may differ by.
    over = min(latest, BEGAN + had)
    assert over <= absent <= over + LAG + 7.0
