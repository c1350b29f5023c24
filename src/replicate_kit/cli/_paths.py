"""Paths that are typed: what cannot be one is refused before anything is done, with what is wrong with it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import click

from replicate_kit._formats.paths import check_local
from replicate_kit._formats.redacting import redacted
from replicate_kit.cli._wording import as_typed
from replicate_kit.errors import ConfigError, ReplicateError

__all__ = [
    "FOLDER",
    "JOURNAL",
    "JSON_FILE",
    "NEW_FILE",
    "NEW_JOURNAL",
    "PYTHON_FILE",
    "RESULTS",
    "STANDARD",
    "TABLE",
    "Unwritable",
    "check_distinct",
    "check_folder",
    "check_writable",
    "read_location",
    "said_of",
]

# What the system answers to a path that can never be used, whatever the rights: it was typed wrong.
_TYPED_WRONG = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.EINVAL, errno.ELOOP}
)
_USAGE = 2

_MAGIC = b"SQLite format 3\0"
_APPLICATION_AT = slice(
    68, 72
)  # "Database File Format" of SQLite: where application_id is, the highest byte first


class Unwritable(click.ClickException):
    """A file that cannot be written: wrong usage where it can never be, and an error where the system refuses it."""

    def __init__(self, message: str, error: OSError) -> None:
        super().__init__(message)
        self._error = error

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        """With what the command ends."""
        return _USAGE if self._error.errno in _TYPED_WRONG else 1


class LocalPath(click.Path):
    """The path of a file or folder on this machine, as `click.Path`; says what is wrong with one that is none."""

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        """Check it."""
        text = os.fspath(value)
        if text == STANDARD and self.allow_dash:
            return STANDARD  # a text: the path of a file that has this name is another thing
        if problem := _problem(text, is_folder=self.dir_okay and not self.file_okay, exists=self.exists):
            self.fail(problem, param, ctx)
        return super().convert(value, param, ctx)


class _Journal(LocalPath):
    """The path of a journal, or the URL of one that is no file of this machine, which stays a text.

    Another file is refused before SQLite opens it, which would change it.
    """

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        """Check that there is a store for a URL, or what the file begins with."""
        from replicate_kit.batch._ledger.stores import is_url, journal_text

        if is_url(value):
            try:
                return journal_text(value)
            except ConfigError as error:
                self.fail(as_typed(str(error)), param, ctx)
        path = super().convert(value, param, ctx)
        if not _may_be_journal(Path(path), exists=self.exists):
            self.fail(
                f"{str(path)!r} is not a journal. Name the file that `map` made beside the table, such as "
                "animals.journal.sqlite for animals.csv. If it was one, it is damaged: restore it from a copy.",
                param,
                ctx,
            )
        return path


class _Python(LocalPath):
    """The path of a Python file."""

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        """Check its name."""
        path = super().convert(value, param, ctx)
        if Path(path).suffix != ".py":
            self.fail(f"{str(path)!r} is no Python file: its name does not end in .py.", param, ctx)
        return path


STANDARD = "-"
"""What stands for standard input or output where a path may."""

TABLE = LocalPath(exists=True, dir_okay=False, path_type=Path, allow_dash=True)
"""A table that is there, or standard input."""

RESULTS = LocalPath(dir_okay=False, path_type=Path, allow_dash=True)
"""A file that is to be written, or standard output."""

NEW_FILE = LocalPath(dir_okay=False, path_type=Path)
"""A file that is to be written."""

FOLDER = LocalPath(file_okay=False, path_type=Path)
"""A folder that is to be written to."""

PYTHON_FILE = _Python(exists=True, dir_okay=False, path_type=Path)
"""A file of models."""

JSON_FILE = LocalPath(exists=True, dir_okay=False, path_type=Path)
"""A file that is there to be read."""

JOURNAL = _Journal(exists=True, dir_okay=False, path_type=Path)
"""A journal that is there, where it is a file; or its URL."""

NEW_JOURNAL = _Journal(dir_okay=False, path_type=Path)
"""A journal that may be there; or its URL."""


def _problem(text: str, *, is_folder: bool, exists: bool) -> str | None:
    """Say what is wrong with a path; None where nothing is."""
    what = "folder" if is_folder else "file"
    if not text.strip():
        return f"the name is empty. Name a {what}."
    if "\0" in text:
        return f"{text!r} holds a NUL character, which no name of a {what} can. Take it out."
    if text == STANDARD:
        return f"standard input and output cannot be used here. Name a {what}."
    try:
        check_local(text, "it")
    except ConfigError:
        return f"{redacted(text)!r} is a URL, and only a {what} on this machine can be used here."
    return _problem_on_disk(Path(text), what, exists=exists)


def _problem_on_disk(path: Path, what: str, *, exists: bool) -> str | None:
    """Say what the system has against a path."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return None if exists else _problem_above(path, what)
    except NotADirectoryError:
        return _problem_above(path, what)
    except OSError as error:
        return f"{str(path)!r}: {error.strerror}."
    if what == "file" and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        return f"{str(path)!r} is a device or a pipe, and not an ordinary file. Name a file."
    return None


