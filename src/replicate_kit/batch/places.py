"""Where journals are kept."""

from __future__ import annotations

import os
import sys
import time
import uuid
from contextlib import suppress
from pathlib import Path

from replicate_kit.batch.locks import in_use
from replicate_kit.batch.options import JournalPath
from replicate_kit.errors import JournalError

__all__ = ["cache_folder", "check_local", "drop", "journal_file"]

_NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "afs", "afpfs", "ceph", "glusterfs", "lustre"}
    | {"beegfs", "gpfs", "davfs", "webdav", "fuse.sshfs", "fuse.s3fs", "fuse.gcsfuse", "fuse.rclone"}
)
_KEPT_FOR = 30 * 24 * 3600.0  # seconds; an unfinished run's journal is kept a month


def cache_folder() -> Path:
    """The folder for journals that nobody named: the user's cache, as the system has it."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = str(Path.home() / "Library" / "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "replicate-kit" / "journals"


def journal_file(given: JournalPath | None) -> Path:
    """The file of a run's journal. Raises `JournalError` where there cannot be one."""
    if given is None:
        return _temporary()
    path = Path(os.path.expanduser(given)).absolute()
    check_local(path)
    if os.path.isdir(path):  # unlike `Path.is_dir`, it raises nothing where we may not look
        raise JournalError(
            f"journal={str(path)!r} is a folder. Pass a file, such as {str(path / 'journal.sqlite')!r}."
        )
    return path


def _temporary() -> Path:
    """A new file for one run; those that were left over too long ago are removed."""
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise JournalError(
            f"The folder {folder} cannot be made ({error}). Pass journal= with a file that can be written."
        ) from error
    _drop_old(folder)
    return folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:8]}.sqlite"


def drop(journal: Path) -> None:
    """Remove a journal and what SQLite keeps beside it."""
    for suffix in ("", "-wal", "-shm"):
        with suppress(OSError):
            journal.with_name(journal.name + suffix).unlink()


def check_local(journal: Path) -> None:
    """Refuse network file systems, whose locks do not hold."""
    kind = _file_system(journal.absolute().parent)
    if kind in _NETWORK:
        raise JournalError(
            f"The journal {journal} is on a network file system ({kind}), where locks are not reliable and a row "
            "might be paid twice. Pass journal= with a file on a local disk."
        )


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
