"""Counts, in a run of the tests, what each backend that has sockets was asked to carry, by the tests that used sockets.

`REPLICATE_KIT_BACKEND=fast pytest` runs the tests over another backend than `http`; its last lines say so.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest

__all__ = ["CHOSEN", "Doors"]

CHOSEN = os.environ.get("REPLICATE_KIT_BACKEND", "")
"""The backend over which the tests are to run; each clears the environment."""

_LEAST = 95  # percent of the tests with sockets that have to use it
_NAME = "replicate_kit_doors"


class Doors:
    """Counts requests by backend, and tests by the backends that carried theirs."""

    def __init__(self) -> None:
        self._requests, self._tests = Counter[str](), Counter[str]()
        self._used, self._connected = set[str](), False
        self._watch()

    def _watch(self) -> None:
        from replicate_kit.backends._httpx import pools

        # An httpx2 that is chosen sends through the same objects: it counts as what it is not, `http`.
        kinds: list[tuple[str, type[Any], str]] = [
            ("http", pools.BlockingPool, "send"),
            ("http", pools.AsyncPool, "send"),
        ]
        if find_spec("aiohttp") is not None:
            from replicate_kit.backends._aiohttp.pools import Pool

            kinds.append(("fast", Pool, "open"))  # blocking callers come here, too
        for name, kind, method in kinds:
            setattr(kind, method, self._counted(name, getattr(kind, method)))
        sys.addaudithook(self._note)

    def _counted(self, name: str, send: Any) -> Any:
        @functools.wraps(send)
        async def counted(*args: Any, **options: Any) -> Any:
            self._requests[name] += 1
            self._used.add(name)
            return await send(*args, **options)

        return counted

    def _note(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "socket.connect" and isinstance(args[1], tuple):
            self._connected = True

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self) -> Iterator[None]:
        """Look at one test."""
        self._used.clear()
        self._connected = False
        try:
            return (yield)  # type: ignore[misc]
        finally:
            if self._connected and self._used:
                self._tests["all"] += 1
                self._tests.update(self._used)

    def pytest_testnodedown(self, node: Any) -> None:
        """Add what a worker of xdist has counted."""
        found = json.loads(getattr(node, "workeroutput", {}).get(_NAME, "[{}, {}]"))
        self._requests.update(found[0])
        self._tests.update(found[1])

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Give the counts to whoever sums them up, or see that they are enough."""
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output[_NAME] = json.dumps([self._requests, self._tests])
        elif self._tests["all"] and self._share < _LEAST and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Tell what was counted."""
        carried = ", ".join(f"{count} by {name}" for name, count in sorted(self._requests.items()))
        terminalreporter.write_line(
            f"Requests carried: {carried or 'none'}. Of {self._tests['all']} tests with sockets "
            f"{self._share:.1f} % used {CHOSEN} (at least {_LEAST} % have to)."
        )

    @property
    def _share(self) -> float:
        """How many of the tests with sockets used the backend that was chosen, in percent."""
        return 100 * self._tests[CHOSEN] / max(1, self._tests["all"])
