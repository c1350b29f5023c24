"""Which installed distributions announce plugins."""

from __future__ import annotations

import functools
import os
import sys
from typing import TYPE_CHECKING

from replicate_kit import hooks

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["installed"]

_METADATA = (".dist-info", ".egg-info")
_SECTION = f"[{hooks.GROUP}]".encode()


@functools.cache
def installed() -> tuple[EntryPoint, ...]:
    """Read the entry points once: it takes tens of milliseconds."""
    if not _may_be_announced():
        return ()
    from importlib.metadata import entry_points

    return tuple(entry_points(group=hooks.GROUP))


def _may_be_announced() -> bool:
    """Whether any distribution may announce a plugin, by a glance at the files that would say so.

    Most have none, and to load what reads entry points takes a seventh of a first run on the mock backend. What cannot
    be told at a glance (archives, finders of others) may.
    """
    return any(map(_finds_distributions, sys.meta_path)) or any(map(_may_announce, sys.path))


def _finds_distributions(finder: object) -> bool:
    """Whether a finder of modules, beside Python's own, knows of distributions."""
    own = getattr(finder, "__module__", "") == "_frozen_importlib_external"
    return hasattr(finder, "find_distributions") and not own


def _may_announce(folder: str) -> bool:
    """Whether a distribution in a folder of Python's path may announce a plugin."""
    try:
        with os.scandir(folder or os.curdir) as found:
            names = [
                each.name for each in found if each.name.lower().endswith((*_METADATA, ".egg", "egg-info"))
            ]
    except NotADirectoryError:
        return True  # an archive
    except OSError:
        return False  # as Python itself leaves it out
    return any(
        not name.lower().endswith(_METADATA) or _has_section(os.path.join(folder, name)) for name in names
    )


def _has_section(metadata: str) -> bool:
    """Whether the metadata of a distribution has entry points of ours."""
    try:
        with open(os.path.join(metadata, "entry_points.txt"), "rb") as file:
            return _SECTION in file.read()
    except OSError:
        return False
