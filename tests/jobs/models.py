"""A painter whose first four pictures are there at once, and the others when the file `go` is."""

from __future__ import annotations

from pathlib import Path

from replicate_kit.simulator import model, sleep


@model("black-forest-labs/flux-schnell", workers=64)
def flux(prompt: str) -> list[bytes]:
    """Paint."""
    while int(prompt.split()[-1]) >= 4 and not Path("go").exists():
        sleep(0.05)
    return [b"\x89PNG\r\n\x1a\n" + prompt.encode()]
