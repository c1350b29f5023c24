"""A resource of its own, the records that it gives, and a type of output."""

from __future__ import annotations

from dataclasses import dataclass

from replicate_kit import Page, Resource, blocking
from replicate_kit.records import Field, Record
from replicate_kit.session import escape


@dataclass(frozen=True)
class Pin:
    """What the workshop's models make: a note that can be pinned to a board."""

    text: str


class Pinboard(Record):
    """A board with notes on it."""

    _named_by = ("name",)

    name: Field[str] = Field(default="")
    notes: Field[list[str]] = Field(default=[])


class Pinboards(Resource):
    """Operations on boards: `client.pinboards`."""

    async def async_list(self) -> Page[Pinboard]:
        """List the boards."""
        page = await self.session.fetch("GET", "boards")
        return Page([Pinboard(each) for each in page["results"]])

    async def async_add(self, name: str, pin: Pin) -> Pinboard:
        """Pin a note to a board and give the board."""
        return Pinboard(await self.session.fetch("POST", f"boards/{escape(name)}", json={"note": pin.text}))

    list = blocking(async_list)
    add = blocking(async_add)
