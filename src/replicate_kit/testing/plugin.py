"""The plugin that pytest finds: fixtures that stand in for Replicate.

`@pytest.mark.replicate(…)` on a test, class or module, or a fixture `replicate_options` that returns a dict, say
what is different from the usual:

- `models`: Python files, or functions that are called with the `Simulator` to publish models. Without any, there are
  the demo models; `demo=True` has them as well.
- `faults`: what is to go wrong, as `replicate_kit.simulator.Fault` or as the command line writes it.
- `clock`: a `replicate_kit.simulator.Clock`.
- any other option of `Simulator`, and for `replicate_server` of `replicate_kit.serving.Server`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from replicate_kit.serving import Server
    from replicate_kit.testing._mocking import ReplicateMock

__all__ = ["replicate_mock", "replicate_options", "replicate_server"]


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        "replicate(models=(), faults=(), clock=None, demo=None, **options): how the stand-in behaves",
    )


@pytest.fixture
def replicate_options() -> dict[str, Any]:
    """Options for `replicate_mock` and `replicate_server`, for a project to override; markers go before them."""
    return {}


@pytest.fixture
def replicate_mock(
    request: pytest.FixtureRequest, replicate_options: dict[str, Any]
) -> Iterator[ReplicateMock]:
    """A fresh Replicate in this process. `replicate_kit.run` and clients made in the test use it.

    It has the `simulator` and a `client` of it. Nothing leaves the process.
    """
    from replicate_kit.testing._mocking import mocked

    with mocked(**_options(request, replicate_options)) as mock:
        yield mock


@pytest.fixture
def replicate_server(request: pytest.FixtureRequest, replicate_options: dict[str, Any]) -> Iterator[Server]:
    """A fresh Replicate on sockets of this machine, for code that uses any client, the official one included.

    The environment points clients at it (`REPLICATE_BASE_URL`, `REPLICATE_API_TOKEN`, `SSL_CERT_FILE`, …), over HTTPS.
    It has the `simulator`, `url`, `https_url`, and the `environment` for programs that the test starts.
    """
    from replicate_kit.testing._mocking import served

    with served(**_options(request, replicate_options)) as server:
        yield server


def _options(request: pytest.FixtureRequest, given: dict[str, Any]) -> dict[str, Any]:
    """Put together what the project says and what the markers say, the nearest one last."""
    merged = dict(given)
    for marker in reversed(list(request.node.iter_markers("replicate"))):
        merged |= marker.kwargs
    return merged
