"""`replicate-kit auth`: keeping the API token, where it comes from, and forgetting it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from replicate_kit.cli import _show
from replicate_kit.cli._aliases import Group
from replicate_kit.cli._options import as_json, connected
from replicate_kit.errors import AuthenticationError, ReplicateError

if TYPE_CHECKING:
    from replicate_kit.client import Client

__all__ = ["command"]

_PAGE = "https://replicate.com/account/api-tokens"
_VARIABLE = "REPLICATE_API_TOKEN"


@click.group("auth", cls=Group, short_help="Keep the API token, see where it comes from, forget it.")
def command() -> None:
    """Keep the API token for commands and programs that are given none, and forget it.

    A token is kept for the API that --base-url or REPLICATE_BASE_URL names, and sent to no other. REPLICATE_API_TOKEN
    takes precedence.
    """


@command.command("login")
@click.argument("typed", nargs=-1, metavar="")
@click.option("--token-stdin", is_flag=True, help="Read the token from standard input.")
@click.option(
    "--check/--no-check", default=True, show_default=True, help="Whether to ask the API for its account."
)
@connected
def login(client: Client, typed: tuple[str, ...], token_stdin: bool, check: bool) -> None:
    """Ask for an API token, and keep it.

    At a terminal it is not shown while you type it. Elsewhere it is read from standard input. It is kept in the
    system's keyring where there is one (the extra `keyring`), else in a file that nobody but you can read.

    \b
    echo "$TOKEN" | replicate-kit auth login --token-stdin
    """
    from replicate_kit._user.tokens import keep_token
    from replicate_kit.config import sendable_token

    if typed:
        raise click.UsageError(
            "A token on the command line is seen by others and stays in the history of the shell. Leave it out: it is "
            "asked for, or read from standard input."
        )
    origin = _origin(client)
    read = token_stdin or not _at_terminal()
    token = sendable_token(_from_input() if read else _asked(), "The API token")
    if token is None:
        raise click.UsageError(f"No token was given. {_PAGE} has yours.")
    who = _account_of(client.with_options(api_token=token)) if check else None
    source = keep_token(origin, token)
    click.echo(f"The API token{f' of {who}' if who else ''} for {origin} is kept in {source}.")
    _note_variable()


@command.command("status")
@as_json
@connected
def status(client: Client, as_json: bool) -> None:
    """Say where the API token comes from that is used, and nothing of what it is. Exits with 1 if there is none."""
    from replicate_kit._user.tokens import source_of_token

    origin, source = _origin(client), client.config.token_source
    found = {"api": origin, "token": source, "kept": source_of_token(origin)}
    if as_json:
        _show.print_json(found)
    else:
        _show.print_facts((name, value or "none") for name, value in found.items())
    if source is None:
        click.echo(f"There is no API token for {origin}. Run `replicate-kit auth login`.", err=True)
        raise SystemExit(1)


@command.command("logout")
@connected
def logout(client: Client) -> None:
    """Forget the API token that was kept. It stays valid until you delete it on https://replicate.com."""
    from replicate_kit._user.tokens import forget_token

    origin = _origin(client)
    source = forget_token(origin)
    if source is None:
        click.echo(f"No API token is kept for {origin}.", err=True)
    else:
        click.echo(f"The API token for {origin} was removed from {source}.")
    _note_variable()


def _origin(client: Client) -> str:
    """Find the origin that a token is kept for."""
    origin = client.config.kept_for
    if origin is None:
        raise click.UsageError(
            f"The backend {client.config.backend!r} uses no token that is kept here. For Replicate's API add "
            "--backend http."
        )
    return origin


def _at_terminal() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin is not None and sys.stdin.isatty()


def _from_input() -> str:
    """Read the token from standard input."""
    return "" if sys.stdin is None else sys.stdin.read()


def _asked() -> str:
    """Ask for the token."""
    click.echo(f"Copy an API token from {_PAGE}", err=True)
    return str(click.prompt("Token (it is not shown)", hide_input=True, err=True))


def _account_of(client: Client) -> str | None:
    """Find whose token it is. Nothing is kept where that fails."""
    try:
        return client.accounts.current().username
    except AuthenticationError:
        raise click.ClickException(
            f"The API does not know this token, and nothing was kept. Copy it again from {_PAGE}."
        ) from None
    except ReplicateError as error:
        error.add_note("Nothing was kept. Pass --no-check to keep the token unchecked.")
        raise


def _note_variable() -> None:
    """Say so where what was kept or removed is not what is used."""
    if os.environ.get(_VARIABLE, "").strip():
        click.echo(f"{_VARIABLE} is set, and takes precedence.", err=True)
