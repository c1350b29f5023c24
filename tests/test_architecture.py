"""The page about the architecture names every room that the contracts know."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def rooms() -> set[str]:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    return {room for floor in layers for room in re.findall(r"\w+", floor)}


def test_every_room_is_on_the_page() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    table = page[page.index("| floor |") : page.index("`plugins/` holds")]
    assert rooms() - set(re.findall(r"`(\w+)`", table)) == set()


def test_every_module_has_a_floor() -> None:
    package = ROOT / "src" / "replicate_kit"
    modules = {
        path.stem for path in package.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert modules - {"__init__"} == rooms()
