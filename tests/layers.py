"""A layer for tests, which is its own plugin: pass it as `plugins=[…]`, and override `send`."""

from __future__ import annotations

from typing import Any

from replicate_kit import hookimpl

__all__ = ["Between"]


class Between:
    """Stands between a client and its backend, `inner`."""

    inner: Any

    @hookimpl
    def replicate_transport_layer(self) -> Any:
        def layer(inner: Any) -> Any:
            self.inner = inner
            return self

        return layer

    async def send(self, request: Any, /, *, stream: bool = False) -> Any:
        """Send a request on."""
        return await self.inner.send(request, stream=stream)

    async def aclose(self) -> None:
        """Close what is inside."""
        await self.inner.aclose()
