"""Writes the package of a new plugin from the texts in `_templates`.

In them `@module@` and its like stand for names, and lines between `#? backend store` and `#?` are for packages with one
of these kinds: `a+b` asks for both, and `!a` for a package without.
"""

from __future__ import annotations

import importlib.metadata
import keyword
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from replicate_kit.errors import ConfigError

__all__ = ["KINDS", "Names", "names_of", "write"]

KINDS = {
    "backend": "a service where predictions run",
    "store": "a store of files, for save_to=",
    "resource": "operations on clients",
    "ledger": "a store of journals, for journal=",
    "accessor": "an accessor of polars' DataFrame",
    "command": "a command of replicate-kit",
}
"""What a plugin may add."""

_TEMPLATES = Path(__file__).with_name("_templates")
_PREFIX = "replicate-kit-"
_NAME = re.compile(r"(?=.{1,25}$)[a-z][a-z0-9]*(-[a-z0-9]+)*")
_BLOCK = re.compile(r"^#\? (.+)\n((?:(?!#\?).*\n)*)#\?\n", re.MULTILINE)
_HOOKED = frozenset({"backend", "store", "resource", "command"})
"""Kinds that come by hooks."""


class Names(NamedTuple):
    """What the parts of a plugin are called."""

    name: str
    distribution: str
    module: str
    attribute: str
    class_: str


def names_of(given: str) -> Names:
    """Make the names of a plugin of what somebody calls it. Raises `ConfigError` for what can be no name.

    >>> names_of("replicate_kit.My Boards")
    Names(name='my-boards', distribution='replicate-kit-my-boards', module='replicate_kit_my_boards', \
attribute='my_boards', class_='MyBoards')
    """
    name = re.sub(r"[-_.\s]+", "-", given.strip()).lower().removeprefix(_PREFIX)
    attribute = name.replace("-", "_")
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{given!r} is no name for a plugin. Begin with a letter; use letters a to z, digits and hyphens, "
            "at most 25, such as my-boards."
        )
    if keyword.iskeyword(attribute) or attribute in _taken():
        raise ConfigError(
            f"{name!r} has a meaning already, in Python or in replicate-kit. Choose another name."
        )
    class_ = "".join(part.capitalize() for part in name.split("-"))
    return Names(name, f"{_PREFIX}{name}", f"replicate_kit_{attribute}", attribute, class_)


def _taken() -> set[str]:
    """Names that would clash with what there is."""
    from replicate_kit._formats.store_urls import EXTRAS
    from replicate_kit._plugins import builtin
    from replicate_kit.cli._group import OURS
    from replicate_kit.client import Client

    packages = (
        "dask",
        "fsspec",
        "memory",
        "opentelemetry",
        "pandas",
        "polars",
        "postgres",
        "postgresql",
        "ray",
    )
    contributed = (*builtin.replicate_resources(), *builtin.replicate_backends())
    schemes = (*EXTRAS, "file", "local", "https", "data")
    return {*packages, "spark", "testing", "replicate", *schemes, *OURS, *contributed, *dir(Client)}


def write(folder: Path, names: Names, kinds: Collection[str]) -> list[str]:
    """Write the package into a folder that is not there yet; give the names of its files.

    Raises `ConfigError` where there is something.
    """
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise ConfigError(
            f"{str(folder)!r} is there already, and nothing was written. Pass --into a folder that is not there yet."
        ) from None
    files = dict(_files(names, kinds))
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return sorted(files)


def _files(names: Names, kinds: Collection[str]) -> Iterator[tuple[str, str]]:
    """Give the files of the package, by their names."""
    source = f"src/{names.module}"
    origins = {"pyproject.toml": "pyproject.toml", "README.md": "README.md", ".gitignore": "gitignore"}
    origins |= {".github/workflows/tests.yml": "workflow.yml", f"{source}/__init__.py": "init.py"}
    if _HOOKED & set(kinds):
        origins |= {f"{source}/plugin.py": "plugin.py", "tests/test_plugin.py": "test_plugin.py"}
    if "accessor" in kinds:
        origins[f"{source}/registration.py"] = "registration.py"
    for kind in kinds:
        origins |= {f"{source}/{kind}.py": f"{kind}.py", f"tests/test_{kind}.py": f"test_{kind}.py"}
    words = _words(names)
    for name, origin in origins.items():
        yield name, _filled((_TEMPLATES / f"{origin}.txt").read_text("utf-8"), words, kinds)
    yield f"{source}/py.typed", ""


def _words(names: Names) -> Mapping[str, str]:
    """What stands for what in the templates."""
    version = importlib.metadata.version("replicate-kit")
    major, minor = version.split(".")[:2]
    bounds = {
        "version": f"{major}.{minor}",
        "next": f"0.{int(minor) + 1}" if major == "0" else str(int(major) + 1),
    }
    return {**{key.rstrip("_"): value for key, value in names._asdict().items()}, **bounds}


def _filled(text: str, words: Mapping[str, str], kinds: Collection[str]) -> str:
    """Fill a template."""
    text = _BLOCK.sub(lambda block: block[2] if _holds(block[1], kinds) else "", text)
    return re.sub(r"@(\w+)@", lambda word: words[word[1]], text)


def _holds(condition: str, kinds: Collection[str]) -> bool:
    """Whether a part is for a package of these kinds."""
    return any(
        all((each.lstrip("!") in kinds) is not each.startswith("!") for each in part.split("+"))
        for part in condition.split()
    )
