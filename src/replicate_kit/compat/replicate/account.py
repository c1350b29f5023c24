"""Accounts."""

from __future__ import annotations

from replicate_kit._runtime.blocking import blocking
from replicate_kit.compat.replicate.resource import Namespace, Resource
from replicate_kit.records import Field

__all__ = ["Account", "Accounts"]


class Account(Resource):
    """A user or an organization."""

    type: Field[str] = Field()
    username: Field[str] = Field()
    name: Field[str] = Field()
    github_url: Field[str | None] = Field()


class Accounts(Namespace):
    """Operations on accounts."""

    async def async_current(self) -> Account:
        """Fetch the account that the token is of."""
        return await self._fetch(Account, "GET", "account")

    current = blocking(async_current)