def _problem_above(path: Path, what: str) -> str | None:
    """Say that something above a path is a file, where it is."""
    for parent in path.parents:
        if parent.exists() or parent.is_symlink():
            return None if parent.is_dir() else f"{str(path)!r}: {str(parent)!r} is a file, and not a folder."
    return None


def _may_be_journal(path: Path, *, exists: bool) -> bool:
    """Whether a file begins as journals do; one that is not there or empty will be made one, if it need not exist.

    Nobody has it open in this process yet: to read it while a run has would take away the locks of SQLite.
    """
    from replicate_kit.batch._ledger.tables import APPLICATION

    try:
        with path.open("rb") as file:
            head = file.read(_APPLICATION_AT.stop)
    except FileNotFoundError:
        return not exists
    except OSError:
        return True  # SQLite says why it cannot be opened
    if not head:
        return not exists
    # Where a run was killed, the mark may still be in SQLite's log.
    logged = path.with_name(f"{path.name}-wal").exists()
    return head.startswith(_MAGIC) and (
        logged or head[_APPLICATION_AT] == APPLICATION.to_bytes(4, "big", signed=True)
    )


def check_distinct(paths: Mapping[str, Path | str | None]) -> None:
    """Refuse to write a file over another one of the same command; `paths` are by what messages call them.

    URLs, which are texts, name no file.
    """
    taken: dict[Path, str] = {}
    for name, path in paths.items():
        other = taken.setdefault(path.resolve(), name) if isinstance(path, Path) else name
        if other != name:
            raise click.UsageError(
                f"{name} is {other} ({path}). Name another file: one would overwrite the other."
            )


def check_writable(path: Path) -> None:
    """Make the folder of a file that is to be written later; an error if that will not be possible."""
    check_local(path, str(path))
    _try(path, path.parent, "file")


def check_folder(path: Path) -> None:
    """Make a folder that is to be written to; an error if that is not possible."""
    check_local(path, str(path))
    _try(path, path, "folder")


def _try(path: Path, folder: Path, what: str) -> None:
    """Make a folder, and see whether it takes a file."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        why = _problem_above(folder / "any", what) if error.errno in (errno.EEXIST, errno.ENOTDIR) else None
        reason = why.partition(": ")[2].rstrip(".") if why else error.strerror
        raise Unwritable(
            f"{path} cannot be written ({reason}). Nothing was done. Name another {what}.", error
        ) from None


def read_location(_: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Check a folder or URL that files are saved in: a folder of this machine must not be a file."""
    if value is None:
        return None
    from replicate_kit._formats.store_urls import local_path
    from replicate_kit.storage import SaveTo

    if "\0" in value:
        raise click.BadParameter(
            f"{value!r} holds a NUL character, which no name of a folder can. Take it out."
        )
    if not value.strip():
        raise click.BadParameter(
            "the name is empty. Name a folder or URL; '.' is the folder that you are in."
        )
    if value == "-":
        raise click.BadParameter("standard output cannot take files. Name a folder or URL.")
    folder = local_path(SaveTo.of(value).folder)
    if folder is not None and (problem := _problem_of_folder(Path(folder))):
        raise click.BadParameter(problem)
    return value


def _problem_of_folder(path: Path) -> str | None:
    """Say why a path cannot be a folder."""
    try:
        is_file = path.exists() and not path.is_dir()
    except OSError as error:
        return f"{str(path)!r}: {error.strerror}."
    return f"{str(path)!r} is a file, and not a folder." if is_file else _problem_above(path, "folder")


def said_of(error: OSError) -> str:
    """Say what the system refused, without its numbers.

    >>> said_of(FileNotFoundError(2, "No such file or directory", "pictures/a.png"))
    "'pictures/a.png': No such file or directory."
    """
    if isinstance(error, ReplicateError) or not error.strerror:
        return str(error)
    names = " and ".join(repr(os.fsdecode(each)) for each in _names(error))
    return f"{names}: {error.strerror}." if names else f"{error.strerror}."


def _names(error: OSError) -> Mapping[str | bytes, None]:
    """The names of the files that an error is about, each once."""
    return dict.fromkeys(
        each for each in (error.filename, error.filename2) if isinstance(each, str | bytes) and each
    )
