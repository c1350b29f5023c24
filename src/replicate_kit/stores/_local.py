"""Folders of this machine, as a store that needs no other package."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from replicate_kit._formats.file_names import is_partial_name, partial_name
from replicate_kit._formats.redacting import redacted
from replicate_kit._formats.templates import DIGEST
from replicate_kit._formats.wording import did_you_mean, with_safe_repr
from replicate_kit.errors import ConfigError, FileError
from replicate_kit.stores._locations import Location, Notes, Writer, parts_of, url_below

__all__ = ["LocalLocation", "LocalWriter", "is_local", "local_folder"]

CHUNK = 2**20  # bytes that are read at a time
_OWN = ("file", "local")  # protocols of URLs that are paths of this machine
# Protocols that fsspec, and packages for it, know: what begins like one of them is hardly the name of a folder.
_PROTOCOLS = frozenset(
    {"abfs", "abfss", "adl", "arrow_hdfs", "az", "blockcache", "box", "data", "dbfs", "dir", "dropbox", "dvc", "file"}
    | {"filecache", "ftp", "gcs", "gdrive", "gist", "git", "github", "gs", "hdfs", "hf", "http", "https", "lakefs"}
    | {"libarchive", "local", "memory", "oci", "ocilake", "oss", "r2", "reference", "replicate", "root", "s3", "s3a"}
    | {"sftp", "simplecache", "smb", "ssh", "tar", "tos", "wandb", "webdav", "webhdfs", "zip"}
)  # fmt: skip
# What fsspec's local filesystem takes: what was passed before needs no change.
_OPTIONS = ("auto_mkdir",)
_GENERAL = frozenset(
    {"skip_instance_cache", "use_listings_cache", "listings_expiry_time", "max_paths", "protocol"}
    | {"asynchronous", "batch_size", "loop"}
)


def is_local(folder: str) -> bool:
    r"""Whether it is a folder of this machine: a path, or a URL that is one. A drive's letter is no protocol.

    >>> [is_local(each) for each in ("pictures/", r"C:\pictures", "file:///tmp", "s3://bucket/a", "dir://a::file:///b")]
    [True, True, True, False, False]
    """
    protocol, is_url, _ = folder.partition("://")
    return "::" not in folder and (not is_url or protocol in _OWN)


def local_folder(folder: str, options: Mapping[str, Any] | None = None) -> LocalLocation:
    """Give the location of a folder that `is_local`; without I/O.

    Raises `ConfigError` for what looks like a URL of something else, and for options that a folder does not take.
    """
    protocol, is_url, path = folder.partition("://")
    _check_options(folder, protocol if is_url else "file", options or {})
    if is_url:
        # A Windows path in a URL has a slash before its drive.
        path = path[1:] if path[:1] == "/" and path[2:3] == ":" and os.name == "nt" else path
        return LocalLocation(_absolute(os.path.expanduser(path)), folder)
    _check_path(folder)
    url = os.path.expanduser(folder)
    return LocalLocation(_absolute(url), url)


def _absolute(path: str) -> str:
    """Make a path absolute. What `..` leads to depends on links, which only the system follows."""
    return os.path.abspath(path) if os.name == "nt" else os.path.join(os.getcwd(), path)


def _check_path(folder: str) -> None:
    """Refuse what would be a folder and looks like a URL."""
    protocol, colon, rest = folder.partition(":")
    if colon and protocol.lower() in _PROTOCOLS:
        folder, rest = redacted(folder), redacted(folder).partition(":")[2]
        path = rest if protocol.lower() in _OWN else rest.lstrip("/")
        raise ConfigError(
            f"{folder!r} is neither a URL nor the name of a folder. Write {f'{protocol.lower()}://{path}'!r}, or "
            f"{'./' + folder!r} for a folder of that name."
        )


def _check_options(folder: str, protocol: str, options: Mapping[str, Any]) -> None:
    """Refuse options that cannot be meant; they may be under the protocol's name, as in a chain of URLs."""
    own = options.get(protocol, {})
    if not isinstance(own, Mapping):
        raise ConfigError(
            f"storage_options of {folder!r}: {protocol!r} must be a dict with the options of {protocol}, not "
            f"{type(own).__name__}. Nothing was created."
        )
    given = {**{name: value for name, value in options.items() if name != protocol}, **own}
    problems = [*(_unknown(protocol, name, given) for name in given if name not in {*_OPTIONS, *_GENERAL})]
    if not isinstance(given.get("auto_mkdir") or False, bool):
        problems.append(f"'auto_mkdir' must be True or False, not {type(given['auto_mkdir']).__name__}")
    if problems:
        raise ConfigError(
            f"{folder!r} cannot be opened with these storage_options: {'; '.join(problems)}. {protocol} takes: "
            f"{', '.join(_OPTIONS)}. Correct them and run it again: nothing was created."
        )


def _unknown(protocol: str, name: str, given: Mapping[str, Any]) -> str:
    """Say that a folder does not take an option, and what was meant. Values are not shown: they may be secrets."""
    hint = ", pass auto_mkdir instead" if did_you_mean(name, _OPTIONS) else ""
    if isinstance(given[name], Mapping) and given[name]:
        hint = ", pass what is in it without it"
    return f"{protocol} takes no {name!r}{hint}"


