"""A resource of its own, the records that it gives, and a type of output."""

from __future__ import annotations

from dataclasses import dataclass

from replicate_kit import Page, Resource, blocking
from replicate_kit.records import Field, Record
from replicate_kit.refs import escape


@dataclass(frozen=True)
class Pin:
    """What the workshop's models make: a note that can be pinned to a board."""

    text: str


class Board(Record):
    """A board with notes on it."""

    _named_by = ("name",)

    name: Field[str] = Field(default="")
    notes: Field[list[str]] = Field(default=[])


class Boards(Resource):
    """Operations on boards: `client.boards`."""

    async def async_list(self) -> Page[Board]:
        """List the boards."""
        page = await self.session.fetch("GET", "boards")
        return Page([Board(each) for each in page["results"]])

    async def async_add(self, name: str, pin: Pin) -> Board:
        """Pin a note to a board and give the board."""
        return Board(await self.session.fetch("POST", f"boards/{escape(name)}", json={"note": pin.text}))

    list = blocking(async_list)
    add = blocking(async_add)
