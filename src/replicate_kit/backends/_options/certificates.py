"""Which certificates are trusted: what `verify=`, `cert=` and the environment say, as a TLS context."""

from __future__ import annotations

import os
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from replicate_kit.backends._options.libraries import Library
from replicate_kit.errors import ConfigError

__all__ = ["tls_context"]

# httpx looks at the second only where the first is not set, and so do we.
_TRUSTED = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_KEY_LOG = "SSLKEYLOGFILE"
_UNLIKE_OTHERS = frozenset({"verify", "cert", "http2", "trust_env"})
_UNSET = "Unset it to trust the usual certificate authorities."

_lock = threading.Lock()
_shared: dict[tuple[str | None, ...], ssl.SSLContext] = {}


def _after_fork() -> None:
    """Replace the lock, which another thread of the parent may have held."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def tls_context(options: Mapping[str, Any], library: Library) -> ssl.SSLContext:
    """The TLS context of a client with these httpx options; one for all clients that ask for nothing special.

    Raises `ConfigError`, which names the option or the variable, for what cannot be read.
    """
    if not _UNLIKE_OTHERS & options.keys():
        return _common(library)
    verify, trust_env = options.get("verify", True), bool(options.get("trust_env", True))
    context = _verifying(verify, library, trust_env=trust_env)
    if (cert := options.get("cert")) is not None:
        _identify(context, cert)
    return context


def _common(library: Library) -> ssl.SSLContext:
    """The context that clients share, as loading the certificates costs more than all else that opens a pool.

    It is made when the first is opened, and again where the environment names other certificates than before.
    """
    asked = (library.name, *(os.environ.get(name) for name in (*_TRUSTED, _KEY_LOG)))
    with _lock:
        if asked not in _shared:
            _shared[asked] = _by_environment(library)
        return _shared[asked]


def _verifying(verify: Any, library: Library, *, trust_env: bool) -> ssl.SSLContext:
    """Make the context that an option asks for."""
    if isinstance(verify, ssl.SSLContext):
        return verify
    if isinstance(verify, bool):
        return _by_environment(library) if verify and trust_env else _plain(verify, library)
    if isinstance(verify, str | os.PathLike) and verify != "":
        return _from_path(verify)
    raise ConfigError(
        f"verify={verify!r} is neither True, False, an ssl.SSLContext nor the path of a file or folder with "
        "certificates in PEM format. Pass one of these."
    )


def _plain(verify: bool, library: Library) -> ssl.SSLContext:
    """Trust the authorities that the library trusts, or, without `verify`, everybody."""
    with _blamed(lambda error: _key_log_said(error) or f"TLS cannot be set up ({error})."):
        return _made(library.tls_context(verify=verify))


def _by_environment(library: Library) -> ssl.SSLContext:
    """Trust whom the environment names, else the usual authorities."""
    name = next((name for name in _TRUSTED if os.environ.get(name)), None)
    if name is None:
        return _plain(True, library)
    value = os.environ[name]
    if name == "SSL_CERT_DIR" and not any(map(os.path.isdir, value.split(os.pathsep))):
        raise ConfigError(f"SSL_CERT_DIR={value!r} is not a folder. Correct it. {_UNSET}")
    with _blamed(lambda error: _key_log_said(error) or _unreadable(f"{name}={value!r}", error, _UNSET)):
        return _of_files(value, is_folder=name == "SSL_CERT_DIR")


def _made(context: ssl.SSLContext) -> ssl.SSLContext:
    """Have a library's context write the log of keys that the environment names; httpx2 leaves it out."""
    path = os.environ.get(_KEY_LOG)
    if path and not context.keylog_filename:
        context.keylog_filename = path
    return context


def _from_path(verify: str | os.PathLike[str]) -> ssl.SSLContext:
    """Trust the authorities of a file, or of a folder as OpenSSL keeps them."""
    path = os.fspath(verify)
    is_folder = os.path.isdir(path)
    advice = "verify=True trusts the usual certificate authorities."
    with _blamed(lambda error: _key_log_said(error) or _unreadable(f"verify={path!r}", error, advice)):
        return _of_files(path, is_folder=is_folder)


def _of_files(path: str, *, is_folder: bool) -> ssl.SSLContext:
    """Trust whoever has a certificate there, as each library does: without it, since httpx deprecates a path."""
    return ssl.create_default_context(cafile=None if is_folder else path, capath=path if is_folder else None)


def _identify(context: ssl.SSLContext, cert: Any) -> None:
    """Take a certificate of the client's own along: a file, or (certificate, key) or (certificate, key, password)."""
    parts: Any = (cert,) if isinstance(cert, str | os.PathLike) else cert
    if not isinstance(parts, tuple | list) or not 1 <= len(parts) <= 3:
        raise ConfigError(
            f"cert= must be the path of a PEM file, or (certificate, key) or (certificate, key, password), not "
            f"{type(cert).__name__}."
        )
    named = ", ".join(repr(str(each)) for each in parts[:2])
    with _blamed(lambda error: _unreadable(f"cert={named}", error, "")):
        context.load_cert_chain(*parts)


@contextmanager
def _blamed(say: Callable[[Exception], str]) -> Iterator[None]:
    """Turn what the `ssl` module raises into an error that says what to do."""
    try:
        yield
    except (OSError, ValueError, TypeError) as error:  # an SSLError is an OSError
        raise ConfigError(say(error)) from error


def _unreadable(what: str, error: Exception, advice: str) -> str:
    """Say that certificates cannot be read."""
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    step = "Name a file or folder with certificates in PEM format that can be read."
    return f"{what} cannot be used: {reason}. {step} {advice}".rstrip()


def _key_log_said(error: Exception) -> str | None:
    """What to do where it is the log of TLS keys that cannot be written; Python opens it with each context."""
    value = os.environ.get(_KEY_LOG)
    if not value or getattr(error, "filename", None) != value:
        return None
    return f"{_KEY_LOG}={value!r} cannot be written ({getattr(error, 'strerror', error)}). Unset it, or name a file."
