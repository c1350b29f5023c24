"""What the parts of a server know of it."""

from __future__ import annotations

from typing import Any, Protocol

from replicate_kit.serving._feed import Feed
from replicate_kit.serving._origins import Origins
from replicate_kit.simulator import Simulator

__all__ = ["Served"]


class Served(Protocol):
    """A simulator on sockets, as those who answer for it see it: `replicate_kit.serving.Server` is one."""

    feed: Feed
    origins: Origins
    allowed_origins: frozenset[Any]
    """As `checked_origins` gives them."""
    secret: str
    guarded: bool

    @property
    def simulator(self) -> Simulator:
        """The simulator that answers; another one after `reset`."""
        ...

    @property
    def public_url(self) -> str:
        """What links begin with that go out without a request."""
        ...

    def reset(self) -> None:
        """Begin again with a simulator that knows nothing but its models."""
        ...
