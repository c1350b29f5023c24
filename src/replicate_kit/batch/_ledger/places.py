"""Where journals are kept."""

from __future__ import annotations

import functools
import logging
import os
import stat
import sys
import tempfile
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from replicate_kit._formats.paths import expanded, local_text
from replicate_kit._user.folders import user_folder
from replicate_kit.batch._ledger.locks import in_use
from replicate_kit.batch._ledger.space import FLOOR, can_be_written, free_bytes
from replicate_kit.errors import JournalError

__all__ = [
    "JournalPath",
    "Place",
    "cache_folder",
    "check_local",
    "drop",
    "folders",
    "journal_file",
    "unusable",
]

log = logging.getLogger("replicate_kit")

JournalPath = str | os.PathLike[str]

_NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "afs", "ceph", "glusterfs", "lustre"}
    | {"beegfs", "gpfs", "davfs", "webdav", "fuse.sshfs", "fuse.s3fs", "fuse.gcsfuse", "fuse.rclone"}
)
_PROBE = 1 << 16  # bytes; what a journal needs to begin
_KEPT_FOR = 30 * 24 * 3600.0  # seconds; an unfinished run's journal is kept a month


class Place(NamedTuple):
    """The file of a journal; `remark` says why it is not where one that nobody named is usually kept."""

    path: Path
    remark: str | None = None


def folders() -> list[Path]:
    """The folders for journals that nobody named: the user's cache, and a temporary one where that is no use."""
    return [each for each in (cache_folder(), _safe_temporary_folder()) if each is not None]


def journal_file(given: JournalPath | None) -> Place:
    """The file of a run's journal. Raises `JournalError` where there cannot be one."""
    if given is None:
        return _unnamed()
    path = Path(expanded(local_text(given, "journal"), "journal")).absolute()
    check_local(path)
    if os.path.isdir(path):  # unlike `Path.is_dir`, it raises nothing where we may not look
        raise JournalError(
            f"journal={str(path)!r} is a folder. Pass a file, such as {str(path / 'journal.sqlite')!r}."
        )
    if os.path.exists(path) and not os.path.isfile(path):
        raise JournalError(
            f"journal={str(path)!r} is a device or a pipe. Pass a file, such as 'journal.sqlite'."
        )
    return Place(path)


def _unnamed() -> Place:
    """A new file for one run; those that were left over too long ago are removed."""
    folder, reason = cache_folder(), "this user has no home folder"
    if folder is not None:
        reason = unusable(folder) or _of_network(folder)
    if folder is not None and not reason:
        return Place(_new_in(folder))
    usual = "the user's cache folder" if folder is None else str(folder)
    temporary = _temporary_folder(usual, reason)
    remark = (
        f"The journal cannot be kept in {usual} ({reason}), and is in {temporary}, which the system may empty. Pass "
        "journal= with a file that stays, or set XDG_CACHE_HOME to a folder of a local disk that can be written."
    )
    _tell(remark)
    return Place(_new_in(temporary), remark)


@functools.cache
def _tell(remark: str) -> None:
    """Warn once: programs may run over rows often."""
    log.warning("%s", remark)


def _new_in(folder: Path) -> Path:
    """Name a file that is not there yet."""
    _drop_old(folder)
    return folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:8]}.sqlite"


def cache_folder() -> Path | None:
    """The folder of journals in the user's cache; None for a user without a home."""
    folder = user_folder("cache")
    return None if folder is None else folder / "journals"


def unusable(folder: Path) -> str:
    """Say why no journal can be kept in a folder, which is made if need be; empty where one can."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return error.strerror or type(error).__name__
    free = free_bytes(str(folder))
    if (free is not None and free < FLOOR) or not can_be_written(folder, _PROBE):
        return "its disk is full, or a quota is reached"
    return ""


def _temporary_folder(usual: str, reason: str) -> Path:
    """A folder of ours alone among the system's temporary files. Raises `JournalError` where there is none."""
    try:
        folder = _safe_temporary_folder(make=True) or Path(tempfile.mkdtemp(prefix="replicate-kit-"))
        problem = unusable(folder)
    except OSError as error:  # there is no folder for temporary files
        folder, problem = Path("/tmp"), error.strerror or str(error)
    if problem:
        raise JournalError(
            f"The journal can be kept neither in {usual} ({reason}) nor in {folder} ({problem}). Pass journal= with a "
            "file that can be written."
        )
    return folder


def _safe_temporary_folder(*, make: bool = False) -> Path | None:
    """The folder that later runs of this user find again; None where another user may have put it there.

    Its name is known to everybody, and the folder for temporary files is everybody's.
    """
    user = os.getuid() if sys.platform != "win32" else ""
    try:
        folder = Path(tempfile.gettempdir()).absolute() / f"replicate-kit-{user}".rstrip("-")
        if make:
            with suppress(FileExistsError):
                folder.mkdir(mode=0o700)
        # Not `stat`: a link of another user's may lead to a folder of ours today, and elsewhere tomorrow.
        found = os.lstat(folder)
    except OSError:
        return None
    return folder if stat.S_ISDIR(found.st_mode) and _is_ours_alone(found) else None


def _is_ours_alone(found: os.stat_result) -> bool:
    """Whether nobody else can read or change what is in a folder; folders of Windows are their users' own."""
    return sys.platform == "win32" or (found.st_uid == os.getuid() and not found.st_mode & 0o077)


def drop(journal: Path) -> None:
    """Remove a journal and what SQLite keeps beside it."""
    for suffix in ("", "-wal", "-shm"):
        with suppress(OSError):
            journal.with_name(journal.name + suffix).unlink()


def check_local(journal: Path) -> None:
    """Refuse network file systems, whose locks do not hold."""
    if found := _of_network(journal.absolute().parent):
        raise JournalError(
            f"The journal {journal} cannot be used: {found}, where locks are not reliable and a row might be paid "
            "twice. Pass journal= with a file on a local disk."
        )


def _of_network(folder: Path) -> str:
    """Say that a folder is on a network file system, where the system tells; empty otherwise."""
    kind = _file_system(folder)
    return f"it is on a network file system ({kind})" if kind in _NETWORK else ""


def _file_system(folder: Path) -> str:
    """The kind of file system that a folder is on; empty where the system does not say."""
    if sys.platform == "win32":
        return "smb" if str(folder).startswith("\\\\") else ""
    try:
        mounts = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape")
    except OSError:
        return ""
    resolved = folder.resolve()
    found = dict(map(_mount, mounts.splitlines()))
    for each in (resolved, *resolved.parents):
        if str(each) in found:
            return found[str(each)]
    return ""


def _mount(line: str) -> tuple[str, str]:
    """The place and kind of one line of mountinfo; spaces are written in octal there."""
    left, _, right = line.partition(" - ")
    place = left.split(" ")[4].replace("\\040", " ")
    return place, right.split(" ")[0]


def _drop_old(folder: Path) -> None:
    """Remove journals that nobody came back for."""
    limit = time.time() - _KEPT_FOR
    for path in folder.glob("*.sqlite"):
        with suppress(OSError):
            if path.stat().st_mtime < limit and not in_use(path):
                drop(path)
