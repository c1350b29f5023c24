"""`replicate-kit auth`: a token goes in, and never comes out."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from replicate_kit._user.tokens import kept_token
from replicate_kit.cli import cli

API, TOKEN = "https://api.replicate.com", "r8_canary"


@pytest.fixture
def served(serve: Callable[..., Any]) -> str:
    """The origin of a service that knows one token."""

    def answer(request: Any) -> tuple[int, dict[str, str], bytes]:
        known = request.headers.get("authorization") == f"Bearer {TOKEN}"
        body = {"type": "user", "username": "local"} if known else {"detail": "Unauthenticated"}
        return 200 if known else 401, {"Content-Type": "application/json"}, json.dumps(body).encode()

    url: str = serve(answer).url
    return url


def auth(*arguments: str, code: int = 0, stdin: str | None = None, **environment: str) -> Result:
    """Run a command of `auth`, which must end with `code` and not show the token."""
    environment = {"REPLICATE_KIT_BACKEND": "http", **environment}
    result = CliRunner(env=environment).invoke(cli, ["auth", *arguments], input=stdin, catch_exceptions=False)
    assert result.exit_code == code, result.output
    assert TOKEN not in result.output
    return result


def test_a_token_is_checked_kept_used_and_forgotten(served: str) -> None:
    where = {"REPLICATE_BASE_URL": served}
    file = str(Path(os.environ["XDG_CONFIG_HOME"], "replicate-kit", "tokens.json"))
    assert "Run `replicate-kit auth login`" in auth("status", code=1, **where).stderr
    said = auth("login", stdin=f"{TOKEN}\n", **where).stdout
    assert said == f"The API token of local for {served} is kept in {file}.\n"
    assert json.loads(auth("status", "--json", **where).stdout)["token"] == file
    account = CliRunner(env={"REPLICATE_KIT_BACKEND": "http", **where}).invoke(cli, ["account"])
    assert "local" in account.stdout
    assert auth("status", code=1).stdout.splitlines()[1] == "token\tnone"
    assert f"was removed from {file}" in auth("logout", **where).stdout
    assert "No API token is kept" in auth("logout", **where).stderr


@pytest.mark.parametrize("option", [(), ("--token-stdin",)])
def test_a_wrong_token_is_not_kept(served: str, option: tuple[str, ...]) -> None:
    result = auth("login", *option, stdin="r8_wrong", code=1, REPLICATE_BASE_URL=served)
    assert "does not know this token, and nothing was kept" in result.stderr
    assert kept_token(served) is None


def test_a_service_that_is_not_reached_can_be_left_unasked() -> None:
    nowhere = {"REPLICATE_BASE_URL": "http://127.0.0.1:9"}
    assert "Pass --no-check" in auth("login", stdin=TOKEN, code=1, **nowhere).stderr
    auth("login", "--no-check", stdin=TOKEN, **nowhere)
    assert kept_token("http://127.0.0.1:9") == TOKEN


@pytest.mark.parametrize(
    ("arguments", "stdin", "said"),
    [
        (("login",), "", "No token was given"),
        (("login",), " \n", "No token was given"),
        (("login",), f"{TOKEN} {TOKEN}", "holds characters that cannot be sent"),
        (("login", TOKEN), "", "stays in the history of the shell"),
        (("login", "--backend", "mock"), TOKEN, "uses no token that is kept here"),
        (("status", "--backend", "mock"), "", "uses no token that is kept here"),
    ],
)
def test_what_cannot_be_kept_says_why(arguments: tuple[str, ...], stdin: str, said: str) -> None:
    assert said in auth(*arguments, stdin=stdin, code=2).stderr
    assert kept_token(API) is None


def test_the_environment_takes_precedence_and_that_is_said() -> None:
    set_too = {"REPLICATE_API_TOKEN": "r8_other"}
    assert "takes precedence" in auth("login", "--no-check", stdin=TOKEN, **set_too).stderr
    found = json.loads(auth("status", "--json", **set_too).stdout)
    assert (found["token"], found["kept"] is None) == ("REPLICATE_API_TOKEN", False)
    assert "takes precedence" in auth("logout", **set_too).stderr


def test_at_a_terminal_it_is_asked_for_and_not_shown() -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "replicate_kit", "auth", "login", "--no-check", "--backend", "http"]
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    ) as program:
        os.close(theirs)
        seen = b""
        while b"(it is not shown)" not in seen:
            seen += os.read(ours, 1000)
        os.write(ours, f"{TOKEN}\n".encode())
        while b"is kept in" not in seen:
            seen += os.read(ours, 1000)
    os.close(ours)
    assert program.returncode == 0
    assert b"https://replicate.com/account/api-tokens" in seen
    assert TOKEN.encode() not in seen
    assert kept_token(API) == TOKEN
