"""The command line as a user meets it: arguments in, text and an exit code out."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from replicate_kit.cli import cli

Invoke = Callable[..., Result]


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Run a command line on the mock; errors that nobody foresaw are raised."""
    monkeypatch.setenv("REPLICATE_KIT_BACKEND", "mock")

    def invoke(*arguments: object, stdin: str | None = None) -> Result:
        return CliRunner().invoke(cli, [str(each) for each in arguments], input=stdin, catch_exceptions=False)

    return invoke
