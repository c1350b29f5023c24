"""`drive` says what to write instead of what is no operation, and the suites run where trio is not installed."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from replicate_kit import Client
from replicate_kit.testing.suites import Drive

pytest_plugins = ["pytester"]


class Boards:
    """Something with an operation."""

    async def async_names(self) -> list[str]:
        return ["surf"]


async def operation() -> int:
    return 42


async def chunks() -> Any:
    yield 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (operation, r"got the function operation\. Call it: drive\(operation\(\)\)"),
        (Boards().async_names, r"got the function async_names\. Call it: drive\(async_names\(\)\)"),
        (Client(backend="mock").run, r"got the function run\. Call it: drive\(run\(\)\)"),
        (functools.partial(operation), r"got the function partial\. Call it"),
        (Boards, r"got the function Boards\. Call it"),
        (chunks(), r"got an iterator \(chunks\)\. Read it in an `async def` of the test"),
        (Client(backend="mock").async_stream("demo/poet"), r"got an iterator \(\w+\)\. Read it"),
        ("a poem", r"got 'a poem'\. Call the async_ form of what gave it: drive\(client\.async_run"),
        (None, r"got None\. Call the async_ form of what gave it"),
    ],
    ids=["function", "method", "blocking", "partial", "class", "generator", "stream", "text", "nothing"],
)
def test_drive_says_what_to_write_instead(drive: Drive, given: Any, said: str) -> None:
    with pytest.raises(TypeError, match=f"^drive runs an operation to its end, and {said}"):
        drive(given)


def test_drive_runs_what_was_called(drive: Drive) -> None:
    assert drive(operation()) == 42


WITHOUT_TRIO = "import sys\nsys.modules['trio'] = None  # as where it is not installed\n"
SUITES = {
    "own operations": """
        from replicate_kit.testing.suites import drive

        async def operation():
            return 42

        def test_it(drive):
            assert drive(operation()) == 42
    """,
    "layer": """
        import pytest
        from replicate_kit.testing.suites import LayerSuite

        class TestNone(LayerSuite):
            @pytest.fixture
            def layer(self):
                return lambda transport: transport
    """,
    "backend": """
        import pytest
        from replicate_kit.backends.mock import MockBackend
        from replicate_kit.testing.suites import BackendSuite

        class TestMock(BackendSuite):
            long_model = None

            @pytest.fixture
            def backend(self):
                return MockBackend()
    """,
    "HTTP backend": """
        import pytest
        from replicate_kit.backends.http import HTTPBackend
        from replicate_kit.serving import Server
        from replicate_kit.testing.suites import HTTPBackendSuite

        class TestHTTP(HTTPBackendSuite):
            @pytest.fixture
            def client_options(self):
                with Server(https=False) as server:
                    yield {"base_url": server.url, "api_token": "r8_any"}

            @pytest.fixture
            def backend(self):
                return HTTPBackend()
    """,
    "ledger": """
        import pytest
        from replicate_kit.testing.memory_ledger import MemoryStore
        from replicate_kit.testing.suites import LedgerSuite

        class TestMemory(LedgerSuite):
            @pytest.fixture
            def store(self):
                return MemoryStore()

            @pytest.fixture
            def url(self):
                return "memory://poems"

            async def kill(self, ledger):
                ledger.kill()
    """,
}
CHOSEN = {"HTTP backend": "trio or it_is_a_backend", "ledger": "row or copy"}
"""Of large suites, all that needs trio, and something that does not."""


@pytest.mark.parametrize("suite", SUITES)
def test_a_suite_skips_what_needs_trio_where_that_is_not_installed(
    pytester: pytest.Pytester, suite: str
) -> None:
    pytester.makeconftest(WITHOUT_TRIO)
    pytester.makepyfile(SUITES[suite])
    done = pytester.runpytest_subprocess("-q", "-rs", "-W", "error", "-k", CHOSEN.get(suite, ""))
    counted = done.parseoutcomes()
    assert counted.get("failed", 0) == counted.get("errors", 0) == 0, done.stdout.str()
    assert counted["passed"] > 0
    if suite != "ledger":
        assert "trio is not installed: pip install trio, to have this tested under it" in done.stdout.str()
