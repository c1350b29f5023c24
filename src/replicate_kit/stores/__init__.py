"""Stores of output files: what is the same wherever files go, and the store of local folders.

A plugin for another store gives a `Location` of its own to `store` and `manifest.record`; `manifest` lists the files in
a folder, and finds out whether they are what the list says.

>>> import tempfile
>>> from replicate_kit.stores import local_folder, manifest
>>> local_folder(tempfile.mkdtemp()).join(manifest.NAME).size() is None
True
"""

from __future__ import annotations

from replicate_kit._formats.file_names import partial_name
from replicate_kit.stores._local import LocalLocation, is_local, local_folder
from replicate_kit.stores._locations import LazyWriter, Location, Notes, Writer, parts_of, url_below
from replicate_kit.stores._saving import files_in
from replicate_kit.stores._transfer import store
from replicate_kit.stores._trial import PROBE, check_folder, manifest_is_folder

__all__ = [
    "PROBE",
    "LazyWriter",
    "LocalLocation",
    "Location",
    "Notes",
    "Writer",
    "check_folder",
    "files_in",
    "is_local",
    "local_folder",
    "manifest_is_folder",
    "partial_name",
    "parts_of",
    "store",
    "url_below",
]
