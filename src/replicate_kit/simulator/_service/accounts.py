"""Who asks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from replicate_kit._formats.wording import listed
from replicate_kit.simulator._state.problems import unauthenticated
from replicate_kit.transport import Request

__all__ = ["Accounts"]


class Accounts:
    """Tells accounts by their tokens.

    `tokens` maps tokens to user names, or lists those of `default`. Without it any token is good, and so is none unless
    `require_token` says otherwise.
    """

    def __init__(
        self,
        default: str,
        tokens: Mapping[str, str] | Iterable[str] | None = None,
        *,
        require_token: bool = False,
    ) -> None:
        self.default = default
        self._known = None if tokens is None else _named(tokens, default)
        self._required = require_token or tokens is not None
        self._described: dict[str, Mapping[str, Any]] = {}
        self._owners: dict[str, frozenset[str]] = {}

    def of(self, request: Request) -> str:
        """The account whose token a request bears, or 401."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        token = token.strip() if scheme.lower() in ("bearer", "token") else ""
        if not token:
            if self._required:
                raise unauthenticated("You did not pass an authentication token")
            return self.default
        if self._known is None:
            return self.default
        if token not in self._known:
            raise unauthenticated("You did not pass a valid authentication token")
        return self._known[token]

    def owners(self, username: str) -> frozenset[str]:
        """For whom an account acts: itself, and the organizations of which it is a member."""
        return self._owners.get(username) or frozenset({username})

    def add(self, account: Mapping[str, Any], members: Iterable[str]) -> None:
        """Take in what is known of an account, and who acts for it beside itself; forget what was known before."""
        username = account["username"]
        self._described[username] = account
        self._owners = {
            member: owners if member == username else owners - {username}
            for member, owners in self._owners.items()
        }
        for member in members:
            self._owners[member] = self.owners(member) | {username}

    def describe(self, username: str) -> dict[str, Any]:
        """An account as the API gives it."""
        return {
            "type": "user",
            "username": username,
            "name": username.replace("-", " ").title(),
            "github_url": f"https://github.com/{username}",
            "avatar_url": f"https://github.com/{username}.png",
            **self._described.get(username, {}),
        }


def _named(tokens: Mapping[str, str] | Iterable[str], default: str) -> dict[str, str]:
    return dict(tokens) if isinstance(tokens, Mapping) else dict.fromkeys(listed(tokens), default)
