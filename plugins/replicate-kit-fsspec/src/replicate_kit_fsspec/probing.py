"""Look at a store before anything is paid for: do there what saving does, and leave nothing.

A filesystem that files are moved on gets a hidden file for a moment. An object store is asked
for its bucket, and to begin an upload that is given up: that needs the right to write and no other, and makes no
object, not even for a moment. Whoever may write need not be allowed to list or delete, so that a refusal to do these
says nothing.
"""

from __future__ import annotations

import contextlib
import functools
import socket
from collections.abc import Callable
from typing import Any

import fsspec

from replicate_kit.errors import ConfigError, FileError
from replicate_kit.storage import Target
from replicate_kit.stores import PROBE, LazyWriter, LocalLocation, Notes, check_folder, manifest_is_folder
from replicate_kit.stores.manifest import NAME
from replicate_kit_fsspec.errors import NO_CREDENTIALS, behind, is_refusal
from replicate_kit_fsspec.locations import StoreLocation, protocols_of
from replicate_kit_fsspec.options import misfit, options_of
from replicate_kit_fsspec.writers import protocol_of

__all__ = ["probe"]


# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html and, for the last two,
# https://learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes
_UNKNOWN = frozenset(
    {
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "ExpiredToken",
        "InvalidToken",
        "NotSignedUp",
        "AuthorizationHeaderMalformed",
        "AuthenticationFailed",
        "InvalidAuthenticationInfo",
    }
)
# What clients raise at options that they cannot work with, at their first request: Python's own, and botocore's.
_MISUSED = (TypeError, AttributeError, KeyError, ValueError, AssertionError)
_MISUSED_NAMES = frozenset(
    {"ProfileNotFound", "EndpointResolutionError", "InvalidRegionError", "ParamValidationError"}
    | {
        "InvalidConfigError",
        "UnknownSignatureVersionError",
        "InvalidRetryConfigurationError",
        "InvalidUrlClientError",
    }
    | {"NonHttpUrlClientError", "InvalidURL"}
)
# What says that no answer came: of the system, of botocore, of azure.core and of aiohttp. Asking again takes minutes.
_UNREACHABLE = (ConnectionRefusedError, TimeoutError, socket.gaierror)
_UNREACHABLE_NAMES = frozenset(
    {
        "EndpointConnectionError",
        "ConnectTimeoutError",
        "ReadTimeoutError",
        "ConnectionClosedError",
        "SSLError",
    }
    | {"ServiceRequestError", "ServiceResponseError", "ClientConnectorError", "ServerDisconnectedError"}
)
# Answers of stores that take files, though not in parts.
_NO_PARTS = frozenset({"NotImplemented", "MethodNotAllowed"})
_WHERE = "the environment or storage_options"


def probe(target: Target, location: StoreLocation) -> None:
    """Do at a location what saving does, and leave nothing.

    Raises `FileError` for what does not work, `ConfigError` where it is the options that do not.
    """
    seen = location.seen
    if isinstance(seen, LocalLocation):  # such as that which a cache is around
        check_folder(seen, manifest=target.manifest)
        return
    _probe_store(target, location)
    if target.manifest:
        _attempt(functools.partial(_probe_manifest, location), target, location)


def _probe_store(target: Target, location: StoreLocation) -> None:
    """Ask a store for everything that saving asks it for."""
    kind = protocol_of(location.fs)
    if kind in ("s3", "gs", "abfs"):
        if not location.path:
            raise ConfigError(
                f"{location.url!r} names no bucket. Pass one, such as {location.url.partition('://')[0] + '://bucket/folder'!r}."
            )
        _attempt(functools.partial(_look, kind, location.fs, _bucket(location)), target, location, look=True)
    _attempt(functools.partial(_write, location), target, location)
    if target.if_exists != "overwrite":
        _attempt(location.join(PROBE).size, target, location)


def _attempt(step: Callable[[], Any], target: Target, location: StoreLocation, *, look: bool = False) -> None:
    """Do a step, and say what its failure means; that looking around is refused means nothing."""
    try:
        step()
    except (FileError, ConfigError):
        raise
    except Exception as error:  # whatever a store's own client raises
        if _is_misuse(error):
            kinds = {each: fsspec.get_filesystem_class(each) for each in protocols_of(target.folder)}
            raise misfit(location.url, options_of(location.url, kinds, target.options), error) from error
        problem = _problem(error, location) or (None if look else _otherwise(error))
        if problem is not None:
            raise FileError(f"{location.url!r} cannot take files: {problem} Nothing was created.") from error


