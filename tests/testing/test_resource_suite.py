"""The suite of resources, held against one that is right, and against some that are wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from replicate_kit import Resource, blocking, hookimpl
from replicate_kit.errors import ReplicateError
from replicate_kit.testing.suites import ResourceSuite

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]


class Boards(Resource):
    async def async_names(self) -> list[str]:
        """Name the models."""
        return [model["name"] for model in (await self.session.fetch("GET", "models"))["results"]]

    names = blocking(async_names)


class OfBoards(ResourceSuite):
    resource: type[Resource] = Boards

    @pytest.fixture
    def calls(self) -> Any:
        return {"names": []}

    @pytest.fixture
    def plugins(self) -> Sequence[object]:
        class Plugin:
            @hookimpl
            def replicate_resources(plugin) -> Any:  # noqa: N805
                return {"boards": self.resource}

        return [Plugin()]


class TestBoards(OfBoards):
    """It passes, so that what fails below fails for its own fault."""


class Waits(Resource):
    """Waits by itself, and not by the session."""

    async def async_names(self) -> list[str]:
        """Name the models."""
        await asyncio.sleep(0)
        return list(await self.session.fetch("GET", "models"))

    names = blocking(async_names)


class NoTwin(Resource):
    """Has no blocking form."""

    async def async_names(self) -> list[str]:
        """Name the models."""
        return list(await self.session.fetch("GET", "models"))


class Silent(Resource):
    """Hides what goes wrong."""

    async def async_names(self) -> list[str]:
        """Name the models."""
        try:
            return list(await self.session.fetch("GET", "models"))
        except ReplicateError:
            return []

    names = blocking(async_names)


class Other(Resource):
    """Has a twin that does something else."""

    async def async_names(self) -> list[str]:
        """Name the models."""
        return list(await self.session.fetch("GET", "models"))

    async def _async_count(self) -> int:
        return len(await self.async_names())

    names = blocking(_async_count)


class Unsaid(Resource):
    async def async_names(self) -> list[str]:
        return list(await self.session.fetch("GET", "models"))

    names = blocking(async_names)


@pytest.mark.slow
class TestASuiteFindsWhatIsWrong:
    """A suite that anything passes would prove nothing."""

    @pytest.mark.parametrize(
        ("kind", "test"),
        [
            ("Waits", "test_each_operation_comes_to_its_end[blocking]"),
            ("Waits", "test_each_operation_comes_to_its_end[trio]"),
            ("NoTwin", "test_each_operation_has_a_blocking_twin"),
            ("Silent", "test_a_request_that_fails_is_an_error[ConnectionLost]"),
            ("Silent", "test_an_answer_that_is_an_error_is_raised[500]"),
            ("Other", "test_each_twin_gives_what_its_async_form_gives[blocking]"),
            ("Unsaid", "test_each_operation_says_what_it_does"),
        ],
    )
    def test_a_resource_that_is_wrong_fails(self, pytester: pytest.Pytester, kind: str, test: str) -> None:
        pytester.makepyfile(f"""
            from tests.testing.test_resource_suite import {kind}, OfBoards

            class TestWrong(OfBoards):
                resource = {kind}
        """)
        pytester.makeini(f"[pytest]\npythonpath = {ROOT}")
        done = pytester.runpytest_subprocess("-q", "-k", "TestWrong")
        assert done.ret == pytest.ExitCode.TESTS_FAILED, done.stdout.str()
        assert f"FAILED test_a_resource_that_is_wrong_fails.py::TestWrong::{test}" in done.stdout.str()
