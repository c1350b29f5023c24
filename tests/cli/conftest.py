"""The command line as a user meets it: arguments in, text and an exit code out."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import fsspec
import pytest
from click.testing import CliRunner, Result
from fsspec.implementations.memory import MemoryFileSystem

from replicate_kit.cli import cli
from replicate_kit.simulator import Simulator, install
from replicate_kit.simulator.defaults import replaced

Invoke = Callable[..., Result]


@pytest.fixture(autouse=True)
def _own_mock() -> Iterator[None]:
    """The models that one test adds to the mock are not the next one's."""
    with install(Simulator()) as simulator, replaced(simulator):
        yield


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Run a command line on the mock; errors that nobody foresaw are raised."""
    monkeypatch.setenv("REPLICATE_KIT_BACKEND", "mock")

    def invoke(*arguments: object, stdin: str | None = None) -> Result:
        return CliRunner().invoke(cli, [str(each) for each in arguments], input=stdin, catch_exceptions=False)

    return invoke


class Vault(MemoryFileSystem):  # type: ignore[misc]
    """A store that opens with a key only."""

    protocol = "vault"

    def __init__(self, *, key: str) -> None:
        super().__init__()


@pytest.fixture
def vault() -> str:
    """A folder in a store that wants an option, `key`."""
    fsspec.register_implementation("vault", Vault, clobber=True)
    return "vault://shelf"
