"""The manifest: a list of the files in a folder, beside them, and whether they are what it says."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from replicate_kit._formats.redacting import redacted
from replicate_kit._formats.wording import with_safe_repr
from replicate_kit.errors import FileError
from replicate_kit.storage import StoredFile
from replicate_kit.stores._locations import Location, Notes, name_below, write_whole

if TYPE_CHECKING:
    from replicate_kit._http.session import Session

__all__ = ["NAME", "Verdict", "are_there", "entries", "read", "record", "saved_of", "verify"]

NAME = "manifest.jsonl"
"""Its name: one JSON object a line, those of `StoredFile` with the `name` of the file below the folder."""


async def record(files: Sequence[StoredFile], folder: Location, session: Session) -> None:
    """Add records to the manifest of a folder. Raises `FileError` where it does not take them."""
    await session.in_thread(functools.partial(_record, files, folder))


def _record(files: Sequence[StoredFile], folder: Location) -> None:
    """Add lines at the end, else to a list that is written anew."""
    lines = [json.dumps(_line_of(file, folder), ensure_ascii=False) for file in files]
    location = folder.join(NAME)
    try:
        if location.append("".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace")):
            return
        known = {each["name"]: each for each in entries(location)}
        known.update((each["name"], each) for each in map(json.loads, lines))
        content = "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in known.values())
        write_whole(
            location, content.encode("utf-8", "backslashreplace"), Notes(content_type="application/jsonl")
        )
    except FileError:
        raise
    except Exception as error:  # whatever a store's own client raises
        raise FileError(
            f"The files are stored, and their records could not be added to {location.url!r}: {folder.failed(error)}"
        ) from error


def _line_of(file: StoredFile, folder: Location) -> dict[str, Any]:
    """Make a line of a record."""
    return {"name": name_below(folder.url, redacted(file.url)) or redacted(file.url), **file.to_json()}


def entries(location: Location) -> Iterator[dict[str, Any]]:
    """Read the lines of a manifest; one that was cut off by a crash is left out."""
    try:
        content = b"".join(location.chunks())
    except FileNotFoundError:
        return
    for line in content.decode(errors="replace").splitlines():
        try:
            each = json.loads(line)
        except ValueError:
            continue
        if isinstance(each, dict) and isinstance(each.get("name"), str):
            yield each


def read(folder: Location) -> dict[str, StoredFile]:
    """Read the manifest of a folder: its files by name, each as it was last recorded.

    Raises `FileError` where there is none.
    """
    found = dict(_files(folder))
    if not found:
        raise FileError(
            f"{folder.join(NAME).url!r} lists no files. Such a list is kept where "
            "save_to=SaveTo(folder, manifest=True) asks for it."
        )
    return found


def _files(folder: Location) -> list[tuple[str, StoredFile]]:
    """Read the lines as records, each with the name of its file. Raises `FileError` where that cannot be done."""
    location = folder.join(NAME)
    try:
        return [(each["name"], StoredFile.from_json(each)) for each in entries(location)]
    except OSError as error:
        reason = error.strerror or error
        raise FileError(
            f"The manifest {location.url!r} cannot be read ({reason}). Check its rights."
        ) from error
    except (TypeError, ValueError) as error:  # of a line that is JSON and no record
        raise FileError(
            f"The manifest {location.url!r} has a line that is no record of a file ({error}). Correct it, or "
            "restore it from a copy."
        ) from error


def saved_of(folder: Location) -> dict[str, dict[int, StoredFile]]:
    """Read which files of which predictions a manifest lists: by the prediction's id, then by their index.

    Their URLs are those below this folder, however it was written when they were stored. Without a manifest it is
    empty. Raises `FileError` as `read` does.

    >>> import tempfile
    >>> from replicate_kit.stores import local_folder
    >>> saved_of(local_folder(tempfile.mkdtemp()))
    {}
    """
    found: dict[str, dict[int, StoredFile]] = {}
    for name, file in _files(folder):
        with suppress(FileError):  # it is elsewhere
            here = dataclasses.replace(file, url=folder.join(name).url)
            found.setdefault(here.prediction_id or "", {})[here.index] = here
    return found


def are_there(folder: Location, files: Iterable[StoredFile]) -> bool:
    """Whether files that a manifest lists are in its folder, each of the size that it had.

    >>> from replicate_kit.storage import StoredFile
    >>> from replicate_kit.stores import local_folder
    >>> are_there(local_folder("pictures"), [StoredFile(url="pictures/a.png", source="https://example.com/a")])
    False
    """
    names = ((name_below(folder.url, redacted(each.url)), each) for each in files)
    return all(name and _problem(folder.join(name), each, quick=True) is None for name, each in names)


@with_safe_repr
@dataclass(frozen=True)
class Verdict:
    """What became of a file: `problem` is None where it is what its record says."""

    name: str
    file: StoredFile
    problem: str | None


def verify(folder: Location, *, quick: bool = False) -> Iterator[Verdict]:
    """Compare the files of a folder with its manifest; `quick` looks at their sizes alone.

    >>> from replicate_kit import Client, SaveTo
    >>> from replicate_kit.stores import local_folder
    >>> save_to = SaveTo("checked", manifest=True)
    >>> pictures = Client(backend="mock").run("demo/painter", {"prompt": "a hill"}, save_to=save_to)
    >>> [each.problem for each in verify(local_folder("checked"))]
    [None]
    """
    for name, file in read(folder).items():
        yield Verdict(name, file, _problem(folder.join(name), file, quick=quick))


def _problem(location: Location, file: StoredFile, *, quick: bool) -> str | None:
    """Find what is wrong with a file."""
    size = location.size()
    if size is None:
        return "missing"
    if file.size is not None and size != file.size:
        return f"{size} bytes instead of {file.size}"
    if not quick and file.sha256 is not None and _digest(location) != file.sha256:
        return "other content than was stored"
    return None


def _digest(location: Location) -> str:
    """Hash a file, chunk by chunk."""
    digest = hashlib.sha256()
    for chunk in location.chunks():
        digest.update(chunk)
    return digest.hexdigest()
