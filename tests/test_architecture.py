"""The drawing of the house on its page is the one that the import contract checks."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def floors() -> list[list[str]]:
    """The rooms of each floor of the package, from the top."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = (
        contract["layers"] for contract in contracts if contract.get("containers") == ["replicate_kit"]
    )
    return [re.findall(r"\w+", floor) for floor in layers]


def drawing() -> str:
    """The drawing of these floors in Mermaid's language."""
    boxes = [f'    floor{number}["{" · ".join(rooms)}"]' for number, rooms in enumerate(floors(), 1)]
    arrows = " --> ".join(f"floor{number}" for number in range(1, len(boxes) + 1))
    return "\n".join(["flowchart TB", *boxes, f"    {arrows}"])


def test_the_drawing_shows_the_contract() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    (shown,) = re.findall(r"```mermaid\n(.*?)\n```", page, re.DOTALL)
    assert shown == drawing(), f"Draw it so:\n{drawing()}"


def test_every_module_has_a_floor() -> None:
    package = ROOT / "src" / "replicate_kit"
    modules = {
        path.stem for path in package.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert modules - {"__init__"} == {room for rooms in floors() for room in rooms}
