"""Webhooks: signed, filtered, throttled, and the last one retried."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

from replicate_kit.simulator._state.encoding import encode
from replicate_kit.simulator._state.entities import Prediction
from replicate_kit.simulator._state.workers import Workers
from replicate_kit.transport import Request

if TYPE_CHECKING:
    from replicate_kit.simulator._service.service import Service

__all__ = ["Sender", "Webhooks", "post"]

Sender = Callable[[Request], int | Awaitable[int]]
"""Delivers a webhook and gives the receiver's status; raises any error if it cannot be reached."""

# What is sent without a filter, and how often at most (OpenAPI: predictions.create, webhook_events_filter).
DEFAULT_EVENTS = ("output", "completed")
THROTTLED = frozenset({"output", "logs"})
THROTTLE = 0.5  # seconds between two webhooks of the same throttled kind
# Only the last webhook is sent again, later each time (replicate.com/docs, on webhooks).
RETRIES = (1, 2, 4, 8, 16, 32)  # seconds before each; the last one is about a minute after the end


class _Subscription:
    """What is known of one prediction's webhooks."""

    def __init__(self, worker: Workers) -> None:
        self.worker = worker
        self.last: dict[str, float] = {}
        self.delayed: Callable[[], None] | None = None


class Webhooks:
    """Tells receivers of what happens to predictions; a listener of the lifecycle.

    Deliveries of one prediction go out in order, on a thread that lives while there are any.
    """

    def __init__(self, service: Service, sender: Sender | None) -> None:
        self._service, self._sender = service, sender or post
        self._subscriptions: dict[str, _Subscription] = {}

    def __call__(self, prediction: Prediction, event: str) -> None:
        """Take note of an event; the lock is held."""
        if prediction.webhook is None or event not in ("start", "output", "logs", "completed"):
            return
        wanted = DEFAULT_EVENTS if prediction.events_filter is None else prediction.events_filter
        if event in wanted and not self._too_soon(prediction, event):
            self._plan(prediction, event)
        if event == "completed":
            self._subscriptions.pop(prediction.id, None)

    def _subscription(self, prediction: Prediction) -> _Subscription:
        if prediction.id not in self._subscriptions:
            self._subscriptions[prediction.id] = _Subscription(Workers("webhooks", 1, self._service.clock))
        return self._subscriptions[prediction.id]

    def _too_soon(self, prediction: Prediction, event: str) -> bool:
        """Whether another one of the same kind went out within the last half second; the next will say as much."""
        if event not in THROTTLED:
            return False
        last, now = self._subscription(prediction).last, self._service.clock.now()
        if now - last.get(event, float("-inf")) < THROTTLE:
            return True
        last[event] = now
        return False

    def _plan(self, prediction: Prediction, event: str) -> None:
        """Queue a delivery, with the prediction as it is now."""
        subscription, url = self._subscription(prediction), prediction.webhook or ""
        body = encode(self._service.wire.prediction(prediction))
        # One id for all attempts, by which receivers know a webhook that comes again.
        id = f"msg_{self._service.ids.token(27)}"
        faults = self._service.faults.matching("webhooks", lambda: prediction.model)
        last = event == "completed"
        deliver = partial(self._deliver, url, id, body, RETRIES if last else ())
        if any(fault.cut for fault in faults):  # lost on its way; only the last one is sent again
            deliver = partial(self._again, self._service.clock.now(), url, id, body, RETRIES if last else ())
        if any(fault.reorder for fault in faults) and not last:
            subscription.delayed = deliver
            return
        for _ in range(1 + sum(fault.duplicate for fault in faults)):
            subscription.worker.submit(deliver)
        if subscription.delayed is not None:
            subscription.worker.submit(subscription.delayed)
            subscription.delayed = None

    def _deliver(self, url: str, id: str, body: bytes, retries: tuple[int, ...]) -> None:
        """Send it once; come back later if it did not arrive and there are retries left."""
        from replicate_kit.signing import sign

        now = self._service.clock.now()
        timestamp = int(now)
        headers = {
            "content-type": "application/json",
            "user-agent": "Replicate-Webhooks",
            "webhook-id": id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(id, timestamp, body, self._service.webhook_secret),
        }
        if not self._arrives(Request("POST", url, content=body, headers=headers)):
            self._again(now, url, id, body, retries)

    def _again(self, sent: float, url: str, id: str, body: bytes, retries: tuple[int, ...]) -> None:
        """Try again when the first of `retries` has passed since it was `sent`."""
        if retries:
            retry = partial(self._deliver, url, id, body, retries[1:])
            # The scheduler's own thread must not wait for a receiver.
            worker = Workers("webhooks", 1, self._service.clock)
            self._service.scheduler.at(sent + retries[0], partial(worker.submit, retry))

    def _arrives(self, request: Request) -> bool:
        """Send a request; anything but an error will do, and redirects are not followed."""
        try:
            status = self._sender(request)
            if isinstance(status, Awaitable):
                import asyncio

                status = asyncio.run(_awaited(status))
        except (Exception, SystemExit):  # whatever a receiver or a sender comes up with, it did not arrive
            return False
        # A redirect counts as arrived: the API follows none (OpenAPI: predictions.create, webhook).
        return status < 400


async def _awaited(status: Awaitable[int]) -> int:
    return await status


def post(request: Request) -> int:
    """Send over the network."""
    import httpx  # not before there is something to send: most runs have no webhooks

    headers = request.headers.raw
    sent = httpx.Request(request.method, str(request.url), headers=headers, content=request.content)
    # Plain HTTP needs no certificates, and loading them takes longer than sending.
    with httpx.Client(timeout=10, verify=request.url.scheme == "https") as client:
        return client.send(sent, follow_redirects=False).status_code
