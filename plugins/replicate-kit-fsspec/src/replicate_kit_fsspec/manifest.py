"""The manifest: a list of the files in a folder, beside them, and whether they are what it says."""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from replicate_kit.errors import ConfigError, FileError, MissingExtraError
from replicate_kit.storage import StoredFile, Target
from replicate_kit_fsspec.instances import opened, tried
from replicate_kit_fsspec.places import Place, place_of
from replicate_kit_fsspec.writers import BLOCK, Notes, writer_for

if TYPE_CHECKING:
    from replicate_kit.session import Session

__all__ = ["NAME", "Verdict", "read", "record", "verify"]

NAME = "manifest.jsonl"
"""Its name: one JSON object a line, those of `StoredFile` with the `name` of the file below the folder."""


async def record(files: Sequence[StoredFile], target: Target, session: Session) -> None:
    """Add records to the manifest of a folder."""
    folder = place_of(target.folder, target.options)
    await session.in_thread(functools.partial(_add, files, folder))


def _add(files: Sequence[StoredFile], folder: Place) -> None:
    """Add lines: at the end of a local file, else to a list that is written anew."""
    lines = "".join(json.dumps(_record_of(file, folder), ensure_ascii=False) + "\n" for file in files)
    place = folder.join(NAME)
    if place.is_local:
        # One call, so that several processes may do it at the same time.
        handle = os.open(place.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            os.write(handle, lines.encode())
            os.fsync(handle)
        finally:
            os.close(handle)
        return
    known = {each["name"]: each for each in _records(place)}
    known.update((each["name"], each) for each in map(json.loads, lines.splitlines()))
    _write(place, "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in known.values()).encode())


def _write(place: Place, content: bytes) -> None:
    """Write a file whole or not at all."""
    writer = writer_for(place, Notes(content_type="application/jsonl"))
    try:
        writer.write(content)
        writer.commit(place)
    except BaseException:
        writer.discard()
        raise


def _record_of(file: StoredFile, folder: Place) -> dict[str, Any]:
    """Make a line of a record."""
    child = folder.child(file.url)
    name = file.url if child is None else child.path[len(folder.path) :].lstrip("/")
    return {"name": name, **file.to_json()}


def _records(place: Place) -> Iterator[dict[str, Any]]:
    """Read lines; one that was cut off by a crash is left out."""
    place.fs.invalidate_cache(place.path.rpartition("/")[0])
    try:
        content = place.fs.cat_file(place.path)
    except FileNotFoundError:
        return
    for line in content.decode(errors="replace").splitlines():
        try:
            each = json.loads(line)
        except ValueError:
            continue
        if isinstance(each, dict) and isinstance(each.get("name"), str):
            yield each


def read(folder: str, options: Mapping[str, Any]) -> dict[str, StoredFile]:
    """Read the manifest of a folder: its files by name, each as it was last recorded.

    Raises `FileError` where there is none.
    """
    again = functools.partial(place_of, folder, options)
    try:
        place, records = tried(opened(folder, options), again, lambda place: list(_records(place.join(NAME))))
    except (FileError, ConfigError, MissingExtraError):
        raise
    except Exception as error:  # whatever a store's own client raises
        raise FileError(
            f"The manifest in {folder!r} cannot be read ({type(error).__name__}: {error}). Check the URL, and the "
            "credentials and options in the environment or storage_options."
        ) from error
    place, found = place.join(NAME), {each["name"]: StoredFile.from_json(each) for each in records}
    if not found:
        raise FileError(
            f"{place.url!r} lists no files. Such a list is kept where save_to=SaveTo(folder, manifest=True) "
            "asks for it."
        )
    return found


@dataclass(frozen=True)
class Verdict:
    """What became of a file: `problem` is None where it is what its record says."""

    name: str
    file: StoredFile
    problem: str | None


def verify(folder: str, options: Mapping[str, Any], *, quick: bool = False) -> Iterator[Verdict]:
    """Compare the files of a folder with its manifest; `quick` looks at their sizes alone.

    >>> from replicate_kit import Client, SaveTo
    >>> save_to = SaveTo("memory://checked", manifest=True)
    >>> pictures = Client(backend="mock").run("demo/painter", {"prompt": "a hill"}, save_to=save_to)
    >>> [each.problem for each in verify("memory://checked", {})]
    [None]
    """
    place = place_of(folder, options)
    for name, file in read(folder, options).items():
        yield Verdict(name, file, _problem(place.join(name), file, quick=quick))


def _problem(place: Place, file: StoredFile, *, quick: bool) -> str | None:
    """Find what is wrong with a file."""
    size = place.size()
    if size is None:
        return "missing"
    if file.size is not None and size != file.size:
        return f"{size} bytes instead of {file.size}"
    if not quick and file.sha256 is not None and _digest(place) != file.sha256:
        return "other content than was stored"
    return None


def _digest(place: Place) -> str:
    """Hash a file, block by block."""
    with place.fs.open(place.path, "rb", block_size=BLOCK) as handle:
        digest = hashlib.sha256()
        while block := handle.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()
