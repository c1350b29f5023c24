"""What old versions of Cog left out of a model's schema."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["make_schema_backwards_compatible", "version_has_no_array_type"]


_VERSION = re.compile(
    r"""\s*v?(?:(?P<epoch>\d+)!)?(?P<release>\d+(?:\.\d+)*)
    (?P<pre>[-_.]?(?:a|b|c|rc|alpha|beta|pre|preview)[-_.]?\d*)?
    (?P<post>-\d+|[-_.]?(?:post|rev|r)[-_.]?\d*)?
    (?P<dev>[-_.]?dev[-_.]?\d*)?
    (?:\+[a-z0-9]+(?:[-_.][a-z0-9]+)*)?\s*""",
    re.VERBOSE | re.IGNORECASE,
)
"""Versions as Python's packages have them: PEP 440."""


def version_has_no_array_type(cog_version: str) -> bool | None:
    """Whether this version of Cog is older than 0.3.9, which began to say what kind of array an output is."""
    match = _VERSION.fullmatch(cog_version)
    if match is None:
        return None
    epoch, *numbers = (int(part) for part in [match["epoch"] or "0", *match["release"].split(".")])
    while numbers and not numbers[-1]:  # 0.4 and 0.4.0 are the same
        numbers.pop()
    before = match["pre"] or (match["dev"] and not match["post"])
    return not epoch and (numbers < [0, 3, 9] or (numbers == [0, 3, 9] and bool(before)))


def make_schema_backwards_compatible(schema: dict[str, Any], cog_version: str) -> dict[str, Any]:
    """Mark the arrays of old versions as iterators, which they were."""
    output = schema.get("components", {}).get("schemas", {}).get("Output", {})
    if version_has_no_array_type(cog_version) and output.get("type") == "array":
        output["x-cog-array-type"] = "iterator"
    return schema
