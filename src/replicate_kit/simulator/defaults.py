"""The simulator that a process shares, and the demo models in it."""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import logging
from collections.abc import Iterator

from replicate_kit.simulator._core import Simulator
from replicate_kit.simulator._service.webhooks import post
from replicate_kit.simulator.demo._catalog import COLLECTIONS, MODELS
from replicate_kit.transport import Request

__all__ = ["default", "install"]


def install(simulator: Simulator) -> Simulator:
    """Publish the demo models: `demo/painter`, `demo/poet`, `demo/musician`, `demo/flaky` and `demo/slow`.

    Beside them are models under names of Replicate's, such as `black-forest-labs/flux-schnell`: they take the same
    inputs as the models of these names, and make what the demo models make.
    """
    publisher = simulator._publisher
    for each in MODELS:
        publisher.put_off(each.name, each.function, each.trainer, readme=each.readme, official=each.official)
    for slug, (names, description) in COLLECTIONS.items():
        simulator.collection(slug, models=names, description=description)
    return simulator


def default() -> Simulator:
    """The simulator that this process shares, with the demo models; made when first asked for."""
    return _instead[-1] if _instead else _shared()


@functools.cache
def _shared() -> Simulator:
    return install(Simulator(webhook_sender=to_this_machine))


def to_this_machine(request: Request) -> int:
    """Send a webhook if it is for this machine. The mock promises that nothing leaves it."""
    if not _is_here(request.url.host):
        told = "The mock sends webhooks to this machine only: none went to %s."
        logging.getLogger("replicate_kit").info(told, request.url.host)
        # An error would have it sent again, for about a minute.
        return 204
    return post(request)


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


_instead: list[Simulator] = []


@contextlib.contextmanager
def replaced(simulator: Simulator) -> Iterator[None]:
    """While the block runs, have the process share another simulator."""
    _instead.append(simulator)
    try:
        yield
    finally:
        _instead.remove(simulator)
