"""Plugins, ours and the example of somebody else's, stand on public names of replicate_kit alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs._site.reference import listed

ROOT = Path(__file__).parent.parent
CORE = "replicate_kit"
PUBLIC = listed()
SOURCES = sorted([*ROOT.glob("plugins/*/src/**/*.py"), *ROOT.glob("tests/third_party/src/**/*.py")])


def uses_of_the_core(tree: ast.AST) -> Iterator[tuple[str, str | None]]:
    """Yield each (module, name) that is taken from the core; the name is None where a module itself is imported."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names):
                yield from ((alias.name, None) for alias in names if alias.name.split(".")[0] == CORE)
            case ast.ImportFrom(str(module), names, 0) if module.split(".")[0] == CORE:
                yield from ((module, alias.name) for alias in names)
            case ast.Attribute(ast.Name("replicate_kit"), name):
                yield CORE, name


def is_public(module: str, name: str | None) -> bool:
    """Tell whether the page lists a module, or a name in it; a module may be imported from the one above it."""
    if name is None:
        return module == CORE or module in PUBLIC
    return name in PUBLIC.get(module, ()) or f"{module}.{name}" in PUBLIC


def private_uses(source: str) -> list[str]:
    """List what `source` takes from the core without being entitled to it."""
    uses = uses_of_the_core(ast.parse(source))
    return [f"{module}:{name}" for module, name in uses if not is_public(module, name)]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_plugin_uses_only_public_names(path: Path) -> None:
    assert private_uses(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "import replicate_kit._runtime.blocking",
        "from replicate_kit import _accessors",
        "from replicate_kit._runtime.blocking import run",
        "from replicate_kit.errors import _revive",
        "from replicate_kit.errors import re",
        "def late():\n    from replicate_kit._runtime.blocking import run",
        "import replicate_kit\nreplicate_kit._accessors.install()",
        "from replicate_kit.config import set_up_logging",  # public by its look alone
        "from replicate_kit.simulator import demo",
    ],
)
def test_private_name_is_noticed(source: str) -> None:
    assert private_uses(source)


@pytest.mark.parametrize(
    "source",
    [
        "import replicate_kit.errors",
        "from replicate_kit import errors",
        "from replicate_kit.errors import ReplicateError",
        "from replicate_kit_pandas import _anything",
        "from . import _sibling",
    ],
)
def test_public_name_is_let_through(source: str) -> None:
    assert private_uses(source) == []


def test_every_package_is_looked_at() -> None:
    packages = {path.relative_to(ROOT).parts[1] for path in SOURCES}
    assert packages >= {"replicate-kit-fsspec", "replicate-kit-pandas", "third_party"}
