"""The command line as a user meets it: arguments in, text and an exit code out."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import fsspec
import pytest
from click.testing import CliRunner, Result
from fsspec.implementations.memory import MemoryFileSystem

from replicate_kit.cli import cli
from replicate_kit.simulator import Simulator, install

Invoke = Callable[..., Result]


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch) -> Iterator[Invoke]:
    """Run a command line on a mock of its own; errors that nobody foresaw are raised."""
    monkeypatch.setenv("REPLICATE_KIT_BACKEND", "mock")

    def invoke(*arguments: object, stdin: str | None = None) -> Result:
        return CliRunner().invoke(cli, [str(each) for each in arguments], input=stdin, catch_exceptions=False)

    with install(Simulator()):  # the models that one test adds are not the next one's
        yield invoke


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
