"""What a library's errors mean: what is known of the request's outcome, and what to do next."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from replicate_kit import errors
from replicate_kit.backends._httpx.libraries import Library
from replicate_kit.transport import Request

__all__ = ["PROXY", "as_our_errors"]

PROXY = "replicate_kit.proxy"  # extension of the library's request: the proxy that it goes through, as it is shown

# Names of errors. Nothing of these requests has left, so that a create, too, may be sent again.
_NEVER_SENT = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError"})
_CANNOT_BE_SENT = frozenset({"UnsupportedProtocol", "LocalProtocolError", "InvalidURL"})
# OpenSSL's codes of X509_verify_cert_error_string(3).
_EXPIRED, _NOT_YET_VALID, _OTHER_HOST, _OTHER_ADDRESS = 10, 9, 62, 64
_OF_USERS = ("authentication", "password", "no acceptable methods")
_WAITS = (ssl.SSLWantReadError, ssl.SSLWantWriteError)  # no failures: event loops wait for more then
# What OpenSSL says of a handshake that was cut off or garbled, or in which the other side had a fault of its own:
# servers that are replaced just then, and what balances their load, do so.
_CUT_OFF = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
_PASSING = ("EOF", "INTERNAL_ERROR", "BAD_RECORD_MAC", "DECRYPT")
_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNKNOWN_PROTOCOL")


@contextmanager
def as_our_errors(request: Request, sent: Any, library: Library) -> Iterator[None]:
    """Turn the errors of a library, which sends a request as `sent`, into ours."""
    http = library.module
    try:
        yield
    except Exception as error:
        # A body that is not as long as announced is an error of h11 itself.
        known = isinstance(error, http.HTTPError | http.InvalidURL | http.StreamError)
        if not known and not _is(error, "LocalProtocolError"):
            raise
        failed = _translate(error, request, sent)
        if _is(error, "LocalProtocolError"):
            raise failed from None  # h11 and h2 quote the value of a header, which may be a secret
        raise failed from error


def _is(error: BaseException, *names: str) -> bool:
    """Whether an error is of one of these kinds, or of a kind below; both libraries name theirs alike."""
    return not {each.__name__ for each in type(error).__mro__}.isdisjoint(names)


def _translate(error: Exception, request: Request, sent: Any) -> errors.TransportError:
    """Find the error of ours that says what is known of the request's outcome."""
    name, why = request.named, str(error) or type(error).__name__
    if _is(error, *_CANNOT_BE_SENT):
        why = why.partition(" b'")[0].partition(' b"')[0]
        return errors.TransportError(f"{name}: the request cannot be sent ({why}).", request=request)
    if _is(error, *_NEVER_SENT):
        said, temporary = _not_connected(error, request, sent.extensions.get(PROXY), why)
        failed = errors.ConnectFailed(f"{name}: could not connect: {said}", request=request)
        failed.temporary = temporary
        return failed
    if _is(error, "TimeoutException"):
        said = f"no answer in time ({why}). Raise Client(timeout=…) if the service is slow."
        return errors.RequestTimeout(f"{name}: {said}", request=request)
    if _is(error, "DecodingError"):
        return errors.InvalidResponse(f"{name}: the body cannot be decoded ({why}).", request=request)
    return errors.ConnectionLost(
        f"{name}: the connection broke ({why}).{_hint(error, request)}", request=request
    )


def _hint(error: Exception, request: Request) -> str:
    """What to do where a connection broke because both sides speak differently."""
    if request.url.scheme == "http" and _is(error, "RemoteProtocolError") and "\\x15\\x03" in str(error):
        return f" {_server(request)} answers in TLS: write https:// instead of http:// in base_url."
    if any(isinstance(each, ssl.SSLError) and "CERTIFICATE_REQUIRED" in str(each) for each in _causes(error)):
        return f" {_server(request)} asks for a certificate of yours: pass it as Client(cert=(certificate, key))."
    return ""


def _not_connected(error: Exception, request: Request, proxy: object, why: str) -> tuple[str, bool]:
    """Say why there is no connection and what to do; tell whether trying again may help."""
    if _is(error, "ProxyError"):
        return _refused_by_proxy(why, request, proxy)
    if _is(error, "PoolTimeout"):
        return (
            "no connection was free in time. Raise Client(timeout=…), or send fewer requests at a time.",
            True,
        )
    causes = list(_causes(error))
    failure = next(
        (each for each in causes if isinstance(each, ssl.SSLError) and not isinstance(each, _WAITS)), None
    )
    if failure is not None:
        return _no_tls(failure, request, proxy)
    return _unreachable(causes, request, proxy, why), True


def _refused_by_proxy(why: str, request: Request, proxy: object) -> tuple[str, bool]:
    """Say what a proxy has refused. It says so by an HTTP status; httpcore has words of its own for SOCKS."""
    if why.startswith(("401", "407")) or any(word in why.lower() for word in _OF_USERS):
        step = "Write a user name and a password that it takes into its URL, as in http://NAME:PASSWORD@HOST:PORT."
        return f"the proxy {proxy} refused ({why}). {step}", False
    host = _server(request)
    step = f"Ask its administrator to allow {host}, or put {host} into NO_PROXY if it can be reached without the proxy."
    return f"the proxy {proxy} did not connect to {host} ({why}). {step}", not why.startswith("403")


def _no_tls(failure: ssl.SSLError, request: Request, proxy: object) -> tuple[str, bool]:
    """Say why no encrypted connection came about. Trying again gives the same, unless it broke in between."""
    host, through = _server(request), f" (through the proxy {proxy})" if proxy else ""
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


def _unreachable(causes: list[BaseException], request: Request, proxy: object, why: str) -> str:
    """Say that a host does not answer."""
    who, step = _server(request), "Check base_url (REPLICATE_BASE_URL), the network and the proxy settings"
    if proxy:
        who, step = f"the proxy {proxy}", "Correct its URL, or leave it out if no proxy is needed"
    reason = next((each for each in causes if isinstance(each, OSError) and each.errno is not None), None)
    said = getattr(reason, "strerror", None) or why
    if isinstance(reason, socket.gaierror):
        return f"no address is known for {who} ({said}). {step}."
    if reason is not None and reason.errno in (errno.EMFILE, errno.ENFILE):
        step = "Raise the limit (ulimit -n), close files, or send fewer requests at a time"
        return f"this process can open no further connection ({said}). {step}."
    if isinstance(reason, ConnectionRefusedError):
        return f"nothing listens at {who} ({said}). {step}."
    return f"{who} cannot be reached ({said}). {step}."


def _server(request: Request) -> str:
    """The host that is asked, with a port that is not the usual one."""
    return request.url.netloc


def _causes(error: BaseException) -> Iterator[BaseException]:
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
