"""`replicate-kit doctor`: what would be used, from where, and whether it works; nothing is created."""

from __future__ import annotations

import os
import platform
import ssl
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, NamedTuple

import click

from replicate_kit.cli import _show
from replicate_kit.cli._options import as_json, debug, is_fleeting
from replicate_kit.cli._wording import as_typed
from replicate_kit.errors import ReplicateError

if TYPE_CHECKING:
    from replicate_kit.client import Client

__all__ = ["command"]

_PATIENCE = 10  # seconds for each phase of the one request
_LIBRARIES = (
    "replicate-kit",
    "click",
    "rich",
    "httpx",
    "httpx2",
    "aiohttp",
    "pandas",
    "polars",
    "pyarrow",
    "fsspec",
    "keyring",
)


class Finding(NamedTuple):
    """One thing that was looked at; `problem` says what is wrong with it, and what to do."""

    what: str
    found: str
    problem: str | None = None


@click.command("doctor", short_help="Say what would be used, and whether it works.")
@click.option("--backend", metavar="NAME", help='Where predictions run: "http", "mock", or a plugin\'s.')
@click.option("--base-url", metavar="URL", help="Root of the API, for a gateway or `replicate-kit serve`.")
@as_json
@debug
def command(backend: str | None, base_url: str | None, as_json: bool) -> None:
    """Say what would be used, where each setting comes from, and whether the API is reached. Creates nothing.

    The token is never shown. Exits with 1 if there is a problem.
    """
    findings = [*_here(), *_settings(backend, base_url)]
    problems = [each for each in findings if each.problem]
    if as_json:
        _show.print_json([each._asdict() for each in findings])
    else:
        _show.print_facts((each.what, each.found) for each in findings)
        # What keeps plugins from being loaded may keep a client from being made: one problem.
        for problem in dict.fromkeys(each.problem for each in problems):
            whats = ", ".join(each.what for each in problems if each.problem == problem)
            click.secho(f"{whats}: {problem}", fg="red", err=True)
    raise SystemExit(1 if problems else 0)


def _here() -> Iterator[Finding]:
    """What is true of this machine, wherever predictions run."""
    yield Finding("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    yield Finding(
        "packages", ", ".join(f"{name} {found}" for name in _LIBRARIES if (found := _version(name)))
    )
    yield from _plugins()
    yield _cache()
    # The second counts only where the first is not set, as for httpx.
    named = [name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name)]
    trusted = f"{named[0]}={os.environ[named[0]]}" if named else "the usual authorities"
    yield Finding("TLS", f"{ssl.OPENSSL_VERSION}, trusting {trusted}")


def _version(package: str) -> str | None:
    """The version of a package; None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _plugins() -> Iterator[Finding]:
    """Which plugins are loaded, and which are not."""
    from replicate_kit._plugins.registry import Plugins, take_as_told
    from replicate_kit.config import Config

    try:
        plugins = Plugins(Config(backend="mock", base_url="http://localhost"), tell=take_as_told)
    except ReplicateError as error:
        yield _failed("plugins", error)
        return
    yield Finding("plugins", ", ".join(each.name for each in plugins.loaded))
    for each in plugins.failures:
        advice = f"Update it, or set REPLICATE_KIT_DISABLE_PLUGINS={each.name} to do without it."
        yield Finding(f"plugin {each.name}", "failed to load", f"{each.reason}\n{advice}")


def _cache() -> Finding:
    """Where journals are kept that nobody named."""
    from replicate_kit._formats.wording import counted
    from replicate_kit.batch._ledger.places import cache_folder, unusable
    from replicate_kit.batch.journals import journals

    folder = cache_folder()
    if folder is None:
        return Finding("cache", "none", "This user has no home folder. Set XDG_CACHE_HOME, or name journals.")
    if reason := unusable(folder):
        return Finding(
            "cache", str(folder), f"It cannot be used ({reason}). Set XDG_CACHE_HOME to another folder."
        )
    return Finding("cache", f"{folder}, with {counted(len(journals()), 'journal')} of unfinished runs")


def _settings(backend: str | None, base_url: str | None) -> Iterator[Finding]:
    """What a client would be made with, and whether it reaches the API."""
    from replicate_kit.client import Client

    named = backend or os.environ.get("REPLICATE_KIT_BACKEND", "").strip() or "http"
    yield Finding("backend", f"{named} ({_source('--backend', backend, 'REPLICATE_KIT_BACKEND')})")
    try:
        client = Client(backend=backend, base_url=base_url, timeout=_PATIENCE, retries=0)
    except ReplicateError as error:
        yield _failed("settings", error)
        return
    with client:
        source = _source("--base-url", base_url, "REPLICATE_BASE_URL")
        yield Finding("base URL", f"{client.config.base_url} ({source})")
        yield from _limits(client)
        if is_fleeting(client.session):
            yield Finding("reached", "the mock, in this process, which needs no token")
            return
        yield _attempt("proxies", lambda: _proxies(client))
        token = _attempt("token", lambda: _token(client))
        if token.problem is None and token.found == "none" and client.config.requires_token:
            token = token._replace(
                problem="Run `replicate-kit auth login` or set REPLICATE_API_TOKEN; --backend mock needs none."
            )
        yield token
        if token.problem is None:
            yield _attempt("reached", lambda: f"yes, as {client.accounts.current().username}")


def _limits(client: Client) -> Iterator[Finding]:
    """What bounds requests."""
    from replicate_kit.config import Config

    usual, most = Config(base_url=client.config.base_url), client.config
    yield Finding("timeout", f"{usual.timeout:g} s for each phase of a request, {usual.retries} retries")
    yield Finding(
        "limits",
        f"answers up to {most.max_answer_bytes / 1e6:.0f} MB, files up to {most.max_file_bytes / 1e9:.0f} GB",
    )
    if most.trusted_hosts:
        yield Finding("trusted hosts", ", ".join(most.trusted_hosts))


def _token(client: Client) -> str:
    """Where the token comes from, and nothing of what it is."""
    source = client.config.token_source
    return f"set, in {source}" if source else "none"


def _proxies(client: Client) -> str:
    """Which proxies requests go through, without passwords."""
    from replicate_kit.backends._options.libraries import HTTPX
    from replicate_kit.backends._options.proxies import proxies

    found = proxies({}, HTTPX, client.session.base_url.host)
    return ", ".join(f"{pattern} {proxy or 'straight'}" for pattern, proxy in found.items()) or "none"


def _source(option: str, given: str | None, variable: str) -> str:
    """Say where a setting comes from."""
    return option if given else variable if os.environ.get(variable, "").strip() else "the default"


def _attempt(what: str, find: Callable[[], str]) -> Finding:
    """Look at something that may fail."""
    try:
        return Finding(what, find())
    except ReplicateError as error:
        return _failed(what, error)


def _failed(what: str, error: ReplicateError) -> Finding:
    """Tell of an error."""
    return Finding(what, "no", as_typed(str(error)))
