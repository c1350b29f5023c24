"""The hardware that models can run on."""

from __future__ import annotations

import builtins

from replicate_kit._runtime.blocking import blocking
from replicate_kit.errors import InvalidResponse
from replicate_kit.records import Field, Record, records
from replicate_kit.resources._resource import Resource

__all__ = ["Hardware", "HardwareKinds"]


class Hardware(Record):
    """A kind of machine; `sku` is what models and deployments are created with."""

    _named_by = ("sku",)

    sku: Field[str] = Field(default="")
    name: Field[str] = Field(default="")


class HardwareKinds(Resource):
    """Operations on hardware: `client.hardware`."""

    async def async_list(self) -> builtins.list[Hardware]:
        """List all kinds of hardware.

        >>> from replicate_kit import Client
        >>> "cpu" in [hardware.sku for hardware in Client(backend="mock").hardware.list()]
        True
        """
        kinds = await self.session.fetch("GET", "hardware")
        if not isinstance(kinds, builtins.list):
            raise InvalidResponse(
                "The API's answer is not a list of hardware. Check that base_url leads to it."
            )
        return records(Hardware, kinds, self.session)

    list = blocking(async_list)
