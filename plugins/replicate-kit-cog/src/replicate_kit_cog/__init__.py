"""Models on your own Cog servers: `Client(backend="cog", base_url="http://gpu-1:5000")`, or `CogBackend([…])`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from replicate_kit_cog.backend import CogBackend

__all__ = ["CogBackend"]

__tracebackhide__ = True  # replicate_kit leaves our frames out of the tracebacks of mistakes


def __getattr__(name: str) -> Any:
    # What makes predictions is loaded when a backend is asked for: every client imports this package.
    if name == "CogBackend":
        from replicate_kit_cog.backend import CogBackend

        return CogBackend
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
