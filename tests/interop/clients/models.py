"""Models for the clients' scripts: one that takes a file, and enough of them to fill more than a page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from replicate_kit.simulator import model


@model("acme/size")
def size(file: Path) -> int:
    """Tell how long a file is."""
    return len(file.read_bytes())


def _filler(number: int) -> Callable[[str], str]:
    def filler(text: str = "") -> str:
        """Fill a page."""
        return text

    return model(f"acme/filler-{number}")(filler)


for _number in range(30):
    globals()[f"filler_{_number}"] = _filler(_number)
