"""Where programs keep what is a user's own, by the convention of the system."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Literal

__all__ = ["user_folder"]

# Linux: XDG Base Directory Specification. macOS: File System Programming Guide, "Where to put your files". Windows has
# one folder for both kinds of what stays on this machine (KNOWNFOLDERID, FOLDERID_LocalAppData).
_FOLDERS = {
    "cache": ("XDG_CACHE_HOME", ".cache", "Library/Caches"),
    "config": ("XDG_CONFIG_HOME", ".config", "Library/Application Support"),
}


def user_folder(kind: Literal["cache", "config"]) -> Path | None:
    """Find the folder of ours for things of a kind, which need not be there; None for a user without a home.

    >>> folder = user_folder("config")
    >>> folder is None or folder.name
    'replicate-kit'
    """
    variable, usual, of_macos = _FOLDERS[kind]
    named = os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else variable) or ""
    home = _home()
    # A relative path is to be ignored (XDG Base Directory Specification, "Basics").
    if os.path.isabs(named) and sys.platform != "darwin":
        base = Path(named)
    elif home is None:
        return None
    elif sys.platform == "win32":
        base = home / "AppData" / "Local"
    else:
        base = home / (of_macos if sys.platform == "darwin" else usual)
    return base / "replicate-kit"


def _home() -> Path | None:
    """The home folder, None where there is none: users of services have names such as /nonexistent for it."""
    try:
        home = Path.home()
    except (RuntimeError, KeyError):
        return None
    return home if home.is_absolute() and os.path.isdir(home) else None
