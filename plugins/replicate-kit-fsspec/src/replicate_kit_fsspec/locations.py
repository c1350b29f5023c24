"""Locations: what a URL means, and which filesystem serves it."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import fsspec
from fsspec.core import url_to_fs
from fsspec.implementations.cached import CachingFileSystem
from fsspec.implementations.local import LocalFileSystem

from replicate_kit.errors import ConfigError, FileError, MissingExtraError
from replicate_kit.messages import redacted
from replicate_kit.storage import EXTRAS
from replicate_kit.stores import LocalLocation, Location, Notes, Writer, parts_of, url_below
from replicate_kit_fsspec.errors import is_refusal
from replicate_kit_fsspec.options import check_options, misfit, options_of

__all__ = ["BLOCK", "StoreLocation", "folder_of", "is_refusal", "location_of", "protocols_of"]

BLOCK = 5 * 2**20
"""Bytes that a store is sent at a time, the least that S3 takes: s3fs's own 50 MiB would be held several times over."""

# Filesystems that take no new files, or not one beside another.
_READ_ONLY = frozenset(
    {"http", "https", "data", "github", "gist", "git", "reference", "tar", "libarchive", "zip", "replicate"}
)


@dataclass(frozen=True)
class StoreLocation:
    """One file's or folder's location: a filesystem, a path in it, and the URL under which people know it.

    `around` are caches around that filesystem, which files are not written through.
    """

    fs: Any
    path: str = field(repr=False)  # may hold what stands before the host, as the URL does not
    url: str
    around: tuple[Any, ...] = field(default=(), repr=False)

    @property
    def seen(self) -> Location:
        """The same location; one on a disk of this machine as the package itself sees it."""
        return LocalLocation(self.path, self.url) if isinstance(self.fs, LocalFileSystem) else self

    def join(self, name: str, /) -> StoreLocation:
        """The location of a file below this folder."""
        parts_of(name, self.url)
        path = posixpath.join(self.path or "/", name) if self.path else name
        return StoreLocation(self.fs, path, url_below(self.url, name))

    def size(self) -> int | None:
        """How many bytes the file has; None if there is none."""
        self.fs.invalidate_cache(self.path.rpartition("/")[0])
        try:
            return int(self.fs.info(self.path)["size"])
        except FileNotFoundError:
            return None

    def chunks(self) -> Iterator[bytes]:
        """Read the file, block by block."""
        self.fs.invalidate_cache(self.path.rpartition("/")[0])
        with self.fs.open(self.path, "rb", block_size=BLOCK) as file:
            while chunk := file.read(BLOCK):
                yield chunk

    def append(self, data: bytes, /) -> bool:
        """Stores have no such thing, or none that others could not interfere with."""
        return False

    def open_writer(self, notes: Notes, /, *, later: bool) -> Writer:
        """Choose what writes here."""
        from replicate_kit_fsspec.writers import open_writer

        return open_writer(self, notes, later=later)

    def failed(self, error: Exception, /) -> FileError:
        """Say what a store's failure means, and what to do."""
        if is_refusal(error):
            from replicate_kit_fsspec.instances import forget

            forget(self)  # the next attempt reads the credentials anew
            return FileError(
                f"{self.url!r} may not be used ({error}). Check its credentials and their rights: they come from the "
                "environment or from storage_options."
            )
        return FileError(f"{self.url!r} did not take the file: {type(error).__name__}: {error}")


def folder_of(folder: str, options: Mapping[str, Any]) -> Location:
    """Find the location of a URL, as `location_of` does."""
    return location_of(folder, options).seen


def location_of(folder: str, options: Mapping[str, Any], *, write: bool = True) -> StoreLocation:
    """Find the filesystem of a URL; mostly without I/O. `write` says that it must take files.

    Raises `ConfigError` for a protocol that nobody knows or that takes no files and for options that it does not
    take, `MissingExtraError` where its filesystem is not installed.
    """
    shown = redacted(folder)
    kinds: dict[str, type] = {each: _class(each, shown, write=write) for each in protocols_of(folder)}
    taken = options_of(shown, kinds, options)
    check_options(shown, taken)
    try:
        fs, path = url_to_fs(folder, **options)
    except Exception as error:  # some ask their server or library already here
        if isinstance(error, OSError) and not isinstance(error, FileNotFoundError | PermissionError):
            raise FileError(
                f"{shown!r} cannot be opened ({type(error).__name__}: {error}). Check the network, the address and "
                "the credentials in the environment or storage_options; nothing was created."
            ) from error
        raise misfit(shown, taken, error) from error
    location = StoreLocation(fs, path.rstrip("/"), redacted(folder))
    return _uncached(location) if write else location


def protocols_of(url: str) -> list[str]:
    """The protocols in a URL, which may be a chain of several.

    >>> protocols_of("simplecache::s3://bucket/pictures")
    ['simplecache', 's3']
    """
    return [part.partition("://")[0] if "://" in part else part for part in url.split("::")]


def _is_protocol(name: str) -> bool:
    """Whether fsspec knows a protocol."""
    return name in fsspec.registry or name in fsspec.available_protocols()


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
        if protocol in EXTRAS:
            raise MissingExtraError(f"{url!r}", EXTRAS[protocol]) from error
        raise ConfigError(f"{url!r}: {error}") from error
    return found


def _uncached(location: StoreLocation) -> StoreLocation:
    """See through caches, which are for reading: `simplecache::s3://…` saves to S3."""
    fs, url, around = location.fs, location.url, location.around
    while isinstance(fs, CachingFileSystem):
        fs, url, around = fs.fs, url.partition("::")[2], (*around, fs)
    return StoreLocation(fs, location.path, url, around)
