"""A glance at what is installed tells as much as reading all entry points does."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

PLUGIN = "from replicate_kit import hookimpl\n\n@hookimpl\ndef replicate_backends():\n    return {}\n"
ASK = "from replicate_kit import Client; print('found' in Client(backend='mock').plugins.names)"
LOADED = """
import sys
from replicate_kit import Client
Client(backend='mock')
print('importlib.metadata' in sys.modules)
"""


def distribution(folder: Path, kind: str = "found-1.0.dist-info", section: str = "replicate_kit") -> None:
    """Put a distribution with a plugin into a folder."""
    metadata = folder / kind
    metadata.mkdir(parents=True)
    name = "PKG-INFO" if kind.endswith(".egg-info") else "METADATA"
    (metadata / name).write_text("Metadata-Version: 2.1\nName: found\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        f"[console_scripts]\nx = y:z\n\n[{section}]\nfound = found_plugin\n"
    )
    (folder / "found_plugin.py").write_text(PLUGIN)


def asked(script: str, *, path: str, before: str = "") -> str:
    """Run a script with something more on Python's path, and none of the plugins of this environment."""
    code = f"import sys; sys.path.insert(0, {path!r})\n{before}\n{script}"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return ended.stdout.strip()


@pytest.mark.parametrize("kind", ["found-1.0.dist-info", "found.egg-info", "found-1.0-py3.11.egg-info"])
def test_a_plugin_is_found_by_the_metadata_of_its_distribution(tmp_path: Path, kind: str) -> None:
    distribution(tmp_path, kind)
    assert asked(ASK, path=str(tmp_path)) == "True"


@pytest.mark.parametrize("case", [str.lower, str.upper])
def test_a_plugin_in_an_egg_is_found(tmp_path: Path, case: Callable[[str], str]) -> None:
    egg = tmp_path / "found-1.0-py3.11.egg"
    distribution(egg, case("EGG-INFO"))
    (egg / case("EGG-INFO") / "METADATA").rename(egg / case("EGG-INFO") / "PKG-INFO")
    assert asked(ASK, path=str(egg)) == "True"


def test_a_plugin_in_an_archive_is_found(tmp_path: Path) -> None:
    distribution(tmp_path / "content")
    archive = tmp_path / "found.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for each in (tmp_path / "content").rglob("*"):
            packed.write(each, each.relative_to(tmp_path / "content"))
    assert asked(ASK, path=str(archive)) == "True"


def test_a_plugin_of_a_finder_of_others_is_found(tmp_path: Path) -> None:
    distribution(tmp_path / "elsewhere")
    finder = f"""
import importlib.metadata, pathlib
class Finder:
    def find_spec(self, *given):
        return None
    def find_distributions(self, context):
        yield importlib.metadata.PathDistribution(pathlib.Path({str(tmp_path / "elsewhere")!r}) / "found-1.0.dist-info")
sys.meta_path.append(Finder())
sys.path.append({str(tmp_path / "elsewhere")!r})
"""
    assert asked(ASK, path=str(tmp_path), before=finder) == "True"


@pytest.mark.parametrize("odd", ["no such folder", "a file", "a folder of metadata without entry points"])
def test_odd_parts_of_the_path_stand_in_nobodys_way(tmp_path: Path, odd: str) -> None:
    if odd == "a file":
        (tmp_path / odd).write_text("no archive")
    elif odd.startswith("a folder"):
        (tmp_path / odd / "other-1.0.dist-info").mkdir(parents=True)
    distribution(tmp_path / "plugins")
    more = f"sys.path.append({str(tmp_path / 'plugins')!r})"
    assert asked(ASK, path=str(tmp_path / odd), before=more) == "True"


def test_entry_points_are_not_read_where_no_distribution_has_one_of_ours(tmp_path: Path) -> None:
    distribution(tmp_path, section="replicate_kit.others")
    alone = "sys.path = [each for each in sys.path if 'site-packages' not in each]"
    needed = "import pluggy, anyio, sniffio, replicate_kit"
    # What this environment has installed announces plugins: only the path of the standard library and ours are left.
    assert asked(LOADED, path=str(tmp_path), before=f"{needed}\n{alone}") == "False"
