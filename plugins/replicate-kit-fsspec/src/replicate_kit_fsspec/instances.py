"""Filesystems that fsspec keeps for the next who asks with the same options, and those that are not to be used again.

fsspec reads credentials when it makes a filesystem, or at its first request. So one that has failed would go on
failing after the user has set what was missing, until the process ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import fsspec

from replicate_kit_fsspec.locations import StoreLocation, location_of, protocols_of

__all__ = ["forget", "opened", "tried"]

T = TypeVar("T")


def opened(folder: str, options: Mapping[str, Any], *, write: bool = True) -> tuple[StoreLocation, bool]:
    """Find the filesystem of a folder or URL, and tell whether fsspec had it from before."""
    old = {id(each) for each in _kept(folder)}
    location = location_of(folder, options, write=write)
    return location, id(location.fs) in old


def tried(
    found: tuple[StoreLocation, bool],
    again: Callable[[], StoreLocation] | None,
    step: Callable[[StoreLocation], T],
) -> tuple[StoreLocation, T]:
    """Do a step at a location; give the location where it worked, and what it gave.

    A filesystem with which it fails is not used again; where it is an old one, a new one is tried at once.
    """
    location, is_old = found
    try:
        return location, step(location)
    except Exception as error:
        forget(location)
        if not is_old or again is None or isinstance(error, FileNotFoundError):
            raise
    return tried((again(), False), None, step)


def forget(location: StoreLocation) -> None:
    """Let fsspec make a new filesystem when somebody asks for this one again."""
    for each in (*location.around, *_chain(location.fs)):
        cache = getattr(type(each), "_cache", None)
        token = getattr(each, "_fs_token_", None)
        if isinstance(cache, dict) and cache.get(token) is each:
            cache.pop(token, None)


def _chain(fs: Any) -> Iterator[Any]:
    """Give a filesystem, and those that it is made of."""
    while fs is not None:
        yield fs
        fs = getattr(fs, "fs", None)


def _kept(folder: str) -> Iterator[Any]:
    """The filesystems of a URL's protocols that fsspec keeps."""
    for protocol in protocols_of(folder):
        kind: Any = fsspec.registry.get(protocol)
        yield from list(getattr(kind, "_cache", {}).values())
