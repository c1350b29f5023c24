"""The manifest of a folder by its URL: a list of the files in it, and whether they are what it says."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

from replicate_kit.errors import ConfigError, FileError, MissingExtraError
from replicate_kit.messages import redacted
from replicate_kit.storage import StoredFile
from replicate_kit.stores import Location, is_local, local_folder, manifest
from replicate_kit.stores.manifest import NAME, Verdict
from replicate_kit_fsspec.instances import opened, tried
from replicate_kit_fsspec.locations import location_of

__all__ = ["NAME", "Verdict", "opened_folder", "read", "verify"]


def opened_folder(folder: str, options: Mapping[str, Any]) -> Location:
    """Find a folder or URL, with the credentials that there are now. Raises `FileError` where it cannot be read."""
    if is_local(folder):
        return local_folder(folder, options)
    again = functools.partial(location_of, folder, options)
    try:
        location, _ = tried(opened(folder, options), again, lambda location: location.join(NAME).size())
    except (FileError, ConfigError, MissingExtraError):
        raise
    except Exception as error:  # whatever a store's own client raises
        raise FileError(
            f"The manifest in {redacted(folder)!r} cannot be read ({type(error).__name__}: {error}). Check the URL, "
            "and the credentials and options in the environment or storage_options."
        ) from error
    return location.seen


def read(folder: str, options: Mapping[str, Any]) -> dict[str, StoredFile]:
    """Read the manifest of a folder: its files by name, each as it was last recorded.

    Raises `FileError` where there is none.
    """
    return manifest.read(opened_folder(folder, options))


def verify(folder: str, options: Mapping[str, Any], *, quick: bool = False) -> Iterator[Verdict]:
    """Compare the files of a folder with its manifest; `quick` looks at their sizes alone.

    >>> from replicate_kit import Client, SaveTo
    >>> save_to = SaveTo("memory://checked", manifest=True)
    >>> pictures = Client(backend="mock").run("demo/painter", {"prompt": "a hill"}, save_to=save_to)
    >>> [each.problem for each in verify("memory://checked", {})]
    [None]
    """
    return manifest.verify(opened_folder(folder, options), quick=quick)
