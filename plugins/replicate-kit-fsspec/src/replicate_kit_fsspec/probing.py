"""Look at an object store before anything is paid for, and refuse what certainly cannot take files.

Whoever may write need not be allowed to list, so that a refusal to list says nothing. What says something is a
bucket that does not exist, credentials that nobody has, and a server that does not answer.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

from replicate_kit.errors import FileError
from replicate_kit_fsspec.places import Place
from replicate_kit_fsspec.writers import protocol_of

__all__ = ["probe"]

_NOTHING = ".replicate-kit-probe"  # no file is called so: whatever the bucket holds, its list is empty

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
# What the stores' clients raise when they have nothing to sign with: of botocore, and of google.auth.
_NONE = frozenset(
    {
        "NoCredentialsError",
        "PartialCredentialsError",
        "CredentialRetrievalError",
        "DefaultCredentialsError",
        "RefreshError",
    }
)


def probe(place: Place) -> None:
    """Ask an object store for its bucket. Raises `FileError` for what cannot work; other stores are not asked."""
    kind = protocol_of(place.fs)
    if kind not in ("s3", "gs", "abfs") or not place.path:
        return
    bucket = str(place.fs.split_path(place.path)[0])
    try:
        _look(kind, place.fs, bucket)
    except Exception as error:  # whatever a store's own client raises
        if problem := _problem(error, place, bucket):
            raise FileError(f"{place.url!r} cannot take files: {problem}") from error


def _look(kind: str, fs: Any, bucket: str) -> None:
    """Ask about a bucket, in one request; an empty list of a container says nothing of whether it exists."""
    if kind == "abfs":
        fs.info(bucket)
    else:
        fs.find(bucket, prefix=_NOTHING)


def _problem(error: BaseException, place: Place, bucket: str) -> str | None:
    """Say what is wrong for certain, and what to do; None where files may be taken nevertheless."""
    where = "the environment or storage_options"
    for each in _behind(error):
        if isinstance(each, FileNotFoundError):
            return (
                f"there is no bucket {bucket!r}. Create it, or correct its name or the endpoint in {where}."
            )
        if type(each).__name__ in _NONE:
            return f"there are no credentials ({each}). Set them in {where}."
        if isinstance(each, ConnectionRefusedError | socket.gaierror):
            return f"the store cannot be reached ({each}). Check the network, and the endpoint and region in {where}."
        if _is_unknown(each, place.fs):
            return (
                f"the store does not know the credentials ({each}). Check them, and the region, in {where}."
            )
    return None


def _is_unknown(error: BaseException, fs: Any) -> bool:
    """Whether an error says that the credentials are wrong, rather than that they may not list."""
    response = getattr(error, "response", None)
    code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
    code = code or getattr(error, "error_code", None)
    if str(getattr(code, "value", code)) in _UNKNOWN or "failed to authenticate" in str(error):
        return True
    # Google's answer to credentials that it cannot read, and to nobody, who may write where anybody may.
    return getattr(error, "code", None) in (401, "401") and fs.storage_options.get("token") != "anon"


def _behind(error: BaseException | None) -> Iterator[BaseException]:
    """Give an error, and those behind it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
