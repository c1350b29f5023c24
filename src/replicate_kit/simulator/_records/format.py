"""The format of records: what may be said of each kind of thing, by the names that the API has for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from replicate_kit._formats.statuses import STATUSES

__all__ = ["CONTENTS", "SAID", "SECTIONS", "Section"]


class Section(NamedTuple):
    """One list of records: the names that an entry may have, those it needs, and what tells it from the others."""

    properties: Mapping[str, Any]
    required: tuple[str, ...]
    key: tuple[str, ...]
    ignored: frozenset[str] = frozenset()
    """What the API's answers have, and the simulator makes itself: a recorded answer can be pasted."""


CONTENTS = ("content", "content_base64")
"""Where a file says what is in it."""

_TEXT: dict[str, Any] = {"type": "string"}
_MAYBE: dict[str, Any] = {"type": "string", "nullable": True}
# Half characters (U+D800 to U+DFFF) have no place in a URL.
_NAME = {"type": "string", "pattern": r"\A[^/:?#\s\ud800-\udfff]+\Z"}
_FULL_NAME = {"type": "string", "pattern": r"\A[^/:?#\s\ud800-\udfff]+/[^/:?#\s\ud800-\udfff]+\Z"}
_TIME = {"type": "string", "format": "date-time", "nullable": True}
_OBJECT: dict[str, Any] = {"type": "object"}
_TEXTS = {"type": "array", "items": {"type": "string"}}
_SECONDS = {"type": "number", "minimum": 0}
_COUNT = {"type": "integer", "minimum": 0}

SAID = {
    _NAME["pattern"]: "write a name without spaces and without / : ? #",
    _FULL_NAME["pattern"]: "write it as owner/name",
}
"""What a pattern means, for people."""

_DOCUMENT = {
    "type": "object",
    "required": ["components"],
    "properties": {
        "components": {"type": "object", "required": ["schemas"], "properties": {"schemas": _OBJECT}}
    },
}
_VERSION = {
    "id": _NAME,
    "created_at": _TIME,
    "cog_version": _MAYBE,
    "openapi_schema": _DOCUMENT,
    "runs_as": _FULL_NAME,
}
_RUN = {
    "id": _NAME,
    "status": {"type": "string", "enum": list(STATUSES)},
    "input": _OBJECT,
    "output": {},
    "logs": _MAYBE,
    "error": _MAYBE,
    "metrics": {
        "type": "object",
        "nullable": True,
        "properties": {"predict_time": _SECONDS, "total_time": _SECONDS},
    },
    "source": {"type": "string", "enum": ["api", "web"]},
    **dict.fromkeys(("created_at", "started_at", "completed_at", "deadline"), _TIME),
    "webhook": _MAYBE,
    "webhook_events_filter": {**_TEXTS, "nullable": True},
}
_EXAMPLE = {**_RUN, "data_removed": {"type": "boolean"}}
_ADDRESSED = {"owner": _NAME, "model": _FULL_NAME, "version": _TEXT}
_MADE = frozenset({"urls"})
_SHOWN_EXAMPLE = {
    "type": "object",
    "properties": {**_EXAMPLE, **_ADDRESSED, "deployment": {}, "urls": {}},
    "additionalProperties": False,
}

SECTIONS: Mapping[str, Section] = {
    "accounts": Section(
        {
            "username": _NAME,
            "type": {"type": "string", "enum": ["user", "organization"]},
            **dict.fromkeys(("name", "github_url", "avatar_url"), _TEXT),
            "members": _TEXTS,
        },
        required=("username",),
        key=("username",),
    ),
    "hardware": Section({"sku": _TEXT, "name": _TEXT}, required=("sku", "name"), key=("sku",)),
    "models": Section(
        {
            "owner": _NAME,
            "name": _NAME,
            "visibility": {"type": "string", "enum": ["public", "private"]},
            "is_official": {"type": "boolean"},
            **dict.fromkeys(("description", "readme", "github_url", "paper_url", "license_url"), _MAYBE),
            "cover_image_url": _MAYBE,
            "hardware": _TEXT,
            "run_count": _COUNT,
            "runs_as": _FULL_NAME,
            "aliases": _TEXTS,
            "default_example": {**_SHOWN_EXAMPLE, "nullable": True},
            "examples": {"type": "array", "items": _SHOWN_EXAMPLE},
            "latest_version": {
                "type": "object",
                "nullable": True,
                "required": ["id"],
                "properties": _VERSION,
                "additionalProperties": False,
            },
        },
        required=("owner", "name"),
        key=("owner", "name"),
        ignored=frozenset({"url"}),
    ),
    "versions": Section({"model": _FULL_NAME, **_VERSION}, required=("model", "id"), key=("model", "id")),
    "deployments": Section(
        {
            **_ADDRESSED,
            "name": _NAME,
            "hardware": _TEXT,
            "min_instances": {"type": "integer", "minimum": 0, "maximum": 5},
            "max_instances": {"type": "integer", "minimum": 0, "maximum": 20},
        },
        required=("name", "model"),
        key=("owner", "name"),
    ),
    "collections": Section(
        {
            **dict.fromkeys(("name", "description", "full_description"), _MAYBE),
            "slug": _NAME,
            "models": _TEXTS,
        },
        required=("slug", "models"),
        key=("slug",),
    ),
    "files": Section(
        {
            "id": _NAME,
            "owner": _NAME,
            **dict.fromkeys(("name", "content_type", *CONTENTS), _TEXT),
            "metadata": _OBJECT,
            **dict.fromkeys(("created_at", "expires_at"), _TIME),
        },
        required=("id",),
        key=("id",),
        ignored=frozenset({"size", "etag", "checksums", "urls"}),
    ),
    "predictions": Section(
        {**_EXAMPLE, **_ADDRESSED, "deployment": _FULL_NAME}, required=("id",), key=("id",), ignored=_MADE
    ),
    "trainings": Section(
        {**_RUN, **_ADDRESSED, "destination": _FULL_NAME}, required=("id",), key=("id",), ignored=_MADE
    ),
}
"""All sections, in the order in which they are loaded."""
