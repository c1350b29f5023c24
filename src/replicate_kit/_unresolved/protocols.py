"""What a search for unresolved creates is given: the creates, and whom it may ask."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    from replicate_kit._unresolved.clocks import Clocks, Span

__all__ = ["JSON", "Bounds", "Finding", "Outcome", "Owner", "Source", "Unresolved"]

T = TypeVar("T")
C = TypeVar("C", bound="Unresolved")

JSON = dict[str, Any]

Outcome = Literal["found", "absent", "unknown", "later"]
"""What became of a create; "later" says that this is not sure yet, and may be after another look."""


class Unresolved(Protocol):
    """A create that was sent and whose outcome is unknown."""

    @property
    def input(self) -> str:
        """Its canonical input."""
        ...

    @property
    def fingerprint(self) -> bytes:
        """That of the input as it was sent."""
        ...

    @property
    def ours(self) -> Span | None:
        """When the server may act on it, by our clock; None where that was not noted."""
        ...

    @property
    def theirs(self) -> Span:
        """The same by the server's clock, as far as that was known when the create was sent."""
        ...

    @property
    def latest(self) -> float:
        """When, by our clock, the server has acted on it if it ever does, whatever the clocks have shown since."""
        ...


class Owner(NamedTuple):
    """What is known of the create that a prediction belongs to: whether it is of the same model, and what was sent.

    `input` is its canonical input, None where that is not kept; `fingerprint` is that of what was sent.
    """

    is_ours: bool
    input: str | None
    fingerprint: bytes | None = None


class Finding(NamedTuple, Generic[C]):
    """What became of a create: with its prediction if that was found, else with those that may be it."""

    create: C
    outcome: Outcome
    prediction: JSON | None = None
    candidates: tuple[JSON, ...] = ()


class Bounds(NamedTuple):
    """How far a search goes: how many pages of the list it follows, how many predictions it gets one by one, and how
    many of those at first, before it sees whether the others still need it.
    """

    pages: int = 500
    gets: int = 5000
    at_first: int = 16


class Source(Protocol):
    """Whom a search may ask: the API, and whoever knows which predictions belong to other creates."""

    @property
    def clocks(self) -> Clocks:
        """Ours and the server's."""
        ...

    @property
    def timeout(self) -> float:
        """Seconds that a request of ours may take."""
        ...

    @property
    def settling(self) -> float:
        """Seconds after which a create has been acted on and listed, if it ever is."""
        ...

    async def compare_clocks(self) -> None:
        """Learn the server's time, unless it is known."""

    async def page(self, link: str | None = None, **filters: str) -> tuple[list[JSON], str | None]:
        """List one page of predictions, newest first; give it and the link to the next."""
        ...

    async def gets(self, ids: Collection[str], found: dict[str, JSON]) -> None:
        """Get predictions one by one into `found`, which shows at least as much of them as a list does.

        What does not exist is left out. What came before a failure stays there.
        """

    async def known(self, since: float) -> list[str]:
        """Name predictions that are known to exist and were created since a time of the server's clock."""
        ...

    async def owners(self, ids: list[str]) -> Mapping[str, Owner]:
        """Tell which of these predictions belong to other creates, and what was sent for them."""
        ...

    async def in_thread(self, function: Callable[[], T]) -> T:
        """Call what computes for a while, without holding up an event loop."""
        ...
