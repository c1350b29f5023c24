from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from replicate_kit.errors import ConnectionLost
from replicate_kit.simulator import Clock, Fault, Simulator
from replicate_kit.simulator._api.operations import OPERATIONS
from replicate_kit.simulator._faults.faults import describe
from replicate_kit.simulator._faults.operations import NAMES
from replicate_kit.transport import Request

Send = Callable[..., httpx.Response]


def create(send: Send, model: str = "acme/shout", **options: Any) -> httpx.Response:
    return send("POST", f"/models/{model}/predictions", json={"input": {"text": "a"}}, **options)


def statuses(send: Send, count: int) -> list[int]:
    return [send("GET", "/account").status_code for _ in range(count)]


def test_an_answer_can_be_an_error(simulator: Simulator, send: Send) -> None:
    simulator.faults.add(Fault(operation="*.create", status=503, retry_after=7))
    response = create(send)
    assert (response.status_code, response.headers["retry-after"]) == (503, "7")
    assert response.json()["retry_after"] == 7
    assert response.headers["content-type"] == "application/problem+json"
    assert (simulator.created, simulator.calls["models.predictions.create"]) == (0, 1)
    assert send("GET", "/account").status_code == 200


def test_a_throttled_answer_reads_like_the_real_one(simulator: Simulator, ask: Send) -> None:
    simulator.faults.add(Fault(status=429, retry_after=30))
    response = ask("GET", "/account")
    assert response.json()["detail"] == "Request was throttled. Your rate limit resets in ~30s."


def test_a_proxys_answer_is_html(simulator: Simulator, ask: Send) -> None:
    simulator.faults.add(Fault(status=502, body="<html>Bad gateway</html>"))
    response = ask("GET", "/account")
    assert (response.status_code, response.headers["content-type"], response.text) == (
        *(502, "text/html"),
        "<html>Bad gateway</html>",
    )


def test_work_may_be_done_behind_an_error(simulator: Simulator, send: Send) -> None:
    simulator.faults.add(Fault(operation="*.create", status=500, acted=True, times=1))
    assert create(send).status_code == 500
    assert simulator.created == 1
    assert len(send("GET", "/predictions").json()["results"]) == 1


@pytest.mark.parametrize(("fault", "created"), [(Fault(cut=True), 0), (Fault(cut=True, acted=True), 1)])
def test_a_connection_can_break_before_or_after_the_work(
    simulator: Simulator, send: Send, fault: Fault, created: int
) -> None:
    simulator.faults.add(fault)
    with pytest.raises(httpx.RemoteProtocolError):
        create(send)
    assert simulator.created == created


def test_a_connection_can_be_refused(simulator: Simulator, send: Send) -> None:
    simulator.faults.add(Fault(refuse=True))
    with pytest.raises(httpx.ConnectError):
        create(send)
    assert simulator.created == 0


@pytest.mark.parametrize("length", [0, 10])
def test_a_body_can_break_off(simulator: Simulator, send: Send, length: int) -> None:
    simulator.faults.add(Fault(operation="account.get", truncate=length))
    with pytest.raises(httpx.RemoteProtocolError, match="complete message body"):
        send("GET", "/account")


def test_files_and_streams_can_break_off(simulator: Simulator, send: Send) -> None:
    @simulator.model("acme/frames")
    def frames(text: str) -> Iterator[bytes]:
        yield b"x" * 1000

    created = create(send, "acme/frames", headers={"Prefer": "wait"}).json()
    simulator.faults.add(Fault(operation="outputs.get", truncate=500))
    simulator.faults.add(Fault(operation="streams.get", truncate=20))
    for url in (created["output"][0], created["urls"]["stream"]):
        with pytest.raises(httpx.RemoteProtocolError):
            send("GET", url)


def test_what_came_before_a_break_is_given(simulator: Simulator, drive: Any) -> None:
    simulator.faults.add(Fault(truncate=10))

    async def operation(runtime: Any) -> bytes:
        response = await simulator.handle(Request("GET", f"{simulator.base_url}/account"), runtime)
        seen = b""
        try:
            async for chunk in response.aiter_bytes():
                seen += chunk
        except ConnectionLost:
            return seen
        raise AssertionError(seen)

    assert drive(operation) == b'{"type":"u'


def test_an_answer_can_take_its_time(simulator: Simulator, send: Send) -> None:
    simulator.faults.add(Fault(delay=0.02))
    assert send("GET", "/account").status_code == 200


def test_a_client_that_does_not_wait_so_long_hears_nothing(simulator: Simulator, send: Send) -> None:
    simulator.faults.add(Fault(operation="*.create", delay=60))
    with pytest.raises(httpx.ReadTimeout):
        create(send, extensions={"timeout": {"read": 0.01}})
    assert simulator.created == 1


def test_a_client_that_gives_up_while_it_is_held_leaves_its_prediction(
    simulator: Simulator, send: Send
) -> None:
    from replicate_kit.simulator import sleep

    @simulator.model("acme/slow")
    def slow(text: str) -> str:
        sleep(0.1)
        return text

    with pytest.raises(httpx.ReadTimeout):
        create(send, "acme/slow", headers={"Prefer": "wait"}, extensions={"timeout": {"read": 0.01}})
    assert simulator.created == 1


def test_the_clock_can_jump(simulator: Simulator, ask: Send) -> None:
    before = simulator.clock.now()
    simulator.faults.add(Fault(operation="account.get", jump=3600, times=1))
    ask("GET", "/account")
    assert simulator.clock.now() - before >= 3600


