"""Reduce an OpenAPI description to its structure: no prose, but examples, which the checks need.

python strip.py DESCRIPTION.json > openapi.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

PROSE = {"description", "summary", "externalDocs", "x-displayName", "title", "termsOfService", "contact"}


def strip(value: Any, *, names: bool = False) -> Any:
    """Take the prose out; where keys are `names` (of properties, paths, …) none of them is prose."""
    if isinstance(value, list):
        return [strip(each) for each in value]
    if not isinstance(value, dict):
        return value
    kept = {}
    for key, each in value.items():
        if not names and key in PROSE and not isinstance(each, dict | list):
            continue
        if not names and key in ("externalDocs", "contact"):
            continue
        kept[key] = each if key in ("example", "examples", "default") else strip(each, names=key in NAMED)
    return kept


NAMED = {"properties", "paths", "schemas", "responses", "parameters", "headers"}


def main() -> None:
    """Write what is left."""
    description = strip(json.loads(Path(sys.argv[1]).read_text("utf-8")))
    description["info"] = {"title": "Replicate's HTTP API, without its prose", "version": "1.0.0-a1"}
    for path in description["paths"].values():
        for operation in path.values():
            for response in operation.get("responses", {}).values():
                response["description"] = ""  # required
    json.dump(description, sys.stdout, indent=1, sort_keys=True)
    sys.stdout.write("\n")


main()
