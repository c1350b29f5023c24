"""What is at a local path before a file is written there: nothing, a file, a link to one, or what is no file."""

from __future__ import annotations

import errno
import io
import os
import stat
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol, cast

from replicate_kit.errors import FileError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

__all__ = ["followed", "is_written_into", "open_into"]

_MOST_LINKS = 40  # that Linux follows
# Links in here lead to what is open, whatever its name is: /dev/stdout, /proc/self/fd/1.
_OF_THE_SYSTEM = ("/dev/", "/proc/")
_DESCRIPTORS = "/dev/fd/"  # which are no links on macOS
_PAUSE = 0.05  # seconds between two looks for a reader
_REFUSED = {stat.S_IFDIR: "a folder", stat.S_IFSOCK: "a socket", stat.S_IFBLK: "a disk"}


class Sleeper(Protocol):
    """Who can wait: a session."""

    async def sleep(self, seconds: float, /) -> None: ...


def followed(path: Path) -> Path:
    """Give the path that is written where somebody names this one: the end of a link, also where nothing is there yet.

    Raises `FileError` for what no file can be written to: a folder, a socket, a disk, a link that leads to itself.
    """
    end = path
    for _ in range(_MOST_LINKS):
        if _is_of_the_system(end) or not end.is_symlink():
            _check(end)
            return end
        end = end.parent / os.readlink(end)
    raise FileError(
        f"{str(path)!r} cannot be written to: it is a link that leads to itself. Pass another path."
    )


def is_written_into(path: Path) -> bool:
    """Whether it is written into what is there, of which nothing can take the place: a device, a FIFO, an open file."""
    mode = _mode(path)
    return mode is not None and (_is_of_the_system(path) or not stat.S_ISREG(mode))


async def open_into(path: Path, sleeper: Sleeper) -> IO[bytes]:
    """Open what is there to write into it; wait until somebody reads, if it is a FIFO."""
    flags = os.O_WRONLY | os.O_APPEND | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
    while True:
        try:
            handle = os.open(path, flags)
        except OSError as error:
            if error.errno != errno.ENXIO or not stat.S_ISFIFO(_mode(path) or 0):
                raise
        else:
            if hasattr(os, "O_NONBLOCK"):
                os.set_blocking(handle, True)
            return cast("IO[bytes]", _Unbuffered(handle, "wb"))
        await sleeper.sleep(_PAUSE)


class _Unbuffered(io.FileIO):
    """A file whose closing has nothing left to write, for which nobody might ever be there."""

    def write(self, data: Buffer, /) -> int:
        left = memoryview(data)
        while left:
            left = left[super().write(left) or 0 :]
        return memoryview(data).nbytes


def _is_of_the_system(path: Path) -> bool:
    """Whether it is one of the names by which the system gives what is open."""
    text = str(path)
    return text.startswith(_DESCRIPTORS) or (text.startswith(_OF_THE_SYSTEM) and path.is_symlink())


def _mode(path: Path) -> int | None:
    """What kind of thing is there; None where nothing is, or nobody may see it."""
    try:
        return os.stat(path).st_mode
    except OSError:
        return None


def _check(path: Path) -> None:
    """Raise `FileError` for what no file can be written to."""
    mode = _mode(path)
    kind = None if mode is None else _REFUSED.get(stat.S_IFMT(mode))
    if kind is not None:
        raise FileError(f"{str(path)!r} cannot be written to: it is {kind}. Pass the path of a file.")
