"""What old versions of Cog left out of a model's schema."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["make_schema_backwards_compatible", "version_has_no_array_type"]


def version_has_no_array_type(cog_version: str) -> bool | None:
    """Whether this version of Cog is older than 0.3.9, which began to say what kind of array an output is."""
    match = re.match(r"v?(\d+)\.(\d+)(?:\.(\d+))?", cog_version or "")
    return tuple(int(part or 0) for part in match.groups()) < (0, 3, 9) if match else None


def make_schema_backwards_compatible(schema: dict[str, Any], cog_version: str) -> dict[str, Any]:
    """Mark the arrays of old versions as iterators, which they were."""
    output = schema.get("components", {}).get("schemas", {}).get("Output", {})
    if version_has_no_array_type(cog_version) and output.get("type") == "array":
        output["x-cog-array-type"] = "iterator"
    return schema