@with_safe_repr
@dataclass(frozen=True)
class LocalLocation:
    """A file or folder of this machine: its absolute path, and the path or URL under which the caller knows it."""

    path: str
    url: str

    def join(self, name: str, /) -> LocalLocation:
        """The location of a file below this folder."""
        return LocalLocation(os.path.join(self.path, *parts_of(name, self.url)), url_below(self.url, name))

    def size(self) -> int | None:
        """How many bytes the file has. Raises `IsADirectoryError` for a folder."""
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            # The name of a link that leads nowhere is taken all the same.
            return 0 if os.path.islink(self.path) else None
        if os.path.isdir(self.path):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), self.url)
        return found.st_size

    def chunks(self) -> Iterator[bytes]:
        """Read the file."""
        with open(self.path, "rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk

    def append(self, data: bytes, /) -> bool:
        """Add lines to the end in one call, so that several processes may do it at the same time."""
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | _BINARY, 0o666)
        try:
            _write_all(handle, _line_end(handle) + data)
            os.fsync(handle)
        finally:
            os.close(handle)
        return True

    def open_writer(self, notes: Notes, /, *, later: bool) -> Writer:
        """Begin to write the file."""
        return LocalWriter(self, notes)

    def failed(self, error: Exception, /) -> FileError:
        """Say what an error of the system means, and what to do."""
        said = f"{type(error).__name__}: {error}"
        if isinstance(error, PermissionError):
            return FileError(
                f"{self.url!r} may not be written to ({said}). Change its rights, or pass another folder as save_to."
            )
        is_full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        return FileError(
            f"{self.url!r} did not take the file: {said}{'. Make room there.' if is_full else ''}"
        )


class LocalWriter:
    """Writes beside the final name, on the same disk, and renames."""

    def __init__(self, location: LocalLocation, notes: Notes) -> None:
        self._replace = notes.replace
        folder, name = os.path.split(location.path)
        while DIGEST in folder:  # it will have another name
            folder = os.path.dirname(folder)
        _make_folder(folder)
        _tidy(folder)
        self._folder, self._partial = folder, os.path.join(folder, partial_name(name))
        # O_EXCL follows no link that somebody has put under that name (open(2)).
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY
        self._handle: int | None = os.open(self._partial, flags, 0o666)

    def write(self, data: bytes, /) -> object:
        """Add bytes."""
        assert self._handle is not None
        _write_all(self._handle, data)
        return None

    def commit(self, location: Location, /) -> None:
        """Give the file its name."""
        assert self._handle is not None
        assert isinstance(location, LocalLocation)
        # The content first: after a power failure the name must not be there without it.
        os.fsync(self._handle)
        self._close()
        folder = os.path.dirname(location.path)
        if folder != self._folder:
            _make_folder(folder)
        if self._replace:
            _check_replaceable(location)
            os.replace(self._partial, location.path)
        else:
            _rename_new(self._partial, location.path)
        _sync(folder)

    def try_out(self) -> None:
        """Write one byte."""
        self.write(b"-")

    def discard(self) -> None:
        """Remove what there is of the file."""
        self._close()
        with contextlib.suppress(FileNotFoundError):  # it has its final name
            os.unlink(self._partial)

    def _close(self) -> None:
        """Close the file once: its number may then be that of another."""
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)


_BINARY = getattr(os, "O_BINARY", 0)  # Windows translates line ends otherwise
# What file systems without hard links answer: FAT, many network mounts, Android's.
_NO_LINKS = frozenset(
    {errno.EPERM, errno.EACCES, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK}
)
# What those answer whose folders cannot be told to become durable, or not by who may not read them.
_NO_SYNC = frozenset({errno.EINVAL, errno.EACCES, errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EBADF})
_GIVEN_UP = 3600.0  # seconds; whoever still writes has waited for its server for a few minutes at most


def _write_all(handle: int, data: bytes) -> None:
    """Write all of it: a disk that is nearly full takes a part."""
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def _line_end(handle: int) -> bytes:
    """What a file lacks whose last line was cut off."""
    end = os.lseek(handle, 0, os.SEEK_END)
    if not end:
        return b""
    os.lseek(handle, end - 1, os.SEEK_SET)
    return b"" if os.read(handle, 1) == b"\n" else b"\n"


def _make_folder(folder: str) -> None:
    """Make a folder. A file in its way is no file that somebody else has stored."""
    try:
        os.makedirs(folder, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), error.filename) from error


def _check_replaceable(location: LocalLocation) -> None:
    """Raise `FileError` for a device, a FIFO or a socket. A link is replaced: it may lead out of the folder."""
    try:
        mode = os.lstat(location.path).st_mode
    except FileNotFoundError:
        return
    if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode) or stat.S_ISDIR(mode)):
        raise FileError(
            f"{location.url!r} is a device, a FIFO or a socket, and was not replaced. Pass another folder or name."
        )


def _rename_new(partial: str, path: str) -> None:
    """Rename a file to a name that must be free: a link is refused where a file is, a rename replaces it."""
    try:
        os.link(partial, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # Not in one step, unlike a link: between this look and the rename another process may be faster.
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path) from None
        os.replace(partial, path)
        return
    os.unlink(partial)


def _sync(folder: str) -> None:
    """Make a rename last, where the system has a way to."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


@functools.lru_cache(maxsize=1024)
def _tidy(folder: str) -> None:
    """Remove what killed processes left half-written in a folder; once for each, since it may be large."""
    # Who may write need not be allowed to list.
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if is_partial_name(entry.name):
                _remove_if_given_up(entry)


def _remove_if_given_up(partial: os.DirEntry[str]) -> None:
    """Remove a file that nobody has written to for a while."""
    with contextlib.suppress(OSError):  # it is somebody else's, or somebody was faster
        if time.time() - partial.stat().st_mtime > _GIVEN_UP:
            os.unlink(partial.path)
