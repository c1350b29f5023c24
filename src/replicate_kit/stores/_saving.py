"""Saving: the output files of a prediction go where `save_to=` says, through the hook
`replicate_store_output`.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from replicate_kit._files.outputs import FileOutput
from replicate_kit._formats.file_names import extension, safe_name
from replicate_kit._formats.nesting import leaves, replace_leaves
from replicate_kit._formats.redacting import is_secret_input, redacted, scrubbed, secrets_of
from replicate_kit._formats.templates import FIELDS
from replicate_kit._http.hiding import hidden_in_errors
from replicate_kit.errors import APIError, ConfigError, FileError, PluginError, TransportError
from replicate_kit.storage import SaveTo, StoredFile, Target
from replicate_kit.stores._locations import url_below

if TYPE_CHECKING:
    from replicate_kit._http.session import Session

__all__ = [
    "Destination",
    "check_target",
    "files_in",
    "hosts_in",
    "no_files",
    "plain_output",
    "planned_files",
    "record_files",
    "safe_name",
    "store_outputs",
]

Destination: TypeAlias = "str | os.PathLike[str] | SaveTo"
"""What `save_to=` takes: a folder or fsspec URL, with a template of names if it has braces, or a `SaveTo`."""


async def check_target(
    folder: Destination,
    session: Session,
    options: Mapping[str, Any] | None = None,
    *,
    fields: Iterable[str] = (),
    rows: bool = True,
    secret: Collection[str] = (),
) -> None:
    """Find out whether files can be stored in `folder`, before anything is paid for.

    `fields` are the inputs and columns that a template of names may use; `rows` says whether there are
    numbered rows; `secret` are the inputs that a schema declares to be secret. Raises `MissingExtraError` where a
    part has to be installed for it, `ConfigError` for a location that nobody knows, a template that cannot be filled
    and one that names a secret input, and `FileError` for a location that does not take files.
    """
    save_to = SaveTo.of(folder, options)
    if save_to.template is not None:
        save_to.template.check(fields)
        _check_secret(save_to, secret)
        if not rows and "row" in save_to.template.fields:
            raise ConfigError(
                f"save_to={str(save_to)!r}: there are no rows here. Use {{prediction_id}} instead of {{row}}."
            )
    with hidden_in_errors(save_to.folder, save_to.options):
        await session.hooks.check_target(_target(save_to, "check"), session)


def _check_secret(save_to: SaveTo, declared: Collection[str]) -> None:
    """Refuse names of files that would tell a secret input to whoever lists them."""
    fields = save_to.template.fields - FIELDS if save_to.template else frozenset()
    if found := sorted(each for each in fields if each in declared or is_secret_input(each)):
        raise ConfigError(
            f"save_to={str(save_to)!r}: {' and '.join(f'{{{each}}}' for each in found)} would put a secret input into "
            "names of files. Name them by {row}, {prediction_id}, {sha256} or another input."
        )


async def store_outputs(
    output: Any,
    *,
    folder: Destination,
    prediction_id: str,
    model: str | None,
    session: Session,
    version: str | None = None,
    told_model: str | None = None,
    label: str | None = None,
    stem: str | None = None,
    options: Mapping[str, Any] | None = None,
    row: int | None = None,
    input_key: str | None = None,
    fields: Mapping[str, Any] | None = None,
    stored: Iterable[StoredFile] = (),
    claim: Callable[[str], Awaitable[str]] | None = None,
    on_stored: Callable[[StoredFile], None] | None = None,
) -> Any:
    """Store every file in a decoded output; give the output with the URLs where they now are.

    `stem` names the files, the prediction's id where it is None, and a number follows it where there are
    several; a template in `folder` is filled with `fields` and the other values instead. `options` go to the
    storage. `stored` are the records of earlier transfers for this prediction, which are not repeated for
    files that are still there. `claim` is asked for each name, without its extension, and gives the one to use.

    `on_stored` is called with the record of each file as soon as it is there; `row` and `input_key` are noted
    in it. Plugins are told of those that are new, with `told_model`, that of the prediction as far as it is known, and
    `label`, that of the run. Raises `FileError` for a file that could not be stored; those before it stay where they
    are.
    """
    save_to = SaveTo.of(folder, options)
    before = {each.index: each for each in stored}
    values = {
        **(fields or {}),
        "prediction_id": prediction_id,
        "model": model,
        "version": version,
        "stem": stem or prediction_id,
        "row": row,
    }
    urls: dict[int, str] = {}
    for file, target in _targets(files_in(output), save_to, values):
        name = target.stem if claim is None else await claim(target.stem)
        target = dataclasses.replace(target, stem=name, stored=before.get(target.index))
        with hidden_in_errors(target.folder, target.options):
            record = _to_keep(await _stored(file, target, session), target.folder)
        record = dataclasses.replace(record, row=row, input_key=input_key)
        if record != before.get(target.index):
            session.hooks.file_saved(record, told_model, label)
        if on_stored is not None:
            on_stored(record)
        urls[id(file)] = record.url
    return replace_leaves(output, lambda leaf: urls.get(id(leaf), leaf))


async def planned_files(output: Any, folder: Destination, values: Mapping[str, Any]) -> list[StoredFile]:
    """Say what `store_outputs` would store, and store nothing: under which names, and which sizes servers tell.

    `values` are those of the template. Raises `FileExpired` for a file that is gone, `FileError` for one that cannot be
    fetched.
    """
    found = []
    for file, target in _targets(files_in(output), SaveTo.of(folder), values):
        download = await file.async_download()
        await download.aclose()
        kind = download.content_type
        suffix = extension(kind, file.url, b"") if target.extension is None else target.extension
        found.append(
            StoredFile(
                url=url_below(redacted(target.folder), target.stem + suffix),
                source=redacted(file.url),
                index=target.index,
                prediction_id=target.prediction_id,
                size=download.size,
                content_type=kind,
            )
        )
    return found


def _targets(
    files: Sequence[FileOutput], save_to: SaveTo, values: Mapping[str, Any]
) -> Iterator[tuple[FileOutput, Target]]:
    """Name the files of a prediction, and say where each of them is to be stored."""
    for index, file in enumerate(files):
        name, suffix = _name(save_to, {**values, "index": index}, several=len(files) > 1)
        yield (
            file,
            dataclasses.replace(
                _target(save_to, name),
                extension=suffix,
                prediction_id=values["prediction_id"],
                model=values["model"],
                version=values["version"],
                index=index,
            ),
        )


def files_in(output: Any) -> list[FileOutput]:
    """List the files in a decoded output, in order.

    >>> from replicate_kit import FileOutput
    >>> len(files_in({"text": "a hill", "pictures": [FileOutput("data:,a"), FileOutput("data:,b")]}))
    2
    """
    return [each for each in leaves(output) if isinstance(each, FileOutput)]


def no_files(
    what: str,
    folder: Destination,
    session: Session,
    elsewhere: Collection[str] = (),
    *,
    several: bool = False,
) -> str:
    """Say that there was nothing to store, which somebody who asked for it may not expect.

    `what` are the outputs, with their verb; `elsewhere` are the other hosts that they have URLs of. It is told and no
    error: the output is paid for, and it is returned.
    """
    hosts = ", ".join(session.output_origins) or "the backend"
    others = (
        f" URLs of {', '.join(sorted(elsewhere))} stay as they are: fetch them yourself." if elsewhere else ""
    )
    return (
        f"{what} no file, so save_to={str(SaveTo.of(folder))!r} stored nothing for {'them' if several else 'it'}. Data "
        f"URLs and URLs of {hosts} are files; other texts are not.{others}"
    )


def hosts_in(output: Any) -> set[str]:
    """The hosts of the web URLs in an output, wherever they stand in it.

    >>> sorted(hosts_in(["https://a.example/x.png", {"page": "http://b.example:8000/"}, "https://", 5]))
    ['a.example', 'b.example:8000']
    """
    texts = (each for each in leaves(output) if isinstance(each, str))
    return {found[1] for each in texts if (found := _WEB_URL.match(each))}


# Nothing is given back, so that a long text which begins as a URL does is read once.
_WEB_URL = re.compile(r"https?://(?:[^/@\s]*+@)?([^/?#@\s]++)\S*+\Z", re.IGNORECASE)


def plain_output(model: object, folder: Destination) -> str:
    """Say before anything is paid that there will be no file to store, going by the model's schema.

    It is told and no error: a model may give a file all the same, as a data URL in its text.
    """
    return (
        f"By its schema, the output of {model} is plain text or numbers, without files: "
        f"save_to={str(SaveTo.of(folder))!r} will have nothing to store. Leave save_to= out, or check the model's name."
    )


async def record_files(
    files: Sequence[StoredFile],
    folder: Destination,
    session: Session,
    options: Mapping[str, Any] | None = None,
) -> None:
    """Keep the records of files beside them, in `manifest.jsonl`, if that is asked for.

    Records of the same location take those locations; others stay. To be called once for many files where that is
    possible: on object stores the whole list is written anew each time.
    """
    save_to = SaveTo.of(folder, options)
    if save_to.manifest and files:
        with hidden_in_errors(save_to.folder, save_to.options):
            await session.hooks.record_files(files, _target(save_to, "manifest"), session)


def _target(save_to: SaveTo, stem: str) -> Target:
    """Make a target of a name."""
    return Target(
        folder=save_to.folder,
        stem=stem,
        if_exists=save_to.if_exists,
        manifest=save_to.manifest,
        options=dict(save_to.options),
    )


def _name(save_to: SaveTo, values: Mapping[str, Any], *, several: bool) -> tuple[str, str | None]:
    """Name a file: by the template if there is one."""
    if save_to.template is not None:
        return save_to.template.render(values, several=several)
    return safe_name(str(values["stem"])) + (f"-{values['index']}" if several else ""), None


def _to_keep(record: StoredFile, folder: str) -> StoredFile:
    """A record without secrets: of the location, and of where the file came from. What a plugin signs itself stays."""
    url = redacted(record.url) if "@" in record.url else record.url
    # Below the location are names of the caller's and of ours: a word there is no secret because a password is equal.
    if not url.startswith(redacted(folder).rstrip("/")):
        url = scrubbed(url, secrets_of(folder))
    return dataclasses.replace(record, url=url, source=redacted(record.source))


async def _stored(file: FileOutput, target: Target, session: Session) -> StoredFile:
    """Store one file; whatever goes wrong says which file of which prediction it was."""
    try:
        result = await session.hooks.store_output(file, target, session)
    except (FileError, APIError, TransportError, OSError) as error:
        kind = type(error) if isinstance(error, FileError) else FileError
        raise kind(
            f"File {target.index} of the prediction {target.prediction_id} could not be stored in "
            f"{redacted(target.folder)!r}: {error}"
        ) from error
    if isinstance(result, StoredFile):
        return result
    if not isinstance(result, str | os.PathLike):
        raise PluginError(
            f"The plugin that stores files in {redacted(target.folder)!r} gave a {type(result).__name__} for file "
            f"{target.index} of the prediction {target.prediction_id}. What it has to give is a URL as text, or "
            "a StoredFile."
        )
    return StoredFile(
        url=os.fspath(result), source=file.url, index=target.index, prediction_id=target.prediction_id
    )
