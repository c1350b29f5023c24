"""The public names: listed, loaded when they are first used, and light to import."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import replicate_kit
from docs._site.reference import listed
from replicate_kit import _lazy

# What `import replicate_kit` must not load: optional packages, and what only a request needs.
OPTIONAL = ["pandas", "numpy", "pyarrow", "fsspec", "starlette", "uvicorn", "tqdm"]
HEAVY = [*OPTIONAL, "click", "rich", "httpx", "anyio", "trio", "sniffio", "pluggy", "ssl", "asyncio"]


def python(code: str, *options: str) -> str:
    """Run a program in a new interpreter; give what it prints."""
    done = subprocess.run([sys.executable, *options, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def modules() -> list[str]:
    """The modules of the package that no underscore keeps private."""
    found = (each.name for each in pkgutil.walk_packages(replicate_kit.__path__, "replicate_kit."))
    return [name for name in found if not any(part.startswith("_") for part in name.split("."))]


def test_the_page_lists_what_public_modules_offer() -> None:
    # The stand-in has the names of the package that it stands in for.
    ours = [
        "replicate_kit",
        *(name for name in modules() if not name.startswith("replicate_kit.compat.replicate")),
    ]
    offered = {name: set(getattr(importlib.import_module(name), "__all__", ())) for name in ours}
    assert listed() == {name: names for name, names in offered.items() if names}


def test_the_import_loads_nothing_heavy() -> None:
    loaded = python(f"import sys, replicate_kit; print([m for m in {HEAVY} if m in sys.modules])")
    assert loaded == "[]"


def test_the_import_loads_nothing_but_what_finds_the_rest() -> None:
    """Not even a module of the standard library: each would cost everybody who imports a package that imports this."""
    source = str(Path(replicate_kit.__file__).parents[1])
    code = f"""
import sys
sys.path.insert(0, {source!r})
before = set(sys.modules)
import replicate_kit
replicate_kit.__version__, dir(replicate_kit)
print(*sorted(set(sys.modules) - before))
"""
    # Without `site`: what an environment loads when Python starts is no affair of ours.
    loaded = python(code, "-I", "-S").split()
    assert set(loaded) <= {"__future__", "replicate_kit", "replicate_kit._accessors", "replicate_kit._lazy"}


def test_a_client_loads_no_optional_package() -> None:
    unwanted = [*OPTIONAL, "replicate_kit.simulator"]
    code = f"""
import sys, replicate_kit
replicate_kit.Client("r8_any")
print([m for m in {unwanted} if m in sys.modules])
"""
    assert python(code) == "[]"


def test_all_is_sorted_complete_and_loadable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLICATE_KIT_BACKEND", "mock")
    assert replicate_kit.__all__ == sorted(replicate_kit.__all__)
    assert set(replicate_kit.__all__) == set(_lazy.NAMES)
    for name in replicate_kit.__all__:
        assert getattr(replicate_kit, name) is getattr(replicate_kit, name)
        assert name in dir(replicate_kit)


@pytest.mark.parametrize("name", ["batch", "simulator", "testing"])
def test_a_package_that_loads_late_tells_what_it_has(name: str) -> None:
    package = importlib.import_module(f"replicate_kit.{name}")
    assert set(package._ORIGINS) == set(package.__all__) <= set(dir(package))
    with pytest.raises(AttributeError, match=f"module 'replicate_kit.{name}' has no attribute 'wombat'"):
        package.wombat  # noqa: B018


def test_star_import_gives_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLICATE_KIT_BACKEND", "mock")
    names: dict[str, object] = {}
    exec("from replicate_kit import *", names)
    assert set(replicate_kit.__all__) <= set(names)


def test_what_checkers_see_is_what_there_is() -> None:
    """Names under TYPE_CHECKING come from the modules that the lazy table names."""
    tree = ast.parse(Path(replicate_kit.__file__).read_text("utf-8"))
    block = next(
        node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    seen = {
        alias.name: str(node.module).removeprefix("replicate_kit.")
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == _lazy.NAMES


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'replicate_kit' has no attribute 'runn'"):
        _ = replicate_kit.runn  # type: ignore[attr-defined]


def test_submodules_are_reached_without_importing_them() -> None:
    code = (
        "import replicate_kit as kit; print(kit.errors.NotFound.__name__, kit.simulator.Simulator.__name__)"
    )
    assert python(code) == "NotFound Simulator"


def test_the_version_is_that_of_the_distribution() -> None:
    from importlib.metadata import version

    assert replicate_kit.__version__ == version("replicate-kit")


@pytest.mark.parametrize("name", modules())
def test_every_module_lists_what_it_offers_and_says_what_it_is(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__
    for public in getattr(module, "__all__", ()):
        thing = getattr(module, public)
        if (inspect.isclass(thing) or inspect.isfunction(thing)) and thing.__module__ == name:
            assert thing.__doc__, f"{name}.{public} has no docstring"


def test_the_package_is_typed() -> None:
    assert (Path(replicate_kit.__file__).parent / "py.typed").is_file()
