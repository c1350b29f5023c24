"""Why no connection came about, whichever library tried: in words that say what to do next."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator

from replicate_kit.transport import Request

__all__ = [
    "CLOSED",
    "NONE_FREE",
    "asks_for_certificate",
    "causes",
    "not_connected",
    "refused_by_proxy",
    "server",
]

NONE_FREE = "no connection was free in time. Raise Client(timeout=…), or send fewer requests at a time."
"""What is said where all connections of a pool are taken."""

CLOSED = "the client was closed meanwhile. Close it later."
"""What is said where somebody closed the client while a request waited for a connection."""

# OpenSSL's codes of X509_verify_cert_error_string(3).
_EXPIRED, _NOT_YET_VALID, _OTHER_HOST, _OTHER_ADDRESS = 10, 9, 62, 64
_OF_USERS = ("authentication", "password", "no acceptable methods")
_WAITS = (ssl.SSLWantReadError, ssl.SSLWantWriteError)  # no failures: event loops wait for more then
# What OpenSSL says of a handshake that was cut off or garbled, or in which the other side had a fault of its own:
# servers that are replaced just then, and what balances their load, do so.
_CUT_OFF = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
_PASSING = ("EOF", "INTERNAL_ERROR", "BAD_RECORD_MAC", "DECRYPT")
_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNKNOWN_PROTOCOL")


def not_connected(error: BaseException, request: Request, proxy: object, why: str) -> tuple[str, bool]:
    """Say why there is no connection and what to do; tell whether trying again may help."""
    reasons = list(causes(error))
    failure = next(
        (each for each in reasons if isinstance(each, ssl.SSLError) and not isinstance(each, _WAITS)), None
    )
    if failure is not None:
        return _no_tls(failure, request, proxy)
    return _unreachable(reasons, request, proxy, why), True


def asks_for_certificate(error: Exception, request: Request) -> str:
    """What to do where a server has closed a connection for want of a certificate of ours; else nothing."""
    if any(isinstance(each, ssl.SSLError) and "CERTIFICATE_REQUIRED" in str(each) for each in causes(error)):
        return (
            f" {server(request)} asks for a certificate of yours: pass it as Client(cert=(certificate, key))."
        )
    return ""


def refused_by_proxy(why: str, request: Request, proxy: object) -> tuple[str, bool]:
    """Say what a proxy has refused. It says so by an HTTP status; httpcore has words of its own for SOCKS."""
    if why.startswith(("401", "407")) or any(word in why.lower() for word in _OF_USERS):
        step = "Write a user name and a password that it takes into its URL, as in http://NAME:PASSWORD@HOST:PORT."
        return f"the proxy {proxy} refused ({why}). {step}", False
    host = server(request)
    step = f"Ask its administrator to allow {host}, or put {host} into NO_PROXY if it can be reached without the proxy."
    return f"the proxy {proxy} did not connect to {host} ({why}). {step}", not why.startswith("403")


def _no_tls(failure: ssl.SSLError, request: Request, proxy: object) -> tuple[str, bool]:
    """Say why no encrypted connection came about. Trying again gives the same, unless it broke in between."""
    host, through = server(request), f" (through the proxy {proxy})" if proxy else ""
    if isinstance(failure, ssl.SSLCertVerificationError):
        reason = (failure.verify_message or str(failure)).rstrip(".")
        return (
            f"the certificate of {host}{through} is not trusted: {reason}. {_trusting(failure.verify_code)}",
            False,
        )
    reason = str(failure.reason or failure)
    if reason in _NO_TLS:
        step = f"{host}{through} does not speak TLS there. Check the port, and whether http:// is meant, in base_url"
        return f"{step} and the proxy settings ({reason}).", False
    if isinstance(failure, _CUT_OFF) or any(each in reason for each in _PASSING):
        step = "Check base_url, the network and the proxy settings if it goes on"
        return f"the TLS handshake with {host}{through} broke ({reason}). {step}.", True
    return (
        f"{host}{through} and this program have no TLS in common ({reason}). Check base_url and verify=.",
        False,
    )


def _trusting(code: int) -> str:
    """What to do about a certificate that is not trusted."""
    if code in (_EXPIRED, _NOT_YET_VALID):
        return "Check the clock of this machine."
    if code in (_OTHER_HOST, _OTHER_ADDRESS):
        return "Check the host in base_url, and what answers for it in this network."
    return (
        "A gateway, VPN or virus scanner that reads along puts certificates of its own there. Set SSL_CERT_FILE to a "
        "PEM file with its certificate authority, or pass Client(verify=FILE)."
    )


def _unreachable(reasons: list[BaseException], request: Request, proxy: object, why: str) -> str:
    """Say that a host does not answer."""
    who, step = server(request), "Check base_url (REPLICATE_BASE_URL), the network and the proxy settings"
    if proxy:
        who, step = f"the proxy {proxy}", "Correct its URL, or leave it out if no proxy is needed"
    reason = next((each for each in reasons if isinstance(each, OSError) and each.errno is not None), None)
    said = getattr(reason, "strerror", None) or why
    if isinstance(reason, socket.gaierror):
        return f"no address is known for {who} ({said}). {step}."
    if reason is not None and reason.errno in (errno.EMFILE, errno.ENFILE):
        step = "Raise the limit (ulimit -n), close files, or send fewer requests at a time"
        return f"this process can open no further connection ({said}). {step}."
    if isinstance(reason, ConnectionRefusedError):
        return f"nothing listens at {who} ({said}). {step}."
    return f"{who} cannot be reached ({said}). {step}."


def server(request: Request) -> str:
    """The host that is asked, with a port that is not the usual one."""
    return request.url.netloc


def causes(error: BaseException) -> Iterator[BaseException]:
    """What led to an error, the nearest first: anyio hides a refused connection in an exception group."""
    todo, seen = [error], set[int]()
    while todo:
        each = todo.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        todo += [found for found in (each.__cause__, each.__context__) if found is not None]
        todo += getattr(each, "exceptions", ())
