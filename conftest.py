"""Runs the examples of README, docs and docstrings: on the mock, without a token, in an empty folder."""

import ast
import asyncio
import inspect
import signal
from collections.abc import Iterator
from doctest import ELLIPSIS
from typing import Any

import pytest
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, SkipParser
from sybil.parsers.rest import DocTestParser
from sybil.sybil import SybilCollection

from replicate_kit._lazy import forget_default_client


class NotebookParser(CodeBlockParser):
    """Python blocks, in which `await` may stand at the top level as it may in a notebook."""

    language = "python"

    def evaluate(self, example: Example) -> None:
        # A document runs as a script would, for libraries that look at the name of the module they are used in.
        example.namespace.setdefault("__name__", "__main__")
        source = "\n" * example.line + example.parsed
        code = compile(source, example.path, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        result: Any = eval(code, example.namespace)
        if inspect.iscoroutine(result):
            asyncio.run(result)


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give the examples of one document the mock as their backend and an empty folder to write to."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("REPLICATE_API_TOKEN", raising=False)
        patch.setenv("REPLICATE_KIT_BACKEND", "mock")
        patch.chdir(tmp_path_factory.mktemp("examples"))
        # The next document begins as a new process does: its default client is made for its own simulator.
        forget_default_client()
        yield
        forget_default_client()


SLOW_LIMIT = 1800.0
"""Seconds that a test marked `slow` may take; pyproject.toml has the limit of the others."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give slow tests more time before they count as hanging, unless a limit was said with `--timeout`."""
    said = config.getoption("timeout", None) is not None
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout") and not said:
            item.add_marker(pytest.mark.timeout(SLOW_LIMIT))


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Have SIGINT raise `KeyboardInterrupt` in the test, and in the Python programs that it starts.

    `nohup`, a script's background job and some runners of continuous integration start programs that ignore SIGINT.
    Python leaves it so, and programs inherit it: whoever waits to be interrupted would wait for ever.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


markdown = Sybil(parsers=[NotebookParser(), SkipParser()], patterns=["*.md"], fixtures=["offline"])
core, plugins = (
    Sybil(parsers=[DocTestParser(ELLIPSIS)], path=folder, patterns=["*.py"], fixtures=["offline"])
    for folder in ("src", "plugins")
)
pytest_collect_file = SybilCollection([markdown, core, plugins]).pytest()
