from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import standardwebhooks

from replicate_kit.errors import ConnectFailed
from replicate_kit.signing import verify
from replicate_kit.simulator import Clock, Fault, Simulator, log
from replicate_kit.transport import Request

Send = Callable[..., httpx.Response]
URL = "https://example.test/hook?id=1"


class Receiver:
    """Takes webhooks, and answers with the statuses it was given before it says 200."""

    def __init__(self, *answers: int | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[Request] = []
        self._news = threading.Condition()

    def __call__(self, request: Request) -> int:
        with self._news:
            self.requests.append(request)
            self._news.notify_all()
            answer = self.answers.pop(0) if self.answers else 200
        if isinstance(answer, Exception):
            raise answer
        return answer

    def wait_for(self, count: int) -> list[dict[str, Any]]:
        with self._news:
            assert self._news.wait_for(lambda: len(self.requests) >= count, 10), len(self.requests)
            return [json.loads(each.content) for each in self.requests]

    @property
    def statuses(self) -> list[str]:
        return [json.loads(each.content)["status"] for each in self.requests]


def simulator_for(receiver: Any, **options: Any) -> Simulator:
    simulator = Simulator(webhook_sender=receiver, **options)

    @simulator.model("acme/letters")
    def letters(text: str) -> Iterator[str]:
        log("Begin")
        yield from text

    return simulator


def create(send: Send, *, text: str = "ab", **body: Any) -> dict[str, Any]:
    body = {"input": {"text": text}, "webhook": URL, **body}
    response = send("POST", "/models/acme/letters/predictions", json=body, headers={"Prefer": "wait"})
    assert response.status_code == 201, response.text
    return dict(response.json())


def test_a_webhook_is_the_prediction_signed(ask_of: Callable[..., Send]) -> None:
    receiver = Receiver()
    simulator = simulator_for(receiver)
    ask = ask_of(simulator)
    created = create(ask, webhook_events_filter=["completed"])
    (body,) = receiver.wait_for(1)
    assert body == ask("GET", f"/predictions/{created['id']}").json()
    assert (body["webhook"], body["webhook_events_filter"]) == (URL, ["completed"])
    (request,) = receiver.requests
    assert (request.method, str(request.url), request.headers["content-type"]) == (
        "POST",
        URL,
        "application/json",
    )
    headers = {
        name: request.headers[name] for name in ("webhook-id", "webhook-timestamp", "webhook-signature")
    }
    standardwebhooks.Webhook(simulator.webhook_secret).verify(request.content, headers)
    id, timestamp, signature = headers.values()
    verify(id, timestamp, request.content, signature, [simulator.webhook_secret], now=simulator.clock.now())


def test_events_are_filtered(ask_of: Callable[..., Send]) -> None:
    receiver = Receiver()
    create(ask_of(simulator_for(receiver)), webhook_events_filter=["start", "completed"])
    receiver.wait_for(2)
    assert receiver.statuses == ["processing", "succeeded"]


def test_without_a_filter_new_outputs_and_the_end_are_told(ask_of: Callable[..., Send]) -> None:
    receiver = Receiver()
    create(ask_of(simulator_for(receiver)))
    first, last = receiver.wait_for(2)
    assert (first["output"], last["output"]) == (["a"], ["a", "b"])


def test_outputs_and_logs_are_told_twice_a_second_at_most(ask_of: Callable[..., Send]) -> None:
    receiver, clock = Receiver(), Clock(rate=0)
    simulator = simulator_for(receiver, clock=clock)

    @simulator.model("acme/letters")
    def letters(text: str) -> Iterator[str]:
        for letter in text:
            clock.advance(0.2)
            log(letter)
            yield letter

    create(ask_of(simulator), text="abcdefg", webhook_events_filter=["start", "output", "logs", "completed"])
    bodies = receiver.wait_for(8)
    seen = [
        (body["status"], "".join(body["output"] or []), body["logs"].replace("\n", "")) for body in bodies
    ]
    assert seen == [
        ("processing", "", ""),
        ("processing", "", "a"),
        ("processing", "a", "a"),
        ("processing", "abc", "abcd"),
        ("processing", "abcd", "abcd"),
        ("processing", "abcdef", "abcdefg"),
        ("processing", "abcdefg", "abcdefg"),
        ("succeeded", "abcdefg", "abcdefg"),
    ]


@pytest.mark.parametrize("trouble", [500, 404, ConnectFailed("no"), OSError("no")])
def test_only_the_last_one_is_retried_and_keeps_its_id(ask_of: Callable[..., Send], trouble: Any) -> None:
    receiver, clock = Receiver(trouble, trouble, trouble), Clock(rate=0)
    create(ask_of(simulator_for(receiver, clock=clock)), webhook_events_filter=["start", "completed"])
    receiver.wait_for(2)
    clock.advance(1)
    receiver.wait_for(3)
    clock.advance(2)
    receiver.wait_for(4)
    assert receiver.statuses == ["processing", "succeeded", "succeeded", "succeeded"]
    ids = [each.headers["webhook-id"] for each in receiver.requests]
    assert len(set(ids)) == 2
    times = [int(each.headers["webhook-timestamp"]) for each in receiver.requests]
    assert times[1:] == [times[0], times[0] + 1, times[0] + 3]


def test_a_retry_counts_from_when_the_webhook_was_sent_however_slow_the_receiver_is(
    ask_of: Callable[..., Send],
) -> None:
    receiver, clock = Receiver(), Clock(rate=0)

    def slow(request: Request) -> int:
        clock.advance(1)
        return receiver(request) + 300 * (len(receiver.requests) == 1)

    create(ask_of(simulator_for(slow, clock=clock)), webhook_events_filter=["completed"])
    receiver.wait_for(2)


def test_retries_end_after_a_minute(ask_of: Callable[..., Send]) -> None:
    receiver, clock = Receiver(*[500] * 99), Clock(rate=0)
    create(ask_of(simulator_for(receiver, clock=clock)), webhook_events_filter=["completed"])
    for count, pause in enumerate((0, 1, 2, 4, 8, 16, 32), 1):
        clock.advance(pause)
        receiver.wait_for(count)
    times = [int(each.headers["webhook-timestamp"]) for each in receiver.requests]
    assert times[-1] - times[0] == 63


def test_a_redirect_is_not_followed_nor_retried(ask_of: Callable[..., Send]) -> None:
    receiver = Receiver(302)
    create(ask_of(simulator_for(receiver)), webhook_events_filter=["completed"])
    receiver.wait_for(1)
    assert len(receiver.requests) == 1


def test_an_asynchronous_sender_will_do(ask_of: Callable[..., Send]) -> None:
    receiver = Receiver()

    async def sender(request: Request) -> int:
        return receiver(request)

    create(ask_of(simulator_for(sender)), webhook_events_filter=["completed"])
    receiver.wait_for(1)


def test_failures_cancels_and_trainings_are_told_too(ask_of: Callable[..., Send]) -> None:
    receiver = Receiver()
    simulator = simulator_for(receiver)

    @simulator.trainer("acme/letters")
    def train() -> bytes:
        raise RuntimeError("no data")

    ask = ask_of(simulator)
    ask(
        "POST", "/models", json={"owner": "local", "name": "mine", "visibility": "private", "hardware": "cpu"}
    )
    path = f"/models/acme/letters/versions/{simulator.version('acme/letters')}/trainings"
    ask("POST", path, json={"destination": "local/mine", "input": {}, "webhook": URL})
    (body,) = receiver.wait_for(1)
    assert (body["status"], body["error"]) == ("failed", "no data")
    assert "/v1/trainings/" in body["urls"]["get"]


def test_faults_send_twice_out_of_order_and_not_at_all(ask_of: Callable[..., Send]) -> None:
    receiver, clock = Receiver(), Clock(rate=0)
    simulator = simulator_for(receiver, clock=clock)
    ask = ask_of(simulator)
    both = {"webhook_events_filter": ["start", "completed"]}
    simulator.faults.add(Fault(operation="webhooks", calls={1}, duplicate=True))
    create(ask, **both)
    receiver.wait_for(3)
    assert receiver.statuses == ["processing", "processing", "succeeded"]
    simulator.faults.clear()
    simulator.faults.add(Fault(operation="webhooks", calls={1}, reorder=True))
    create(ask, **both)
    receiver.wait_for(5)
    assert receiver.statuses[3:] == ["succeeded", "processing"]
    simulator.faults.clear()
    simulator.faults.add(Fault(operation="webhooks", model="acme/*", cut=True, times=2))
    create(ask, **both)
    for _ in range(100):
        if len(receiver.requests) > 5:
            break
        clock.advance(1)
        threading.Event().wait(0.01)
    assert receiver.statuses[5:] == ["succeeded"]


def test_webhooks_arrive_over_a_real_socket(ask_of: Callable[..., Send]) -> None:
    from http.server import BaseHTTPRequestHandler, HTTPServer

    got: list[bytes] = []
    arrived = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(204)
            self.end_headers()
            arrived.set()

        def log_message(self, *args: Any) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        url = f"http://127.0.0.1:{server.server_port}/hook"
        simulator = simulator_for(None)
        create(ask_of(simulator), webhook=url, webhook_events_filter=["completed"])
        assert arrived.wait(10)
        server.shutdown()
    assert json.loads(got[0])["status"] == "succeeded"


def test_a_sender_gets_a_request_of_ours(ask_of: Callable[..., Send]) -> None:
    receiver = Receiver()
    create(ask_of(simulator_for(receiver)), webhook_events_filter=["completed"])
    receiver.wait_for(1)
    (request,) = receiver.requests
    assert (type(request), request.method, str(request.url)) == (Request, "POST", URL)
    assert request.headers["content-length"] == str(len(request.content))


def test_webhooks_arrive_over_the_network_as_they_were_made(
    serve: Callable[..., Any], ask_of: Callable[..., Send]
) -> None:
    arrived = threading.Event()

    def handle(received: Any) -> tuple[int, dict[str, str], bytes]:
        arrived.set()
        return 302, {"location": "/elsewhere"}, b""

    receiver = serve(handle)
    simulator = simulator_for(None)
    create(ask_of(simulator), webhook=f"{receiver.url}/hook?id=1", webhook_events_filter=["completed"])
    assert arrived.wait(10)
    (received,) = receiver.received
    assert (received.method, received.path) == ("POST", "/hook?id=1")
    assert received.headers["user-agent"] == "Replicate-Webhooks"
    assert received.headers["content-length"] == str(len(received.body))
    assert json.loads(received.body)["status"] == "succeeded"
    standardwebhooks.Webhook(simulator.webhook_secret).verify(received.body, dict(received.headers))
