"""API tokens that `replicate-kit auth login` kept: in the system's keyring, or in a file that its owner alone can read.

A token is kept for one origin, and given for that one alone. The file tells of each origin where its token is, so that
no keyring is asked, nor even imported, unless a token was put there.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import stat
import tempfile
from pathlib import Path
from typing import Any

from replicate_kit._user.folders import user_folder
from replicate_kit.errors import ConfigError

__all__ = ["forget_token", "keep_token", "kept_token", "source_of_token"]

_SERVICE = "replicate-kit"
_AGAIN = "Run `replicate-kit auth login` again, or set REPLICATE_API_TOKEN."
_Kept = dict[str, dict[str, str]]


def kept_token(origin: str) -> str | None:
    """Give the token that was kept for an origin, such as "https://api.replicate.com"; None where there is none.

    Raises `ConfigError` where it is kept and cannot be given. What a keyring gave is remembered: it may ask the user.
    """
    path = _file()
    seen = None if path is None else _seen(path)
    if path is None or seen is None:
        return None
    where = _read(path, seen).get(origin)
    if where is None:
        return None
    return where["token"] if "token" in where else _from_keyring(origin, where["keyring"], seen)


def source_of_token(origin: str) -> str | None:
    """Say where the token of an origin is kept, for people; None where there is none. No keyring is asked."""
    path = _file()
    where = _all(path).get(origin)
    return None if where is None else f"the keyring {where['keyring']}" if "keyring" in where else str(path)


def keep_token(origin: str, token: str) -> str:
    """Keep a token for an origin, in the place of one that was kept before; say where it is."""
    path = _file()
    if path is None:
        raise ConfigError(
            "This user has no home folder in which a token could be kept. Set REPLICATE_API_TOKEN instead."
        )
    kept = _all(path)
    keyring = _put_into_keyring(origin, token)
    _write(path, {**kept, origin: {"token": token} if keyring is None else {"keyring": keyring}})
    source = source_of_token(origin)
    assert source is not None
    return source


def forget_token(origin: str) -> str | None:
    """Remove the token that was kept for an origin; say where it was, None where there was none."""
    path, source = _file(), source_of_token(origin)
    if path is None or source is None:
        return None
    kept = _all(path)
    if "keyring" in kept.pop(origin):
        _take_from_keyring(origin, source)
    if kept:
        _write(path, kept)
    else:
        path.unlink(missing_ok=True)
    return source


# The file.


def _file() -> Path | None:
    """Where it is, or would be."""
    folder = user_folder("config")
    return None if folder is None else folder / "tokens.json"


def _all(path: Path | None) -> _Kept:
    """Read all of it."""
    seen = None if path is None else _seen(path)
    return {} if path is None or seen is None else dict(_read(path, seen))


def _seen(path: Path) -> tuple[int, ...] | None:
    """What changes with a file, which is asked for each request; None where there is none that we could see."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


@functools.lru_cache(maxsize=4)
def _read(path: Path, seen: tuple[int, ...]) -> _Kept:
    """Read it as it was `seen`. Raises `ConfigError` for one that others can read."""
    try:
        with open(path, "rb") as file:
            mode, text = os.fstat(file.fileno()).st_mode, file.read()
    except OSError as error:
        raise ConfigError(
            f"The file {path}, which holds API tokens, cannot be read ({error.strerror or error}). Remove it. {_AGAIN}"
        ) from None
    if os.name != "nt" and stat.S_IMODE(mode) & 0o077:
        raise ConfigError(
            f"The file {path} holds API tokens, and other users may read it, so it was not used. Run: chmod 600 "
            f"'{path}'. If others may have seen it, make new tokens on https://replicate.com/account/api-tokens."
        )
    try:
        kept = json.loads(text)
    except ValueError:
        kept = None
    if not isinstance(kept, dict) or not all(map(_is_entry, kept.values())):
        raise ConfigError(f"The file {path} is not one of ours, which hold API tokens. Remove it. {_AGAIN}")
    return kept


def _is_entry(where: Any) -> bool:
    """Whether this tells of a token where it is."""
    return isinstance(where, dict) and any(isinstance(where.get(kind), str) for kind in ("token", "keyring"))


def _write(path: Path, kept: _Kept) -> None:
    """Write it in one atomic write, never to be read by others; of a link, the file that it leads to."""
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, partial = tempfile.mkstemp(
        dir=path.parent, prefix=f".{path.name}-"
    )  # of mode 600 from the beginning
    try:
        with open(handle, "w", encoding="utf-8") as file:
            json.dump(kept, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(partial)
        raise


# The keyring, whose backends raise whatever they like.


def _put_into_keyring(origin: str, token: str) -> str | None:
    """Keep a token there, and give the keyring's name; None where there is none that keeps it."""
    with contextlib.suppress(Exception):
        import keyring

        used = keyring.get_keyring()
        # Those that stand for none have 0 or less: keyring.backends.fail and keyring.backends.null.
        if used.priority > 0:
            keyring.set_password(_SERVICE, origin, token)
            if keyring.get_password(_SERVICE, origin) == token:
                return str(used.name)
    return None


@functools.lru_cache(maxsize=16)
def _from_keyring(origin: str, name: str, seen: tuple[int, ...]) -> str:
    """Ask for a token that was put there."""
    try:
        import keyring

        token, why = keyring.get_password(_SERVICE, origin), "it has none"
    except ImportError:
        token, why = None, 'it needs pip install "replicate-kit[keyring]"'
    except Exception as error:
        token, why = None, str(error) or type(error).__name__
    if not token:
        raise ConfigError(
            f"The API token for {origin} was kept in the keyring {name}, which does not give it ({why}). {_AGAIN}"
        )
    return token


def _take_from_keyring(origin: str, source: str) -> None:
    """Remove a token that was put there, which may be gone already."""
    try:
        import keyring

        if keyring.get_password(_SERVICE, origin) is not None:
            keyring.delete_password(_SERVICE, origin)
    except Exception as error:
        raise ConfigError(
            f"The API token for {origin} is still in {source}: {error or type(error).__name__}. Remove the entry of "
            f"{_SERVICE!r} there, by its own program."
        ) from None
