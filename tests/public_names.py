"""The public names, as `docs/public-names.md` lists them."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["listed"]

PAGE = Path(__file__).parents[1] / "docs" / "public-names.md"


def listed() -> dict[str, set[str]]:
    """The names on the page, by the module that they are imported from."""
    rows = re.findall(r"^\| `([\w.]+)` \| (.*) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return {module: set(re.findall(r"`(\w+)`", names)) for module, names in rows}
