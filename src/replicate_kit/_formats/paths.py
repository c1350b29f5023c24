"""Paths of this machine, and URLs that became some: `Path("s3://bucket/a")` is `s3:/bucket/a`."""

from __future__ import annotations

import os
import re

from replicate_kit._formats.patterns import pattern
from replicate_kit._formats.redacting import redacted
from replicate_kit._formats.wording import escaped
from replicate_kit.errors import ConfigError

__all__ = ["check_encodable", "check_local", "check_not_collapsed", "expanded", "local_text", "url_of_path"]

_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]+"  # one letter is a drive
_COLLAPSED = pattern(rf"((?:{_SCHEME}::)*{_SCHEME}):(?:/(?!/)|\\+)")
_URL = pattern(rf"(?:{_SCHEME}::)*({_SCHEME}):[/\\]")
_OF_DATABASES = pattern(
    r"(sqlite3?|postgres(?:ql)?|mysql|mariadb|redis|duckdb|memory|file|data)(?:\+\w+)?:", re.IGNORECASE
)


def url_of_path(path: str) -> str | None:
    r"""The URL that was made a path of, as `pathlib` does it; None for any other path, and for a whole URL.

    >>> [url_of_path(each) for each in ("s3:/bucket/a", r"gs:\bucket\a", "file:/tmp/a", "s3://bucket", "C:/a", "a:b")]
    ['s3://bucket/a', 'gs://bucket/a', 'file:///tmp/a', None, None, None]
    """
    found = _COLLAPSED.match(path)
    if found is None:
        return None
    slashes = ":///" if found[1].rpartition("::")[2].lower() in ("file", "local") else "://"
    return f"{found[1]}{slashes}" + path[found.end() :].replace("\\", "/")


def check_not_collapsed(path: str, option: str) -> None:
    """Raise `ConfigError` for a URL that was made a path of: what is stored there would be in a folder here."""
    url = url_of_path(path)
    if url is not None:
        path, url = redacted(path), redacted(url)
        raise ConfigError(
            f"{option}={path!r} is neither a URL nor the name of a folder. Write {url!r}, or {'./' + path!r} for a "
            "folder of that name. Pass it as a text: pathlib.Path makes one slash of two."
        )


def check_encodable(path: str, option: str) -> None:
    """Raise `ConfigError` for a text that no file can be named by: one with half of a surrogate pair."""
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        raise ConfigError(
            f"{option}={escaped(path)!r} cannot be the name of a file: it has half of a surrogate pair. Pass whole "
            "characters."
        ) from None


def check_local(path: str | os.PathLike[str], option: str) -> None:
    """Raise `ConfigError` for a URL, whole or as a path, where only files of this machine can be.

    >>> check_local("results/a.csv", "--out")
    """
    found = _URL.match(os.fspath(path))
    if found is not None:
        raise ConfigError(
            f"{option} is a URL ({found[1]}:), and only files on this machine can be written here. Name a file, and "
            "copy it there afterwards."
        )


def expanded(path: str, option: str) -> str:
    """Put the home folder in the place of "~". Raises `ConfigError` where there is none."""
    found = os.path.expanduser(path)
    if found == path and (path == "~" or path.startswith(("~/", f"~{os.sep}"))):
        raise ConfigError(
            f"{option}={path!r} names the home folder, and this user has none. Pass the whole path."
        )
    return found


def local_text(given: object, option: str) -> str:
    """Read the path of a file that is a database of ours. Raises `ConfigError` for whatever is none."""
    text = os.fspath(given) if isinstance(given, str | bytes | os.PathLike) else None
    text = os.fsdecode(text) if isinstance(text, bytes) else text
    said = "It is an SQLite file on a local disk: pass its path, such as 'journal.sqlite'."
    if text is None:
        raise ConfigError(f"{option} must be the path of a file, not {type(given).__name__}. {said}")
    if not text.strip() or "\0" in text:
        raise ConfigError(f"{option}={text!r} is not the path of a file. {said}")
    check_encodable(text, option)
    if ":memory:" in text.lower() or "mode=memory" in text.lower():
        raise ConfigError(
            f"{option}={text!r} would be lost with this program, and what it has paid for would be paid again. Pass a "
            "file. Without journal= a temporary one is kept until all rows are done."
        )
    if (found := _URL.match(text) or _OF_DATABASES.match(text)) is not None:
        raise ConfigError(f"{option} is a URL ({found[1]}:), which is not supported. {said}")
    if text.endswith(("/", os.sep)):
        raise ConfigError(f"{option}={text!r} is a folder. {said}")
    return text
