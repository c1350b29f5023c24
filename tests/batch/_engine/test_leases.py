"""A create is sent only while the run's rows are certainly its own, and it looks at that last."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from replicate_kit import Client, hookimpl
from replicate_kit.backends.mock import MockBackend
from replicate_kit.batch import Budget
from replicate_kit.batch._engine import creates
from replicate_kit.batch.ledgers import elapsed
from replicate_kit.config import Config
from replicate_kit.errors import JournalError
from replicate_kit.testing.memory_ledger import MemoryLedger
from replicate_kit.transport import Request, Response, Transport

from ..conftest import Service, numbers


class Between:
    """A plugin whose layer does something with each create, after the claim and before it is sent."""

    def __init__(self, act: Callable[[int], None]) -> None:
        self.act, self.seen = act, 0

    @hookimpl
    def replicate_transport_layer(self, config: Config) -> Callable[[Transport], Transport]:
        outer = self

        class Layer:
            def __init__(self, inner: Transport) -> None:
                self.inner = inner
                self.aclose = inner.aclose

            async def send(self, request: Request, /, *, stream: bool = False) -> Response:
                if request.method == "POST" and request.url.path.endswith("/predictions"):
                    outer.seen += 1
                    outer.act(outer.seen)
                return await self.inner.send(request, stream=stream)

        return Layer


@pytest.fixture
def journal() -> str:
    return f"memory://{uuid.uuid4().hex}"


@pytest.fixture
def lease(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets for how many seconds more runs have their leases."""

    def set_to(seconds: float) -> None:
        monkeypatch.setattr(MemoryLedger, "lease_until", elapsed() + seconds)

    set_to(1000.0)
    return set_to


def with_layer(service: Service, act: Callable[[int], None]) -> Client:
    return Client(
        backend=MockBackend(service.simulator), poll_interval=0.02, timeout=1.0, plugins=[Between(act)]
    )


def test_a_create_is_not_sent_once_the_lease_is_shorter_than_sending_may_take(
    service: Service, journal: str, lease: Callable[[float], None]
) -> None:
    attempts: list[tuple[float, int]] = []

    def act(seen: int) -> None:
        lease(1.9 if seen < 4 else 1000.0)  # with a timeout of a second for each phase, sending may take two
        attempts.append((seen, service.creates))

    with with_layer(service, act) as client:
        results = list(client.map("acme/double", numbers(1), journal=journal))
    assert [each.output for each in results] == [0]
    assert attempts == [(1, 0), (2, 0), (3, 0), (4, 0)]
    assert service.creates == 1


def test_a_create_that_something_held_up_after_its_claim_is_claimed_again(
    service: Service, journal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    within = creates._SEND_WITHIN
    with with_layer(
        service, lambda seen: monkeypatch.setattr(creates, "_SEND_WITHIN", -1.0 if seen < 3 else within)
    ) as client:
        results = list(client.map("acme/double", numbers(1), journal=journal))
    assert [each.output for each in results] == [0]
    assert service.creates == 1


@pytest.mark.parametrize("timeout", [1.0, 5.0, 60.0])
def test_a_lease_that_no_create_fits_in_is_refused_before_anything_is_created(
    service: Service, journal: str, lease: Callable[[float], None], timeout: float
) -> None:
    lease(min(2 * timeout, 40.0) - 0.5)
    with (
        service.client(timeout=timeout) as client,
        pytest.raises(JournalError, match=r"Pass a longer one in its URL"),
    ):
        list(client.map("acme/double", numbers(1), journal=journal))
    assert not service.creates


def test_what_is_not_sent_gives_its_money_back(
    service: Service, journal: str, lease: Callable[[float], None]
) -> None:
    def act(seen: int) -> None:
        lease(0.0 if seen % 2 else 1000.0)

    options: Any = {"budget": Budget(predictions=5), "journal": journal}
    with with_layer(service, act) as client:
        results = list(client.map("acme/double", numbers(5), concurrency=1, **options))
    assert [each.output for each in results] == [0, 2, 4, 6, 8]
    assert service.creates == 5
