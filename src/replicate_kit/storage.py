"""Where output files go, and the record of those that have arrived."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias

__all__ = ["IfExists", "StoredFile", "Target"]

IfExists: TypeAlias = Literal["overwrite", "skip", "error"]
"""What to do where a file of the same name is already there."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where one output file is to be stored.

    `folder` is what the caller passed as `save_to`: a local folder or any fsspec URL. `stem` is the name that
    the file shall have in it, safe to use as it is and possibly with slashes; `{sha256}` in it stands for the
    digest of the content. `extension` follows it, with its dot; None says: by the content. `if_exists` says
    what to do where that name is taken, `options` go to the storage.
    """

    folder: str
    stem: str
    extension: str | None = None
    prediction_id: str | None = None
    model: str | None = None
    index: int = 0
    if_exists: IfExists = "overwrite"
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """A file that is where it was asked to be.

    `url` is where it is and `source` where it came from, `size` is in bytes, `index` is its place among the
    files of its prediction. `row` and `input_key` are those of the batch that it belongs to. What nobody said
    is None.

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

    def to_json(self) -> dict[str, Any]:
        """Give the record as JSON has it."""
        record = dataclasses.asdict(self)
        record["saved_at"] = None if self.saved_at is None else self.saved_at.isoformat()
        return record

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> StoredFile:
        """Read a record; what it has beyond the known is left out."""
        known = {each.name: record[each.name] for each in dataclasses.fields(cls) if each.name in record}
        if known.get("saved_at") is not None:
            known["saved_at"] = datetime.fromisoformat(known["saved_at"])
        return cls(**known)
