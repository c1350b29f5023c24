"""The account that the token belongs to."""

from __future__ import annotations

from typing import Literal

from replicate_kit._runtime.blocking import blocking
from replicate_kit.records import Field, Record
from replicate_kit.resources._resource import Resource

__all__ = ["Account", "Accounts"]


class Account(Record):
    """A user or an organization."""

    _named_by = ("username",)

    type: Field[Literal["user", "organization"] | str] = Field(default="")
    username: Field[str] = Field(default="")
    name: Field[str | None] = Field()
    avatar_url: Field[str | None] = Field()
    github_url: Field[str | None] = Field()


class Accounts(Resource):
    """Operations on accounts: `client.accounts`."""

    async def async_current(self) -> Account:
        """Fetch the account that the token belongs to.

        >>> from replicate_kit import Client
        >>> Client(backend="mock").accounts.current().type
        'user'
        """
        return await self._get(Account, "account")

    current = blocking(async_current)
