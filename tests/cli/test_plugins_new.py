"""`replicate-kit plugins new` writes a package that works as it is, whatever kinds it is of."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from replicate_kit._formats.store_urls import EXTRAS
from replicate_kit.cli import cli
from replicate_kit.cli._scaffold import KINDS, names_of, write
from replicate_kit.errors import ConfigError
from tests.test_plugins_use_public_names import private_uses

SETS = {**{kind: [kind] for kind in KINDS}, "all": list(KINDS)}
PAIRS = [[one, other] for one in KINDS for other in KINDS if one < other]


def new(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["plugins", "new", *arguments])


def run(folder: Path, *command: str) -> None:
    """Run a program in the folder of a package that is as if it were installed."""
    environment = {**os.environ, "PYTHONPATH": str(folder / "src"), "REPLICATE_KIT_STRICT_PLUGINS": "1"}
    environment.pop("REPLICATE_KIT_BACKEND", None)
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]


def made(folder: Path, name: str, kinds: list[str]) -> Path:
    """Write a package, and beside its source what an installer would write of its entry points."""
    write(folder, names_of(name), kinds)
    project: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
    metadata = folder / "src" / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n", encoding="utf-8"
    )
    groups = project["entry-points"].items()
    lines = [
        f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in of.items()) for group, of in groups
    ]
    (metadata / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("given", "distribution", "module", "class_"),
    [
        ("boards", "replicate-kit-boards", "replicate_kit_boards", "Boards"),
        ("My Boards", "replicate-kit-my-boards", "replicate_kit_my_boards", "MyBoards"),
        ("replicate_kit.my__boards2", "replicate-kit-my-boards2", "replicate_kit_my_boards2", "MyBoards2"),
        (" Replicate-Kit-Boards ", "replicate-kit-boards", "replicate_kit_boards", "Boards"),
    ],
)
def test_names_are_made_of_what_is_given(given: str, distribution: str, module: str, class_: str) -> None:
    names = names_of(given)
    assert (names.distribution, names.module, names.class_) == (distribution, module, class_)


@pytest.mark.parametrize(
    "name", ["", "2boards", "a/b", "..", "-", "bœrds", "boards!", "replicate-kit-", "x" * 41]
)
def test_what_can_be_no_name_is_refused(name: str, tmp_path: Path) -> None:
    done = new("--store", "--into", str(tmp_path / "new"), "--", name)
    assert done.exit_code
    assert "is no name for a plugin. Begin with a letter" in done.stderr
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["class", "models", "mock", "run", "map", "fsspec", "doctor", "predictions"])
def test_a_name_that_means_something_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="has a meaning already"):
        names_of(name)


@pytest.mark.parametrize("name", ["file", "https", "model", "hw", *EXTRAS])
def test_so_is_a_store_that_there_is_and_another_name_of_a_command(name: str) -> None:
    test_a_name_that_means_something_is_refused(name)


def test_it_says_what_is_missing_and_what_to_do_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "Say what the plugin adds: --backend, --store" in new("boards").stderr
    done = new("boards", "--store", "--command")
    assert done.exit_code == 0
    assert "  cd replicate-kit-boards\n" in done.output
    assert all((tmp_path / "replicate-kit-boards" / line[2:]).is_file() for line in _listed(done.output))


def _listed(output: str) -> list[str]:
    """The lines of the output that name a file."""
    return [line for line in output.partition("\n\n")[0].splitlines() if line.startswith("  ")]


def test_a_folder_that_is_there_is_not_written_to(tmp_path: Path) -> None:
    done = new("boards", "--store", "--into", str(tmp_path))
    assert (
        "is there already, and nothing was written. Pass --into a folder that is not there yet."
        in done.stderr
    )
    assert (done.exit_code != 0, list(tmp_path.iterdir())) == (True, [])


@pytest.mark.parametrize("kinds", [*SETS.values(), *PAIRS], ids="+".join)
def test_nothing_is_left_to_fill_in_and_all_names_are_public(kinds: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "new"
    for name in write(folder, names_of("my-boards"), kinds):
        text = (folder / name).read_text("utf-8")
        assert "#?" not in text
        assert not re.search(r"@\w+@", text)
        if name.endswith(".py"):
            compile(text, name, "exec")
            assert private_uses(text) == []
    assert (
        tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]["name"]
        == "replicate-kit-my-boards"
    )


@pytest.mark.slow  # some seconds each, since each is a run of its own
class TestWhatIsWritten:
    @pytest.mark.parametrize("kinds", SETS.values(), ids=list(SETS))
    def test_its_tests_pass(self, kinds: list[str], tmp_path: Path) -> None:
        run(made(tmp_path / "new", "boards", kinds), "pytest", "-q", "-p", "no:cacheprovider")

    @pytest.mark.skipif(find_spec("ruff") is None, reason="ruff is not installed")
    @pytest.mark.parametrize("name", ["a", "boards", "x" * 12 + "-" + "y" * 12])
    @pytest.mark.parametrize("kinds", [*SETS.values(), *PAIRS], ids="+".join)
    def test_ruff_has_no_complaint(self, kinds: list[str], name: str, tmp_path: Path) -> None:
        folder = made(tmp_path / "new", name, kinds)
        run(folder, "ruff", "check", "--no-cache", ".")
        run(folder, "ruff", "format", "--no-cache", "--diff", ".")

    @pytest.mark.skipif(find_spec("mypy") is None, reason="mypy is not installed")
    @pytest.mark.parametrize("kinds", [["store"], list(KINDS)], ids="+".join)
    def test_its_types_are_right(self, kinds: list[str], tmp_path: Path) -> None:
        run(made(tmp_path / "new", "boards", kinds), "mypy", "--cache-dir", str(tmp_path / "cache"))
