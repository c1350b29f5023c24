"""Where output files go, and the record of those that have arrived."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Literal, TypeAlias, get_args

from replicate_kit._formats.paths import check_encodable, check_not_collapsed, expanded
from replicate_kit._formats.redacting import redacted, redacted_repr
from replicate_kit._formats.store_urls import EXTRAS, FileURL
from replicate_kit._formats.templates import Template
from replicate_kit._formats.wording import with_safe_repr
from replicate_kit.errors import ConfigError

__all__ = ["EXTRAS", "FileURL", "IfExists", "SaveOutcome", "SaveTo", "SavedOutput", "StoredFile", "Target"]

_TIMES = ("saved_at", "created_at")

IfExists: TypeAlias = Literal["overwrite", "skip", "error"]
"""What to do where a file of the same name is already there."""


@with_safe_repr
@dataclass(frozen=True)
class SaveTo:
    """Where and how output files are stored: what `save_to=` means.

    `folder` is a local folder or any fsspec URL; a password in it is used, and shown and kept nowhere. `name`
    is a template of the names in it (docs/saving.md lists its fields); None names a file after its
    prediction, or after its row in a batch. `if_exists` says what to do where a name is taken: "overwrite" it,
    "skip" the file, or fail with an "error". `manifest` keeps a list of the files beside them,
    `manifest.jsonl`. `options` go to the storage.

    A text is enough for most: `save_to="s3://bucket/pictures/"`, and `"s3://bucket/{model}/{row}{ext}"` is
    the same as `SaveTo("s3://bucket/", name="{model}/{row}{ext}")`.

    Raises `ConfigError` for a template that could not be filled safely.
    """

    folder: str
    name: str | None = None
    if_exists: IfExists = "overwrite"
    manifest: bool = False
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.if_exists not in get_args(IfExists):
            raise ConfigError(
                f"if_exists={self.if_exists!r} is not one of {', '.join(map(repr, get_args(IfExists)))}."
            )
        object.__setattr__(self, "folder", _path(self.folder))  # a Path is meant as well
        object.__setattr__(self, "options", _checked(self.options))
        _ = self.template

    @classmethod
    def of(cls, value: str | os.PathLike[str] | SaveTo, options: Mapping[str, Any] | None = None) -> SaveTo:
        """See what was meant by the value of `save_to`.

        >>> SaveTo.of("pictures/{row}{ext}")
        SaveTo(folder='pictures/', name='{row}{ext}', if_exists='overwrite', manifest=False)
        """
        options = _of_upath(value, options)
        if isinstance(value, SaveTo):
            return dataclasses.replace(value, options={**value.options, **_checked(options)})
        folder = _path(value)
        if "{" not in folder:
            return cls(folder, options=options or {})
        start = folder.rfind("/", 0, folder.index("{")) + 1
        return cls(folder[:start] or ".", folder[start:], options=options or {})

    __repr__ = redacted_repr

    @cached_property
    def template(self) -> Template | None:
        """The template of the names."""
        return None if self.name is None else Template(self.name)

    def __str__(self) -> str:
        """The folder and the template, without what may be secret."""
        folder = redacted(self.folder)
        return folder if self.name is None else f"{folder.rstrip('/')}/{self.name}"


def _path(value: object) -> str:
    """Take a folder or URL. Raises `ConfigError` for anything else."""
    path = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if _is_upath(value):
        path = str(value)
    if not isinstance(path, str):
        raise ConfigError(f"save_to must be a folder, a URL or a SaveTo, not {type(value).__name__}.")
    if not path.strip():
        raise ConfigError("save_to is empty. Pass a folder or URL; '.' is the folder that you are in.")
    check_encodable(path, "save_to")
    check_not_collapsed(path, "save_to")
    expanded(path, "save_to")
    return path


def _is_upath(value: object) -> bool:
    """Whether a value is a path of universal_pathlib, whose text is a URL; those of stores are no `PathLike`."""
    return all(hasattr(value, name) for name in ("protocol", "storage_options", "joinpath"))


def _of_upath(value: object, options: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Add the options that such a path has for its storage."""
    return {**_options_of(value), **_checked(options)} if _is_upath(value) else options


def _options_of(value: Any) -> Mapping[str, Any]:
    """The options of a path of universal_pathlib."""
    return dict(value.storage_options)


def _checked(options: object) -> Mapping[str, Any]:
    """Take the options of a storage. Raises `ConfigError` for what is not a dict of names."""
    if options is None:
        return {}
    if not isinstance(options, Mapping) or not all(isinstance(each, str) for each in options):
        raise ConfigError(
            "storage_options must be a dict with the names of options, such as {'endpoint_url': …}, not "
            f"{type(options).__name__}."
        )
    return options


@with_safe_repr
@dataclass(frozen=True, kw_only=True)
class Target:
    """Where one output file is to be stored.

    `folder` is what the caller passed as `save_to`: a local folder or any fsspec URL. `stem` is the name that
    the file shall have in it, safe to use as it is and possibly with slashes; `{sha256}` in it stands for the
    digest of the content. `extension` follows it, with its dot; None says: by the content. `if_exists` says
    what to do where that name is taken. `stored` is the record of an earlier transfer of the same file, which
    need not be repeated if it is still there. `options` go to the storage.
    """

    folder: str
    stem: str
    extension: str | None = None
    prediction_id: str | None = None
    model: str | None = None
    version: str | None = None
    index: int = 0
    if_exists: IfExists = "overwrite"
    stored: StoredFile | None = None
    manifest: bool = False
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)

    __repr__ = redacted_repr


@with_safe_repr
@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """A file that is where it was asked to be.

    `url` is where it is and `source` where it came from, `size` is in bytes, `index` is its place among the
    files of its prediction. `row` and `input_key` are those of the batch that it belongs to; `model` and
    `created_at` are its prediction's, where `client.predictions.save` stored it. What nobody said is None.

    >>> StoredFile.from_json(StoredFile(url="a.png", source="https://example.com/a").to_json()).url
    'a.png'
    """

    url: str
    source: str
    index: int = 0
    prediction_id: str | None = None
    size: int | None = None
    sha256: str | None = None
    content_type: str | None = None
    saved_at: datetime | None = None
    row: int | None = None
    input_key: str | None = None
    model: str | None = None
    created_at: datetime | None = None

    __repr__ = redacted_repr

    def to_json(self) -> dict[str, Any]:
        """Give the record as JSON has it."""
        times = {name: None if (time := getattr(self, name)) is None else time.isoformat() for name in _TIMES}
        return {**vars(self), **times}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> StoredFile:
        """Read a record; what it has beyond the known is left out."""
        known = {each.name: record[each.name] for each in dataclasses.fields(cls) if each.name in record}
        times = {name: datetime.fromisoformat(known[name]) for name in _TIMES if known.get(name) is not None}
        return cls(**{**known, **times})


SaveOutcome: TypeAlias = Literal["saved", "kept", "planned", "empty", "running", "expired", "failed"]
"""What became of the files of a prediction: stored now, there from before, would be stored (a dry run), it has none, it
has not ended yet, the API has removed them, or they could not be stored."""


@with_safe_repr
@dataclass(frozen=True, kw_only=True)
class SavedOutput:
    """What `client.predictions.save` has done with the output of one prediction.

    `files` are the records of its files that are in the folder, or that would be. `error` says why they could not be
    stored.

    >>> SavedOutput(id="abc", outcome="expired").files
    []
    """

    id: str
    outcome: SaveOutcome
    model: str | None = None
    created_at: datetime | None = None
    files: list[StoredFile] = field(default_factory=list)
    error: Exception | None = None
