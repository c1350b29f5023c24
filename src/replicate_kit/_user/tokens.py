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
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from replicate_kit._user.file_locks import locked
from replicate_kit._user.folders import user_folder
from replicate_kit.errors import ConfigError, ReplicateError

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
    return None if path is None or where is None else _sources(where, path)[0]


def keep_token(origin: str, token: str) -> str:
    """Keep a token for an origin, in the place of one that was kept before; say where it is."""
    path = _file()
    if path is None:
        raise ConfigError(
            "This user has no home folder in which a token could be kept. Set REPLICATE_API_TOKEN instead."
        )
    with _changing(path):
        kept = _all(path)
        before = kept.get(origin, {})
        # What one keyring has is not forgotten for another one.
        name = before.get("keyring") or _name_of_keyring()
        where = {"token": token}
        if name is not None:
            # Named before it has anything, and until it has nothing: however this ends, `forget_token` looks there.
            _write(path, {**kept, origin: {**before, "keyring": name}})
            where = (
                {"keyring": name} if _put_into_keyring(name, origin, token) else {**where, "keyring": name}
            )
        _write(path, {**kept, origin: where})
        if len(where) > 1 and _left_in_keyring(origin, where) is None:
            del where["keyring"]
            _write(path, {**kept, origin: where})
    return _sources(where, path)[0]


def forget_token(origin: str) -> str | None:
    """Remove the token that was kept for an origin; say where it was, None where there was none.

    Raises `ReplicateError` for what a keyring does not give up, which stays named.
    """
    path = _file()
    if path is None or origin not in _all(path):
        return None
    with _changing(path):
        kept = _all(path)
        where = kept.pop(origin, None)
        if where is None:
            return None
        left = _left_in_keyring(origin, where)
        if left is not None:
            kept[origin] = {"keyring": where["keyring"]}
        if kept:
            _write(path, kept)
        else:
            Path(os.path.realpath(path)).unlink(missing_ok=True)
    if left is not None:
        raise left
    return " and ".join(_sources(where, path))


def _sources(where: dict[str, str], path: Path) -> list[str]:
    """Say where a token is, for people: first the one that is used."""
    file = [str(path)] if "token" in where else []
    return file + ([f"the keyring {where['keyring']}"] if "keyring" in where else [])


# The file.


def _file() -> Path | None:
    """Where it is, or would be."""
    folder = user_folder("config")
    return None if folder is None else folder / "tokens.json"


@contextlib.contextmanager
def _changing(path: Path) -> Iterator[None]:
    """Keep other programs from changing it, from before it is read until it is written."""
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with locked(path.with_name(f".{path.name}.lock")):
        yield


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


def _name_of_keyring() -> str | None:
    """Give the name of the system's keyring; None where there is none."""
    with contextlib.suppress(Exception):
        import keyring

        used = keyring.get_keyring()
        # Those that stand for none have 0 or less: keyring.backends.fail and keyring.backends.null.
        return str(used.name) if used.priority > 0 else None
    return None


def _put_into_keyring(name: str, origin: str, token: str) -> bool:
    """Keep a token in the keyring of this name, and tell whether it gives it back."""
    with contextlib.suppress(Exception):
        import keyring

        if _name_of_keyring() == name:
            keyring.set_password(_SERVICE, origin, token)
            return keyring.get_password(_SERVICE, origin) == token
    return False


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


def _left_in_keyring(origin: str, where: dict[str, str]) -> ReplicateError | None:
    """Remove a token that was put there, which may be gone already; give the error where it stays."""
    if "keyring" not in where:
        return None
    try:
        import keyring

        used = keyring.get_keyring()
        if used.name != where["keyring"]:
            raise RuntimeError(f"the keyring that is used now is {used.name}")
        try:
            keyring.delete_password(_SERVICE, origin)
        except Exception:
            if keyring.get_password(_SERVICE, origin) is not None:
                raise
    except Exception as error:
        return ReplicateError(
            f"The API token for {origin} is still in the keyring {where['keyring']}: {error or type(error).__name__}. "
            f"Unlock it and run `replicate-kit auth logout`, or remove the entry of {_SERVICE!r} by its own program."
        )
    return None
