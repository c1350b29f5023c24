"""`import replicate` gives the stand-in."""

from __future__ import annotations

import pickle
import subprocess
import sys
from importlib import import_module
from types import ModuleType

import pytest

from replicate_kit.compat import install_as_replicate, uninstall_replicate
from replicate_kit.errors import ConfigError

SUBMODULES = [
    "__about__",
    "account",
    "client",
    "collection",
    "deployment",
    "exceptions",
    "file",
    "hardware",
    "helpers",
    "identifier",
    "model",
    "pagination",
    "prediction",
    "resource",
    "run",
    "schema",
    "stream",
    "training",
    "version",
    "webhook",
]

NAMES = [
    "Client",
    "async_paginate",
    "async_run",
    "async_stream",
    "collections",
    "default_client",
    "deployments",
    "files",
    "hardware",
    "models",
    "paginate",
    "predictions",
    "run",
    "stream",
    "trainings",
    "webhooks",
]


def test_import_gives_the_stand_in(replicate: ModuleType) -> None:
    import replicate as imported
    from replicate.exceptions import ModelError

    assert imported is replicate
    assert ModelError is import_module("replicate_kit.compat.replicate.exceptions").ModelError


@pytest.mark.parametrize("name", SUBMODULES)
def test_submodules_can_be_imported(replicate: ModuleType, name: str) -> None:
    module = import_module(f"replicate.{name}")
    assert module is import_module(f"replicate_kit.compat.replicate.{name}")


@pytest.mark.parametrize("name", NAMES)
def test_the_package_has_the_names_of_1_x(replicate: ModuleType, name: str) -> None:
    assert hasattr(replicate, name)


def test_the_modules_run_and_stream_are_behind_functions_of_the_same_names(replicate: ModuleType) -> None:
    assert callable(replicate.run)
    assert callable(import_module("replicate.run").run)
    assert callable(import_module("replicate.stream").stream)


def test_installing_twice_is_installing_once(replicate: ModuleType) -> None:
    assert install_as_replicate() is replicate


def test_what_was_imported_as_replicate_before_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "replicate", ModuleType("replicate"))
    with pytest.raises(ConfigError, match=r"Call install_as_replicate\(\) earlier"):
        install_as_replicate()
    uninstall_replicate()
    assert "replicate" in sys.modules


def test_uninstalling_takes_all_of_it_away(replicate: ModuleType) -> None:
    uninstall_replicate()
    assert not [name for name in sys.modules if name.partition(".")[0] == "replicate"]


def test_the_default_client_reads_the_environment_when_it_is_first_used(
    monkeypatch: pytest.MonkeyPatch, replicate: ModuleType
) -> None:
    monkeypatch.setenv("REPLICATE_POLL_INTERVAL", "0.25")
    assert replicate.default_client.poll_interval == 0.25


def test_a_poll_interval_that_is_none_does_not_break_the_import() -> None:
    program = "from replicate_kit.compat import install_as_replicate as i; i(); import replicate"
    environment = {"REPLICATE_POLL_INTERVAL": "soon", "PATH": ""}
    subprocess.run([sys.executable, "-W", "error", "-c", program], env=environment, check=True)


def test_run_goes_to_the_backend_of_the_environment(replicate: ModuleType) -> None:
    (picture,) = replicate.run("demo/painter", {"prompt": "x", "width": 16, "height": 16})
    assert picture.read().startswith(b"\x89PNG")
    assert pickle.loads(pickle.dumps(picture)).url == picture.url
