"""The account that the token belongs to."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from replicate_kit import Client
from replicate_kit.errors import AuthenticationError, InvalidResponse
from replicate_kit.testing.suites import Drive


def test_the_account_is_that_of_the_token(client: Client, drive: Drive) -> None:
    account = drive(client.accounts.async_current())
    assert (account.type, account.username) == ("user", "local")
    assert repr(account) == "<Account: local>"


def test_a_token_that_is_not_valid_is_an_error_that_says_what_to_do(connect: Any, drive: Drive) -> None:
    refused = {
        "title": "Unauthenticated",
        "detail": "You did not pass a valid authentication token",
        "status": 401,
    }
    client, _ = connect(httpx.Response(401, json=refused))
    with pytest.raises(AuthenticationError, match="replicate-kit auth status"):
        drive(client.accounts.async_current())


def test_what_is_no_account_is_refused(connect: Any, drive: Drive) -> None:
    client, _ = connect(["odd"])
    with pytest.raises(InvalidResponse, match="not an account"):
        drive(client.accounts.async_current())
