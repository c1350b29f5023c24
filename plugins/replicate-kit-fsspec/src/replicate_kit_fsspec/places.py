"""Places: what a folder or URL means, and which filesystem serves it."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fsspec
from fsspec.core import url_to_fs
from fsspec.implementations.cached import CachingFileSystem
from fsspec.implementations.local import LocalFileSystem

from replicate_kit.errors import ConfigError, FileError, MissingExtraError
from replicate_kit_fsspec.options import check_options, misfit, options_of

__all__ = ["Place", "place_of", "protocols_of"]

# Extras of replicate-kit, by the protocols that they bring.
_EXTRAS = {
    "s3": "s3",
    "s3a": "s3",
    "gs": "gcs",
    "gcs": "gcs",
    "az": "azure",
    "abfs": "azure",
    "abfss": "azure",
}
# Filesystems that take no new files, or not one beside another.
_READ_ONLY = frozenset(
    {"http", "https", "data", "github", "gist", "git", "reference", "tar", "libarchive", "zip", "replicate"}
)


@dataclass(frozen=True)
class Place:
    """One file's or folder's place: a filesystem, a path in it, and the URL under which people know it.

    `around` are caches around that filesystem, which files are not written through.
    """

    fs: Any
    path: str
    url: str
    around: tuple[Any, ...] = field(default=(), repr=False)

    @property
    def is_local(self) -> bool:
        """Whether it is on a disk of this machine."""
        return isinstance(self.fs, LocalFileSystem)

    def join(self, name: str) -> Place:
        """The place of a file below this folder. Raises `FileError` for a name that would lead out of it."""
        parts = name.split("/")
        if any(part in ("", ".", "..") or "\\" in part or "\0" in part for part in parts):
            raise FileError(f"{name!r} is not the name of a file below {self.url!r}.")
        path = posixpath.join(self.path or "/", name) if self.path else name
        if "://" not in self.url:
            return Place(self.fs, path, os.path.join(self.url, *parts))
        head, chain, rest = self.url.partition("::")
        root = head if head.endswith("://") else f"{head.rstrip('/')}/"
        return Place(self.fs, path, f"{root}{name}{chain}{rest}")

    def child(self, url: str) -> Place | None:
        """The place of a file below this folder by its URL; None for one that is elsewhere."""
        head, _, chain = self.url.partition("::")
        root = (
            head if head.endswith("://") else head.rstrip("/" + os.sep) + ("/" if "://" in head else os.sep)
        )
        below = url.partition("::")
        if not below[0].startswith(root) or below[2] != chain:
            return None
        return self.join(below[0].removeprefix(root).replace(os.sep, "/"))

    def size(self) -> int | None:
        """How many bytes the file has; None if there is none."""
        self.fs.invalidate_cache(self.path.rpartition("/")[0])
        try:
            return int(self.fs.info(self.path)["size"])
        except FileNotFoundError:
            return None


def place_of(folder: str, options: Mapping[str, Any], *, write: bool = True) -> Place:
    """Find the filesystem of a folder or URL; mostly without I/O. `write` says that it must take files.

    Raises `ConfigError` for a protocol that nobody knows or that takes no files and for options that it does not
    take, `MissingExtraError` where its filesystem is not installed.
    """
    kinds: dict[str, type] = {each: _class(each, folder, write=write) for each in protocols_of(folder)}
    taken = options_of(folder, kinds, options)
    check_options(folder, taken)
    if _is_plain(folder):
        _check_plain(folder)
        local = os.path.expanduser(folder)
        return Place(LocalFileSystem(), Path(os.path.abspath(local)).as_posix(), local)
    try:
        fs, path = url_to_fs(folder, **options)
    except Exception as error:  # some ask their server or library already here
        if isinstance(error, OSError) and not isinstance(error, FileNotFoundError | PermissionError):
            raise FileError(
                f"{folder!r} cannot be opened ({type(error).__name__}: {error}). Check the network, the address and "
                "the credentials in the environment or storage_options; nothing was created."
            ) from error
        raise misfit(folder, taken, error) from error
    place = Place(fs, path.rstrip("/"), folder)
    return _uncached(place) if write else place


def protocols_of(url: str) -> list[str]:
    """The protocols in a URL, which may be a chain of several; "file" for a folder.

    >>> [protocols_of(each) for each in ("pictures/", "simplecache::s3://bucket/pictures")]
    [['file'], ['simplecache', 's3']]
    """
    if _is_plain(url):
        return ["file"]
    return [part.partition("://")[0] if "://" in part else part for part in url.split("::")]


def _is_plain(folder: str) -> bool:
    """Whether it is a path of this machine rather than a URL."""
    return "://" not in folder and "::" not in folder


def _is_protocol(name: str) -> bool:
    """Whether fsspec knows a protocol."""
    return name in fsspec.registry or name in fsspec.available_protocols()


def _check_plain(folder: str) -> None:
    """Refuse what would be a folder and looks like a URL."""
    protocol, colon, rest = folder.partition(":")
    if colon and len(protocol) > 1 and _is_protocol(protocol.lower()):  # one letter is a drive
        raise ConfigError(
            f"{folder!r} is neither a URL nor the name of a folder. Write "
            f"{protocol.lower() + '://' + rest.lstrip('/')!r}, or {'./' + folder!r} for a folder of that name."
        )


def _class(protocol: str, url: str, *, write: bool) -> type:
    """The class of a protocol's filesystem; refuse what cannot work, and say what would."""
    if not _is_protocol(protocol):
        lower = (
            f" Write {url.replace(protocol, protocol.lower(), 1)!r}."
            if _is_protocol(protocol.lower())
            else ""
        )
        raise ConfigError(
            f"{url!r}: fsspec knows no protocol {protocol!r}. Use one that it knows, such as "
            f"'s3://bucket/folder' or 'gs://bucket/folder', or install the package that adds it.{lower}"
        )
    if write and protocol in _READ_ONLY:
        raise ConfigError(
            f"{url!r}: files cannot be saved to {protocol}. Pass a folder, or a URL of a store that takes "
            "files, such as 's3://bucket/folder'."
        )
    try:
        found: type = fsspec.get_filesystem_class(protocol)
    except ImportError as error:
        if protocol in _EXTRAS:
            raise MissingExtraError(f"{url!r}", _EXTRAS[protocol]) from error
        raise ConfigError(f"{url!r}: {error}") from error
    return found


def _uncached(place: Place) -> Place:
    """See through caches, which are for reading: `simplecache::s3://…` saves to S3."""
    fs, url, around = place.fs, place.url, place.around
    while isinstance(fs, CachingFileSystem):
        fs, url, around = fs.fs, url.partition("::")[2], (*around, fs)
    return Place(fs, place.path, url, around)
