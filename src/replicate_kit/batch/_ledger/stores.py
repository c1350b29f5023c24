"""Which store has the journal that a caller names: files of this machine, or what a package offers for a URL."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from replicate_kit._formats.paths import local_text
from replicate_kit._formats.patterns import pattern
from replicate_kit._formats.redacting import redacted
from replicate_kit._runtime.foreign_code import described
from replicate_kit.batch._ledger.protocol import LedgerStore
from replicate_kit.batch._ledger.sqlite import SqliteStore
from replicate_kit.errors import ConfigError, PluginError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["GROUP", "is_shared", "is_url", "journal_text", "shown", "store_of"]

GROUP = "replicate_kit.ledgers"
"""The group of entry points that offer stores, each named for the scheme of its URLs."""

_URL = pattern(r"([A-Za-z][A-Za-z0-9+.-]+)://")  # one letter is a drive
_OF_FILES = ("file", "sqlite", "sqlite3")
# Ours, by schemes.
_PACKAGES = {"postgres": "replicate-kit-postgres", "postgresql": "replicate-kit-postgres"}
_DATABASE = "the URL of a database, such as 'postgresql://user@host/database'"
_IN_MEMORY = re.compile(r":memory:|mode=memory", re.IGNORECASE)


def store_of(journal: str | os.PathLike[str], *, files: bool = True) -> LedgerStore:
    """Find the store of a journal, by the scheme of its URL. Nothing is opened or made.

    Where it cannot be one of `files`, the advice names none.

    Raises `ConfigError` for what is neither the path of a file nor a URL that an installed package has a store for, and
    `PluginError` for a package that fails.
    """
    scheme = _scheme(journal)
    if scheme is None:
        local_text(journal, "journal")
        return SqliteStore()
    return _offered(scheme, files)


def journal_text(journal: object) -> str:
    """The text of what names a journal: the path of a file, or a URL that a package has a store for.

    Raises `ConfigError` for what is neither, and `PluginError` for a package that fails.
    """
    scheme = _scheme(journal)
    if scheme is None:
        return local_text(journal, "journal")
    _offered(scheme)
    return str(journal)


def is_url(journal: object) -> bool:
    """Whether what names a journal is the URL of one that is no file of this machine."""
    return _scheme(journal) is not None


def is_shared(journal: str) -> bool:
    """Whether other processes reach a journal, too; a store says so where they do not."""
    return getattr(store_of(journal), "shared", True) is not False


def shown(journal: str | os.PathLike[str]) -> str:
    """What names a journal, for messages: a URL without its password.

    >>> shown("postgresql://me:secret@host/db?prefix=wombats")
    'postgresql://me@host/db?prefix=wombats'
    """
    text = os.fspath(journal)
    return redacted(text) if is_url(text) else text


def _scheme(journal: object) -> str | None:
    """The scheme of a URL, None for the path of a file, and for whatever that should be and is not.

    A URL is a text: what `pathlib` makes of it lacks a slash.
    """
    found = _URL.match(journal) if isinstance(journal, str) else None
    if found is None or _IN_MEMORY.search(found.string):
        return None
    scheme = found[1].lower()
    return None if scheme in _OF_FILES else scheme


def _offered(scheme: str, files: bool = True) -> LedgerStore:
    """Load the store that a package offers for a scheme."""
    from importlib.metadata import entry_points

    offers = entry_points(group=GROUP)
    found = {each.value: each for each in offers if each.name.lower() == scheme}
    if not found:
        names = ", ".join(sorted({f"{each.name}:" for each in offers}))
        package = _PACKAGES.get(scheme)
        step = (
            f"install a package that offers it (an entry point {scheme!r} in the group {GROUP!r})"
            if package is None
            else f"install the package that offers it: pip install {package}"
        )
        other = "Pass "
        other += "the path of a file on a local disk, such as 'journal.sqlite'" if files else _DATABASE
        raise ConfigError(
            f"journal is a URL ({scheme}:), and no package is installed that keeps journals there; there are "
            f"packages for {names or 'no URLs at all'}. Nothing was created. {other}, or "
            f"{step}{'.' if package is None else ''}"
        )
    if len(found) > 1:
        who = " and ".join(sorted(map(_origin, found.values())))
        raise PluginError(f"The journals of {scheme}: are claimed by {who}. Uninstall all of them but one.")
    (entry,) = found.values()
    return _loaded(entry)


def _loaded(entry: EntryPoint) -> LedgerStore:
    """Load a store: an object, or a class that is made one."""
    try:
        store = entry.load()
        store = store() if isinstance(store, type) else store
    except Exception as error:
        raise PluginError(
            f"The store of journals {entry.name!r} of {_origin(entry)} did not load: {described(error)}. Nothing was "
            "created. Update or uninstall that package, or pass a file on a local disk.",
            plugin=entry.name,
        ) from error
    if not isinstance(store, LedgerStore):
        raise PluginError(
            f"The store of journals {entry.name!r} of {_origin(entry)} is a {type(store).__name__}, which has no "
            "ledger() and administrator(). Update or uninstall that package, or pass a file on a local disk.",
            plugin=entry.name,
        )
    return store


def _origin(entry: EntryPoint) -> str:
    """Name the distribution of an entry point."""
    return "an unknown package" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"
