"""A client as its settings, which travel to workers: without connections, with a token only where that is asked for."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import PurePath
from typing import Any
from urllib.parse import parse_qsl

from replicate_kit._formats.redacting import cut, is_secret_name
from replicate_kit._formats.wording import with_safe_repr
from replicate_kit.client import Client, _rebuild
from replicate_kit.errors import AuthenticationError, ConfigError, MissingToken
from replicate_kit.transport import Abilities

__all__ = ["ClientSettings", "token_advised"]

_OBJECTS = frozenset({"Timeout", "Limits", "Proxy", "URL", "Headers", "QueryParams", "Cookies"})
"""Types of httpx's that are settings and nothing else."""

_NO_TOKEN = (
    "This worker has no API token: set REPLICATE_API_TOKEN in the environment of the workers, or pass send_token=True "
    "to send the driver's."
)

_made: dict[bytes, Client] = {}
"""The clients of this process. A backend opens connections of its own in a child that was forked."""


@with_safe_repr
class ClientSettings:
    """What a worker makes its client of: one for each process, which its threads share.

    The backend, the URL and all other settings are those of the given client, as the driver's environment has filled
    them in: a worker sends to where the driver would have sent. The API token is the one of the worker's own
    environment; with `send_token` the one that the driver has, which is then part of what is pickled.

    Raises `ConfigError` for what lives in one process only: a transport, functions, a simulator.

    >>> import pickle
    >>> from replicate_kit import Client
    >>> settings = pickle.loads(pickle.dumps(ClientSettings(Client("r8_secret", backend="mock"))))
    >>> settings, settings.client() is settings.client(), settings.client().config.explicit_token
    (<ClientSettings of mock>, True, None)
    """

    def __init__(self, client: Client, *, send_token: bool = False) -> None:
        config, options = client.config, dict(client.config.http_options)
        backend, plugins = client._given["backend"], client._given["plugins"]
        if not isinstance(backend, str):
            raise ConfigError(
                f"client= has the backend {type(backend).__name__}, an object of this process, and each worker needs "
                "its own. Pass a client whose backend has a name, such as Client(backend='mock'); a simulator that all "
                "workers reach is one that is served: Client(base_url=server.url). Nothing was created."
            )
        if not send_token and (names := _credentials(options)):
            raise ConfigError(
                f"client= has credentials in {' and '.join(names)}, and they go to workers with "
                "send_token=True only. Pass that, or a client without them. Nothing was created."
            )
        for name, value in options.items():
            if not _is_plain(value):
                raise ConfigError(_unsendable(f"{name}=", value))
        token = config.api_token if send_token else None
        try:
            self._packed = pickle.dumps(
                (dataclasses.replace(config, explicit_token=token), {"backend": backend, "plugins": plugins})
            )
        except Exception:
            raise ConfigError(_unsendable("plugins=", plugins)) from None
        self._name = backend

    def client(self) -> Client:
        """The client of this process. Raises `MissingToken` where it needs a token and has none."""
        made = _made.get(self._packed)
        if made is None:
            # Two threads may both make one; the first that is kept is everybody's.
            made = _made.setdefault(self._packed, _unpacked(self._packed))
        asks = getattr(made.session.backend, "abilities", Abilities()).kept_token
        if asks and made.config.requires_token and made.config.api_token is None:
            raise MissingToken(f"{_NO_TOKEN} Nothing was created.")
        return made

    def __repr__(self) -> str:
        return f"<ClientSettings of {self._name}>"


@contextmanager
def token_advised(client: Client) -> Iterator[None]:
    """Say where a worker's token comes from, if the API, or what stands for it, asks for one that there is not."""
    try:
        yield
    except AuthenticationError as error:
        if client.config.api_token is None and not _credentials(client.config.http_options):
            error.args = (f"{error}\n{_NO_TOKEN}", *error.args[1:])
        raise


def _unpacked(packed: bytes) -> Client:
    """Make a client."""
    return _rebuild(*pickle.loads(packed))


def _credentials(options: Mapping[str, Any]) -> list[str]:
    """Name the options that hold credentials."""
    found = {
        "auth": options.get("auth") is not None and _is_plain(options["auth"]),
        "cert": isinstance(options.get("cert"), tuple)
        and len(options["cert"]) > 2,  # with the password of a key
        "cookies": bool(options.get("cookies")),
        "headers": any(map(is_secret_name, _names(options.get("headers")))),
        "params": any(map(is_secret_name, _names(options.get("params")))),
        "proxy": _has_login(options.get("proxy")),
    }
    return [f"{name}=" for name, holds in found.items() if holds]


def _names(given: Any) -> list[str]:
    """The names in headers or parameters, of all the forms that httpx takes."""
    if isinstance(given, str | bytes):
        return [name for name, _ in parse_qsl(_text(given), keep_blank_values=True)]
    names = given if isinstance(given, Mapping) else (name for name, _ in given or ())
    return [_text(each) for each in names]


def _has_login(proxy: Any) -> bool:
    """Whether a proxy is told who asks: a URL, or an object of httpx's."""
    if isinstance(proxy, str):
        return bool(cut(proxy)[1])
    headers = _names(getattr(proxy, "headers", None))
    login = (
        getattr(proxy, "auth", None) or getattr(proxy, "raw_auth", None) or getattr(proxy, "userinfo", None)
    )
    return bool(login) or any(map(is_secret_name, headers))


def _text(given: object) -> str:
    """A name as a text; httpx takes bytes, too."""
    return given.decode("latin-1") if isinstance(given, bytes) else str(given)


def _is_plain(value: Any) -> bool:
    """Whether a value is a setting, and no function or connection."""
    if isinstance(value, Mapping):
        return all(map(_is_plain, value)) and all(map(_is_plain, value.values()))
    if isinstance(value, list | tuple | set | frozenset):
        return all(map(_is_plain, value))
    kind = type(value)
    of_httpx = kind.__module__.partition(".")[0] in ("httpx", "httpx2") and kind.__name__ in _OBJECTS
    return value is None or of_httpx or isinstance(value, bool | int | float | str | bytes | PurePath)


def _unsendable(name: str, value: object) -> str:
    """Say why something stays here."""
    return (
        f"client= has {name} (a {type(value).__name__}), which lives in this process and cannot be sent to "
        "workers. Pass a client that is made of texts and numbers; plugins that are installed are there by themselves. "
        "Nothing was created."
    )
