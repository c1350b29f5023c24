"""The schemas of the models, as `cog build` writes them for Cog 0.23, whose server has none without that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from replicate_kit.schema import ConcatenateIterator, openapi

__all__ = ["write"]


def _words(prompt: str = "sea", mode: str = "say", seconds: float = 0.0) -> ConcatenateIterator[str]:
    raise NotImplementedError


_FILE = {"type": "string", "format": "uri", "title": "File", "x-order": 0}
_FILES = {
    "Input": {"type": "object", "title": "Input", "required": ["file"], "properties": {"file": _FILE}},
    "Output": {"type": "string", "format": "uri", "title": "Output"},
}


def write(name: str, folder: Path) -> None:
    """Put the schema of a model to where Cog looks for it."""
    if name == "words":
        document: dict[str, Any] = openapi(_words)
        document["paths"]["/predictions"]["post"]["x-cog-streaming"] = True
    else:
        document = {
            "openapi": "3.0.2",
            "info": {"title": "Cog"},
            "paths": {},
            "components": {"schemas": _FILES},
        }
    (folder / ".cog").mkdir()
    (folder / ".cog" / "openapi_schema.json").write_text(json.dumps(document), encoding="utf-8")
