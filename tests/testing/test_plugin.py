"""The fixtures, in sessions of their own, as another project would have them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

pytest_plugins = ["pytester"]

DOCUMENT = Path(__file__).parents[2] / "docs" / "testing.md"


def passes(pytester: pytest.Pytester, tests: int, *arguments: str) -> None:
    result = pytester.runpytest_subprocess("-q", "-W", "error", "--strict-markers", *arguments)
    result.assert_outcomes(passed=tests)


def test_pytest_finds_the_plugin_and_loads_nothing_for_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import sys

        def test_light():
            assert "replicate_kit.testing.plugin" in sys.modules
            heavy = ("httpx", "anyio", "pluggy.x", "starlette", "uvicorn", "trustme", "replicate_kit.simulator")
            assert [name for name in heavy if name in sys.modules] == []
    """)
    others = ("anyio", "schemathesis", "pytest_httpx", "respx")
    passes(pytester, 1, *(part for name in others for part in ("-p", f"no:{name}")))


def test_importing_the_package_of_the_plugin_is_light() -> None:
    code = "import sys, replicate_kit.testing.plugin; print([m for m in ('httpx', 'asyncio') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", f"import pytest\n{code}"], capture_output=True, text=True, check=True
    )
    assert "httpx" not in done.stdout


def test_mock_is_what_the_default_client_uses_however_it_was_imported(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import replicate_kit
        from replicate_kit import Client, run, stream, predictions

        def test_all_ways(replicate_mock):
            @replicate_mock.model("acme/shout")
            def shout(text: str) -> str:
                return text.upper()

            assert run("acme/shout", {"text": "a"}) == "A"
            assert replicate_kit.run("acme/shout", {"text": "b"}) == "B"
            assert Client().run("acme/shout", {"text": "c"}) == "C"
            assert replicate_mock.client.run("acme/shout", {"text": "d"}) == "D"
            assert [each.input["text"] for each in predictions.list()] == ["d", "c", "b", "a"]
            assert replicate_mock.simulator.created == 4

        def test_each_test_has_its_own(replicate_mock):
            assert predictions.list().results == []
    """)
    passes(pytester, 2)


def test_outside_of_a_test_that_asks_for_it_nothing_is_replaced(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import os
        from replicate_kit import default_client
        from replicate_kit.simulator import default

        def test_with(replicate_mock):
            assert default() is replicate_mock.simulator

        def test_without():
            assert default_client.session.base_url.host == "api.replicate.com"
            assert "REPLICATE_KIT_BACKEND" not in os.environ
    """)
    passes(pytester, 2)


def test_markers_and_the_project_say_what_is_different(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("""
        import pytest

        @pytest.fixture
        def replicate_options():
            return {"models": "models.py", "account": "acme"}
    """)
    pytester.makefile(".py", models="def echo(text: str) -> str:\n    return text\n")
    pytester.makepyfile("""
        import pytest
        from replicate_kit import accounts, errors, run
        from replicate_kit.simulator import Clock, Fault

        def test_the_project(replicate_mock):
            assert accounts.current().username == "acme"
            assert run("local/echo", {"text": "hi"}) == "hi"

        @pytest.mark.replicate(faults=["trainings.*,status=503", Fault(operation="account.get", status=402)])
        def test_faults(replicate_mock):
            with pytest.raises(errors.InsufficientCredit):
                accounts.current()

        @pytest.mark.replicate(clock=Clock(rate=0), demo=True)
        class TestClock:
            def test_it_can_be_moved(self, replicate_mock):
                before = replicate_mock.clock.now()
                replicate_mock.clock.advance(3600)
                assert replicate_mock.clock.now() == before + 3600
                assert run("demo/poet", {"prompt": "sea"})
    """)
    passes(pytester, 3)


def test_server_serves_whatever_finds_it_by_the_environment(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import os, ssl, subprocess, sys, urllib.request
        from replicate_kit import Client, run

        def test_ours(replicate_server):
            picture, = run("demo/painter", {"prompt": "sea", "width": 16, "height": 16})
            assert picture.startswith(replicate_server.https_url)
            assert picture.read()[:4] == b"\\x89PNG"
            assert Client().run("demo/poet", {"prompt": "sea"})
            assert replicate_server.simulator.created == 2

        def test_another_process(replicate_server):
            code = "import replicate_kit; print(replicate_kit.accounts.current().username)"
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
            assert done.stdout.strip() == "local", done.stderr

        def test_anything_that_trusts_the_authority(replicate_server):
            context = ssl.create_default_context(cafile=replicate_server.authority)
            url = os.environ["REPLICATE_BASE_URL"] + "/v1/hardware"
            asked = urllib.request.Request(url, headers={"Authorization": "Bearer any"})
            with urllib.request.urlopen(asked, context=context) as answer:
                assert answer.status == 200
    """)
    passes(pytester, 3)