def test_calls_are_picked_by_number(simulator: Simulator, ask: Send) -> None:
    simulator.faults.add(Fault(operation="account.get", calls={2, 4}, status=500))
    ask("GET", "/hardware")
    assert statuses(ask, 5) == [200, 500, 200, 500, 200]


def test_calls_are_picked_by_chance_the_same_each_time(ask_of: Callable[..., Send]) -> None:
    def run(seed: int) -> list[int]:
        return statuses(ask_of(Simulator(faults=[Fault(probability=0.3, seed=seed, status=500)])), 100)

    assert run(1) == run(1) != run(2)
    assert 15 < run(1).count(500) < 45


def test_a_fault_ends_after_some_times(simulator: Simulator, ask: Send) -> None:
    simulator.faults.add(Fault(status=500, times=2))
    assert statuses(ask, 4) == [500, 500, 200, 200]


def test_faults_can_be_taken_back(simulator: Simulator, ask: Send) -> None:
    fault = Fault(status=500)
    simulator.faults.add(fault)
    assert list(simulator.faults) == [fault]
    simulator.faults.clear()
    assert statuses(ask, 1) == [200]


def test_models_are_told_apart_however_they_are_addressed(simulator: Simulator, ask: Send) -> None:
    @simulator.model("other/file", official=False)
    def file(text: str) -> list[bytes]:
        return [b"x"]

    simulator.deployment("app", model="other/file")
    version = simulator.version("other/file")
    simulator.faults.add(Fault(model="other/*", status=418))
    body = {"input": {"text": "a"}}
    assert ask("POST", "/predictions", json={"version": version, **body}).status_code == 418
    assert ask("POST", "/predictions", json={"version": f"other/file:{version}", **body}).status_code == 418
    assert ask("POST", "/deployments/local/app/predictions", json=body).status_code == 418
    assert ask("POST", "/deployments/local/none/predictions", json=body).status_code == 404
    assert ask("GET", "/models/other/file").status_code == 418
    assert create(ask).status_code == 201
    assert ask("POST", "/predictions", content=b"{").status_code == 400
    assert statuses(ask, 1) == [200]
    simulator.faults.clear()
    created = ask(
        "POST", "/predictions", json={"version": version, **body}, headers={"Prefer": "wait"}
    ).json()
    simulator.faults.add(Fault(model="other/file", status=418))
    urls = created["urls"]
    for method, url in (
        ("GET", urls["get"]),
        ("GET", urls["stream"]),
        ("GET", created["output"][0]),
        ("POST", urls["cancel"]),
    ):
        assert ask(method, url).status_code == 418


def test_faults_are_read_from_text() -> None:
    assert Fault.parse("predictions.create") == Fault(operation="predictions.create")
    assert Fault.parse(" *.create , status=429, retry_after=2,calls=1+3") == Fault(
        operation="*.create", status=429, retry_after=2, calls={1, 3}
    )
    assert Fault.parse("webhooks,duplicate,probability=0.5,model=a/*") == Fault(
        operation="webhooks", duplicate=True, probability=0.5, model="a/*"
    )
    assert Fault.parse("*,cut=true,acted=false") == Fault(cut=True)
    assert Fault.parse("") == Fault()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("*,satus=500", "A fault has no 'satus'. It has: acted, body"),
        ("*,status=many", "'many' is no value for a fault's 'status'"),
        ("*,cut=perhaps", "'perhaps' is no value for a fault's 'cut'"),
        ("*,calls=1+x", "no value"),
    ],
)
def test_a_fault_that_cannot_be_read_says_why(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("+", r"\+").replace(".", r"\.")):
        Fault.parse(text)


@pytest.mark.parametrize(
    ("operation", "said"),
    [
        (
            "prediction.create",
            "called 'prediction.create'. Did you mean 'predictions.create'",
        ),
        ("*.creat", "Did you mean '*.create'"),
        ("predictoins.*", "Did you mean 'predictions.*'"),
        ("webhook", "Did you mean 'webhooks'?"),
        ("x", "There are: account.get, "),
    ],
)
def test_a_fault_that_could_never_strike_is_refused(operation: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        Fault(operation=operation)


def test_a_fault_is_written_as_it_is_read() -> None:
    fault = Fault(operation="*.create", status=500, acted=True, calls=[1, 2], probability=0.5)
    assert describe(fault) == "*.create,calls=1+2,probability=0.5,status=500,acted=true"
    assert describe(Fault.parse(describe(fault))) == describe(fault)


def test_faults_and_webhooks_do_not_lock_each_other_out(ask_of: Callable[..., Send]) -> None:
    import threading

    simulator = Simulator(
        webhook_sender=lambda request: 200, faults=[Fault(model="acme/*", delay=0)], clock=Clock()
    )

    @simulator.model("acme/count")
    def count(text: str) -> Iterator[int]:
        yield from range(20)

    ask = ask_of(simulator)

    def work() -> None:
        for _ in range(20):
            body = {"input": {"text": "a"}, "webhook": "https://example.test"}
            assert ask(
                "POST", "/models/acme/count/predictions", json=body, headers={"Prefer": "wait"}
            ).is_success

    threads = [threading.Thread(target=work) for _ in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(30)
        assert not each.is_alive()


def test_a_fault_may_be_for_each_operation_and_for_deliveries() -> None:
    assert list(NAMES) == sorted({"webhooks", *(operation.id for operation in OPERATIONS)})
