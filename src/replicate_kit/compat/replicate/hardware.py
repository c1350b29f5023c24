"""Hardware."""

from __future__ import annotations

import builtins
import warnings

from replicate_kit._runtime.blocking import blocking
from replicate_kit.compat.replicate.resource import Namespace, Resource
from replicate_kit.records import Field

__all__ = ["Hardware", "HardwareNamespace"]


class Hardware(Resource):
    """A kind of machine."""

    sku: Field[str] = Field()
    name: Field[str] = Field()

    @property
    def id(self) -> str:
        """Deprecated: use `sku`."""
        warnings.warn("Use `sku` instead of `id`", DeprecationWarning, stacklevel=2)
        return self.sku


class HardwareNamespace(Namespace):
    """Operations on hardware."""

    async def async_list(self) -> builtins.list[Hardware]:
        """List all kinds of hardware."""
        return [
            Hardware(each)._on(self._client) for each in await self._client.session.fetch("GET", "hardware")
        ]

    list = blocking(async_list)
