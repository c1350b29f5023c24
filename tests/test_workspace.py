"""A plugin that is added to the repository is installed, tested and offered wherever the others are."""

from __future__ import annotations

import configparser
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
PLUGINS = sorted(path.parent.name for path in ROOT.glob("plugins/*/pyproject.toml"))


def text(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def toml(path: str) -> dict[str, Any]:
    return tomllib.loads(text(path))


PROJECT = toml("pyproject.toml")

ENGINES = ("dask", "ray", "spark")
HEAVY = "replicate-kit-ray"
"""It brings Ray along, which has 70 MB, and is installed only where that is tried."""
LIGHT = [each for each in PLUGINS if each != HEAVY]


def tox() -> configparser.ConfigParser:
    config = configparser.ConfigParser(interpolation=None)
    config.read_string(text("tox.ini"))
    return config


@pytest.mark.parametrize("plugin", PLUGINS)
def test_plugin_is_an_extra_and_part_of_all(plugin: str) -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    name = plugin.removeprefix("replicate-kit-")
    (requirement,) = extras[name]
    assert re.split(r"[^\w-]", requirement)[0] == plugin


@pytest.mark.parametrize("plugin", LIGHT)
def test_plugin_is_in_a_fresh_clone_of_developers(plugin: str) -> None:
    assert plugin in PROJECT["dependency-groups"]["dev"]
    assert PROJECT["tool"]["uv"]["sources"][plugin] == {"workspace": True}


@pytest.mark.parametrize("plugin", LIGHT)
def test_plugin_is_installed_and_measured_by_tox(plugin: str) -> None:
    assert f"-e ./plugins/{plugin}" in tox()["testenv"]["deps"]
    assert plugin.replace("-", "_") in tox()["testenv:plugins"]["commands"]


@pytest.mark.parametrize("engine", ENGINES)
def test_engines_are_tried_by_tox(engine: str) -> None:
    assert f"plugins/replicate-kit-{engine}" in tox()["testenv:engines"]["commands"]


@pytest.mark.parametrize("plugin", LIGHT)
@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_plugin_is_in_the_pip_commands(document: str, plugin: str) -> None:
    assert f"-e plugins/{plugin} " in text(document)


@pytest.mark.parametrize("plugin", PLUGINS)
def test_plugin_has_what_a_distribution_needs(plugin: str) -> None:
    folder = ROOT / "plugins" / plugin
    project = toml(f"plugins/{plugin}/pyproject.toml")["project"]
    assert (project["name"], project["license"]) == (plugin, "Apache-2.0")
    assert project["license-files"] == ["LICENSE"]
    assert (folder / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert project["requires-python"] == PROJECT["project"]["requires-python"]
    assert (folder / "README.md").is_file()
    assert (folder / "src" / plugin.replace("-", "_") / "py.typed").is_file()
    assert list(folder.glob("tests/**/test_*.py"))


PROJECTS = {"": PROJECT, **{plugin: toml(f"plugins/{plugin}/pyproject.toml") for plugin in PLUGINS}}


@pytest.mark.parametrize("name", PROJECTS)
def test_distribution_says_where_it_comes_from_and_what_it_runs_on(name: str) -> None:
    project = PROJECTS[name]["project"]
    home = "https://github.com/replicate-kit/replicate-kit"
    assert {"Homepage", "Changelog", "Issues", "Source"} <= project["urls"].keys()
    assert all(re.match(rf"{home}(/|$)", url) for url in project["urls"].values())
    ours = PROJECT["project"]["classifiers"]
    supported = {each for each in ours if each.startswith(("Programming Language", "Operating System"))}
    assert supported <= set(project["classifiers"])


@pytest.mark.parametrize("name", PROJECTS)
def test_distributions_ask_for_each_other_in_versions_that_fit(name: str) -> None:
    project = PROJECTS[name]["project"]
    extras = project.get("optional-dependencies", {}).values()
    requirements = [*project["dependencies"], *(each for extra in extras for each in extra)]
    own_extras = f"{project['name']}["  # always of the same version
    ours = [each for each in requirements if each.startswith("replicate-kit") and own_extras not in each]
    major, minor, _ = PROJECT["project"]["version"].split(".")
    assert ours
    assert [each for each in ours if not each.endswith(f">={major}.{minor},<{major}.{int(minor) + 1}")] == []
    assert project["version"].startswith(f"{major}.{minor}.")


def test_all_has_every_other_extra_but_those_of_clusters() -> None:
    extras = dict(PROJECT["project"]["optional-dependencies"])
    (everything,) = extras.pop("all")
    assert set(re.findall(r"\w+", everything.partition("[")[2])) == set(extras) - set(ENGINES)


def test_core_has_four_dependencies() -> None:
    names = {re.split(r"[^\w-]", each)[0] for each in PROJECT["project"]["dependencies"]}
    assert names == {"anyio", "httpx", "pluggy", "sniffio"}


def test_ci_runs_the_second_command_of_the_readme() -> None:
    commands = re.findall(r"^uv run [^#\n]*", text("README.md"), re.MULTILINE)
    assert [command.strip() for command in commands] == ["uv run replicate-kit demo", "uv run tox"]
    assert commands[1].strip() in text(".ci/run").splitlines()