def _bucket(location: StoreLocation) -> str:
    """The bucket or container of a location in an object store."""
    return str(location.fs.split_path(location.path)[0])


def _look(kind: str, fs: Any, bucket: str) -> None:
    """Ask about a bucket, in one request; an empty list of a container says nothing of whether it exists."""
    if kind == "abfs":
        fs.info(bucket)
    else:
        fs.find(bucket, prefix=PROBE)


def _write(location: StoreLocation) -> None:
    """Begin to write a file, as far as that leaves none."""
    writer = LazyWriter(functools.partial(location.join(PROBE).open_writer, Notes(), later=False))
    try:
        writer.try_out()
    except Exception as error:
        if not any(_code(each) in _NO_PARTS for each in behind(error)):
            raise
    finally:
        # Who may write need not be allowed to give up what was begun: stores forget what was never completed.
        with contextlib.suppress(Exception):
            writer.discard()


def _probe_manifest(location: StoreLocation) -> None:
    """See that the list of files can be read, and added to."""
    path = location.join(NAME)
    path.fs.invalidate_cache(location.path)
    try:
        kind = path.fs.info(path.path)["type"]
    except FileNotFoundError:
        return
    if kind == "directory":
        raise manifest_is_folder(path)
    path.fs.cat_file(path.path, start=0, end=1)


def _problem(error: BaseException, location: StoreLocation) -> str | None:
    """Say what is wrong for certain, and what to do; None where files may be taken nevertheless."""
    for each in behind(error):
        if isinstance(each, FileNotFoundError) and (each is error or hasattr(location.fs, "split_path")):
            return _missing(location)
        if _has_none(each):
            return f"there are no credentials ({each}). Set them in {_WHERE}."
        if isinstance(each, _UNREACHABLE) or type(each).__name__ in _UNREACHABLE_NAMES:
            return f"the store cannot be reached ({each}). Check the network, and the endpoint and region in {_WHERE}."
        if _is_unknown(each, location.fs):
            return (
                f"the store does not know the credentials ({each}). Check them, and the region, in {_WHERE}."
            )
    return None


def _missing(location: StoreLocation) -> str:
    """Say what is not there."""
    if hasattr(location.fs, "split_path"):
        return f"there is no bucket {_bucket(location)!r}. Create it, or correct its name or the endpoint in {_WHERE}."
    return f"there is no such location. Create it, or correct the URL or its options in {_WHERE}."


def _otherwise(error: BaseException) -> str:
    """Say what else is wrong, where a file certainly would not be taken."""
    said = f"{type(error).__name__}: {error}".rstrip(".")
    if is_refusal(error):
        return f"it may not be written to ({said}). Check the credentials in {_WHERE}, and their right to write there."
    if isinstance(error, NotImplementedError):
        return f"it can only be read ({said}). Pass another location as save_to."
    return f"it failed at a trial ({said}). Correct that, or try again later."


def _is_misuse(error: BaseException) -> bool:
    """Whether a client could not make sense of its options, rather than the store of the request."""
    if any(type(each).__name__ in _MISUSED_NAMES for each in behind(error)):
        return True
    return isinstance(error, _MISUSED) and not isinstance(error, OSError) and not is_refusal(error)


def _has_none(error: BaseException) -> bool:
    """Whether an error says that there is nothing to sign with; Azure's library calls that as it calls wrong keys."""
    name = type(error).__name__
    return name in NO_CREDENTIALS or (
        name == "ClientAuthenticationError" and getattr(error, "response", None) is None
    )


def _is_unknown(error: BaseException, fs: Any) -> bool:
    """Whether an error says that the credentials are wrong, rather than that they may not list."""
    if _code(error) in _UNKNOWN or "failed to authenticate" in str(error):
        return True
    # Google's answer to credentials that it cannot read, and to nobody, who may write where anybody may.
    return getattr(error, "code", None) in (401, "401") and fs.storage_options.get("token") != "anon"


def _code(error: BaseException) -> str:
    """The store's own code for an error."""
    response = getattr(error, "response", None)
    code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
    code = code or getattr(error, "error_code", None)
    return str(getattr(code, "value", code))
