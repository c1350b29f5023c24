from __future__ import annotations

import json
import re
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest

from replicate_kit.simulator import Clock, Simulator, canceled, log, metric, progress, sleep

Send = Callable[..., httpx.Response]
CREATED_KEYS = [
    *(
        "id",
        "model",
        "version",
        "input",
        "logs",
        "output",
        "data_removed",
        "error",
        "status",
        "created_at",
        "urls",
    ),
]


def create(send: Send, model: str, input: dict[str, Any], **headers: str) -> dict[str, Any]:
    response = send("POST", f"/models/{model}/predictions", json={"input": input}, headers=headers)
    assert response.status_code in (201, 202), response.text
    return dict(response.json())


def finish(send: Send, prediction: dict[str, Any]) -> dict[str, Any]:
    """Wait until a prediction has ended, by holding another request for it."""
    for _ in range(1000):
        found = dict(send("GET", f"/predictions/{prediction['id']}").json())
        if found["status"] not in ("starting", "processing"):
            return found
        threading.Event().wait(0.005)
    raise AssertionError(found)


def test_a_create_answers_at_once_with_what_is_known(send: Send) -> None:
    response = send("POST", "/models/acme/shout/predictions", json={"input": {"times": 2, "text": "hey"}})
    body = response.json()
    assert response.status_code == 201
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert response.headers["location"] == body["urls"]["get"]
    assert list(body) == CREATED_KEYS
    assert re.fullmatch(r"[0-9a-hjkmnp-tv-z]{26}", body["id"])
    assert (body["model"], body["version"], body["status"]) == ("acme/shout", "hidden", "starting")
    assert list(body["input"].items()) == [("text", "hey"), ("times", 2)]
    assert (body["logs"], body["output"], body["error"], body["data_removed"]) == ("", None, None, False)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", body["created_at"])
    assert body["urls"]["cancel"] == f"https://api.replicate.test/v1/predictions/{body['id']}/cancel"
    assert body["urls"]["web"] == f"https://replicate.com/p/{body['id']}"


def test_a_finished_prediction_says_when_and_how_long(send: Send) -> None:
    found = finish(send, create(send, "acme/shout", {"text": "hey", "times": 3}))
    assert (found["status"], found["output"], found["source"]) == ("succeeded", "HEY!!!", "api")
    for key in ("created_at", "started_at", "completed_at"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", found[key])
    assert 0 <= found["metrics"]["predict_time"] <= found["metrics"]["total_time"]


def test_waiting_answers_processing_with_the_whole_output_as_recorded(send: Send) -> None:
    response = send(
        "POST", "/models/acme/shout/predictions", json={"input": {"text": "hey"}}, headers={"Prefer": "wait"}
    )
    body = response.json()
    assert response.status_code == 201
    assert response.headers["preference-applied"] == "wait"
    assert list(body) == CREATED_KEYS
    assert (body["status"], body["output"], body["logs"]) == ("processing", "HEY!", "")


def test_waiting_answers_succeeded_where_that_is_asked_for(drive: Any, ask_of: Callable[..., Send]) -> None:
    simulator = Simulator(wait_style="terminal")
    simulator.model("acme/echo")(echo)
    body = create(ask_of(simulator), "acme/echo", {"text": "hey"}, Prefer="wait=5")
    assert (body["status"], body["output"]) == ("succeeded", "hey")
    assert "metrics" in body


def test_waiting_ends_after_the_time_that_was_asked_for(simulator: Simulator, send: Send) -> None:
    release = threading.Event()

    @simulator.model("acme/stuck")
    def stuck() -> str:
        release.wait(10)
        return "at last"

    response = send(
        "POST", "/models/acme/stuck/predictions", json={"input": {}}, headers={"Prefer": "wait=1"}
    )
    assert response.status_code == 202
    assert response.headers["preference-applied"] == "wait=1"
    assert response.json()["status"] in ("starting", "processing")
    assert response.json()["output"] is None
    release.set()
    assert finish(send, response.json())["output"] == "at last"


@pytest.mark.parametrize("value", ["wait=0", "wait=61", "wait=abc", "wait=-1", "wait=1.5", "wait=²"])
def test_a_strange_wait_is_refused(ask: Send, simulator: Simulator, value: str) -> None:
    headers = {"Prefer": value.encode()}
    response = ask("POST", "/models/acme/shout/predictions", json={"input": {"text": "a"}}, headers=headers)
    assert response.status_code == 400
    assert "from 1 to 60" in response.json()["detail"]
    assert simulator.created == 0


def test_other_preferences_are_ignored(ask: Send) -> None:
    assert create(ask, "acme/shout", {"text": "a"}, Prefer="respond-async")["status"] == "starting"


@pytest.mark.parametrize("form", ["acme/shout", "acme/shout:{id}", "{id}"])
def test_versions_are_named_in_three_ways(simulator: Simulator, ask: Send, form: str) -> None:
    body = {"version": form.format(id=simulator.version("acme/shout")), "input": {"text": "a"}}
    assert ask("POST", "/predictions", json=body).json()["model"] == "acme/shout"


@pytest.mark.parametrize(
    "form", ["acme/none", "acme/plain", "acme/shout:{other}", "f" * 64, "acme/none:{id}", "x", ""]
)
def test_versions_that_cannot_be_run_are_refused(simulator: Simulator, ask: Send, form: str) -> None:
    simulator.model("acme/plain", official=False)(echo)
    names = {"id": simulator.version("acme/shout"), "other": simulator.version("acme/plain")}
    response = ask("POST", "/predictions", json={"version": form.format(**names), "input": {"text": "a"}})
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json() == {
        "title": "Invalid version or not permitted",
        "detail": "The specified version does not exist (or perhaps you don't have permission to use it?)",
        "status": 422,
    }


def test_community_models_need_a_version_and_say_which_ran(simulator: Simulator, ask: Send) -> None:
    simulator.model("acme/plain", official=False)(echo)
    refused = ask("POST", "/models/acme/plain/predictions", json={"input": {"text": "a"}})
    assert (refused.status_code, refused.json()) == (
        404,
        {"detail": "The requested resource could not be found.", "status": 404},
    )
    id = simulator.version("acme/plain")
    assert ask("POST", "/predictions", json={"version": id, "input": {"text": "a"}}).json()["version"] == id


def test_an_input_that_does_not_fit_costs_nothing(simulator: Simulator, ask: Send) -> None:
    response = ask("POST", "/models/acme/shout/predictions", json={"input": {"times": "many", "txet": 1}})
    assert response.status_code == 422
    assert response.content.endswith(b"}\n")
    assert response.json() == {
        "detail": "- input: text is required\n"
        "- input.times: Invalid type. Expected: integer, given: string\n",
        "status": 422,
        "title": "Input validation failed",
        "invalid_fields": [
            {"type": "required", "field": "input", "description": "text is required"},
            {
                "type": "invalid_type",
                "field": "input.times",
                "description": "Invalid type. Expected: integer, given: string",
            },
        ],
    }
    assert simulator.created == 0


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"{", 400, "Failed to parse request body as JSON"),
        (b"\xff", 400, "Failed to parse request body as JSON"),
        (b"[" * 100_000, 400, "Failed to parse request body as JSON"),
        (b'{"input": {"text": NaN}}', 400, "NaN is not JSON"),
        (b'{"input": {"text": "a", "times": 1e999}}', 400, "1e999 is not JSON"),
        (b'{"input": {"text": "a"}, "webhook": "http://["}', 422, "webhook"),
        (b"[]", 422, "Invalid type. Expected: object, given: array"),
        (b"{}", 422, "input is required"),
        (b'{"input": []}', 422, "Invalid type. Expected: object, given: array"),
        (b'{"input": {"text": "a"}, "signal": {}}', 422, "Additional property signal is not allowed"),
        (b'{"input": {"text": "a"}, "webhook": "nowhere"}', 422, "webhook"),
        (b'{"input": {"text": "a"}, "webhook_events_filter": ["end"]}', 422, "must be one of"),
    ],
)
def test_a_body_that_cannot_be_used_is_refused(ask: Send, body: bytes, status: int, said: str) -> None:
    response = ask("POST", "/models/acme/shout/predictions", content=body)
    assert response.status_code == status
    assert said in response.json()["detail"]


def test_a_model_that_raises_fails_with_its_words(simulator: Simulator, send: Send) -> None:
    @simulator.model("acme/broken")
    def broken() -> str:
        raise ValueError("NSFW content detected")

    created = create(send, "acme/broken", {}, Prefer="wait")
    assert (created["status"], created["error"], created["output"]) == (
        "failed",
        "NSFW content detected",
        None,
    )
    found = finish(send, created)
    assert found["error"] == "NSFW content detected"
    assert "ValueError: NSFW content detected" in found["logs"]


def test_an_error_without_words_is_named_by_its_type(simulator: Simulator, ask: Send) -> None:
    @simulator.model("acme/broken")
    def broken() -> str:
        raise KeyboardInterrupt

    assert create(ask, "acme/broken", {}, Prefer="wait")["error"] == "KeyboardInterrupt"


def test_an_output_that_is_not_json_is_the_models_failure(simulator: Simulator, ask: Send) -> None:
    @simulator.model("acme/strange")
    def strange() -> Any:
        return object()

    assert "neither JSON nor a file" in create(ask, "acme/strange", {}, Prefer="wait")["error"]


def test_iterator_outputs_grow(simulator: Simulator, send: Send) -> None:
    steps = [threading.Event() for _ in range(3)]
    made = [threading.Event() for _ in range(3)]

    @simulator.model("acme/count")
    def count() -> Iterator[int]:
        for number in range(3):
            made[number].set()
            steps[number].wait(10)
            yield number

    created = create(send, "acme/count", {})
    assert made[0].wait(10)
    assert send("GET", f"/predictions/{created['id']}").json()["output"] is None
    steps[0].set()
    assert made[1].wait(10)
    running = send("GET", f"/predictions/{created['id']}").json()
    assert (running["status"], running["output"]) == ("processing", [0])
    steps[1].set()
    steps[2].set()
    assert finish(send, created)["output"] == [0, 1, 2]


def test_asynchronous_functions_and_generators_are_models(simulator: Simulator, send: Send) -> None:
    @simulator.model("acme/later")
    async def later(text: str) -> str:
        return text[::-1]

    @simulator.model("acme/letters")
    async def letters(text: str) -> AsyncIterator[str]:
        for letter in text:
            yield letter

    assert create(send, "acme/later", {"text": "abc"}, Prefer="wait")["output"] == "cba"
    assert create(send, "acme/letters", {"text": "abc"}, Prefer="wait")["output"] == ["a", "b", "c"]


def test_a_generator_that_gives_nothing_has_an_empty_output(simulator: Simulator, ask: Send) -> None:
    @simulator.model("acme/silent")
    def silent() -> Iterator[str]:
        yield from ()

    assert create(ask, "acme/silent", {}, Prefer="wait")["output"] == []


def test_logs_and_metrics_come_from_the_function(simulator: Simulator, ask: Send) -> None:
    @simulator.model("acme/chatty")
    def chatty() -> str:
        log("Loading", "weights", sep=" … ")
        metric("image_count", 2)
        for _ in progress(range(2)):
            pass
        return "ok"

    found = finish(ask, create(ask, "acme/chatty", {}))
    lines = found["logs"].splitlines()
    assert lines[0] == "Loading … weights"
    assert re.fullmatch(r"  0%\|          \| 0/2 \[00:00<\?, \?it/s\]", lines[1])
    assert re.fullmatch(r"100%\|█{10}\| 2/2 \[00:00<00:00, [\d.]+it/s\]", lines[-1])
    assert found["metrics"]["image_count"] == 2


def test_a_running_prediction_can_be_canceled(simulator: Simulator, send: Send) -> None:
    started, seen = threading.Event(), threading.Event()

    @simulator.model("acme/patient")
    def patient() -> str:
        started.set()
        try:
            sleep(60)
        finally:
            if canceled():
                seen.set()
        return "never"

    created = create(send, "acme/patient", {})
    assert started.wait(10)
    response = send("POST", f"/predictions/{created['id']}/cancel")
    body = response.json()
    assert response.status_code == 200
    assert list(body) == sorted(body)
    assert (body["status"], body["output"], body["logs"], body["error"]) == ("canceled", None, None, None)
    assert body["webhook_completed"] is None
    assert set(body["metrics"]) == {"predict_time", "total_time"}
    assert seen.wait(10)
    assert finish(send, created)["status"] == "canceled"


def test_asynchronous_work_is_canceled_too(simulator: Simulator, ask: Send) -> None:
    import asyncio

    started, seen = threading.Event(), threading.Event()

    @simulator.model("acme/patient")
    async def patient() -> str:
        started.set()
        try:
            await asyncio.sleep(60)
        finally:
            seen.set()
        return "never"

    created = create(ask, "acme/patient", {})
    assert started.wait(10)
    ask("POST", f"/predictions/{created['id']}/cancel")
    assert seen.wait(10)


def test_a_prediction_that_is_over_is_not_canceled(ask: Send) -> None:
    created = create(ask, "acme/shout", {"text": "a"}, Prefer="wait")
    response = ask("POST", f"/predictions/{created['id']}/cancel")
    assert (response.status_code, response.json()["status"]) == (200, "succeeded")


def test_predictions_queue_for_workers(simulator: Simulator, ask: Send) -> None:
    release, running, most = threading.Event(), [], []

    @simulator.model("acme/queue", workers=2)
    def queue(number: int) -> int:
        running.append(number)
        most.append(len(running))
        release.wait(10)
        running.remove(number)
        return number

    created = [create(ask, "acme/queue", {"number": number}) for number in range(6)]
    statuses = [ask("GET", f"/predictions/{each['id']}").json()["status"] for each in created]
    assert statuses.count("starting") >= 4
    release.set()
    assert [finish(ask, each)["output"] for each in created] == list(range(6))
    assert max(most) <= 2


def test_a_cold_start_takes_the_clocks_time(ask_of: Callable[..., Send]) -> None:
    clock = Clock(rate=0)
    simulator = Simulator(clock=clock)
    simulator.model("acme/cold", cold_start=120)(echo)
    ask = ask_of(simulator)
    created = create(ask, "acme/cold", {"text": "a"})
    for _ in range(2):
        assert ask("GET", f"/predictions/{created['id']}").json()["status"] == "starting"
        clock.advance(60)
    found = finish(ask, created)
    assert found["metrics"]["total_time"] == pytest.approx(120, abs=1)
    assert found["metrics"]["predict_time"] < 1


@pytest.mark.parametrize(
    ("value", "seconds"), [("5", 5), ("90s", 90), ("2m", 120), ("1h30m45s", 5445), ("1h", 3600), ("1m30", 90)]
)
def test_a_deadline_counts_from_the_creation(
    simulator: Simulator, ask: Send, value: str, seconds: int
) -> None:
    created = create(ask, "acme/shout", {"text": "a"}, **{"Cancel-After": value, "Prefer": "wait"})
    from replicate_kit.simulator._state.clock import parse_time

    lasts = parse_time(created["deadline"]) - parse_time(finish(ask, created)["created_at"])
    assert lasts == seconds * 1_000_000


@pytest.mark.parametrize("value", ["4", "4s", "", "soon", "-5", "1d", "5.5", "s"])
def test_a_strange_deadline_is_refused(ask: Send, value: str) -> None:
    response = ask(
        "POST",
        "/models/acme/shout/predictions",
        json={"input": {"text": "a"}},
        headers={"Cancel-After": value},
    )
    assert response.status_code == 400
    assert "Cancel-After" in response.json()["detail"]


def test_a_deadline_ends_what_runs_and_what_has_not_begun(ask_of: Callable[..., Send]) -> None:
    clock, started = Clock(rate=0), threading.Event()
    simulator = Simulator(clock=clock)
    ask = ask_of(simulator)

    @simulator.model("acme/patient", workers=1)
    def patient() -> str:
        started.set()
        sleep(3600)
        return "never"

    runs = create(ask, "acme/patient", {}, **{"Cancel-After": "1m"})
    assert started.wait(10)
    waits = create(ask, "acme/patient", {}, **{"Cancel-After": "30s"})
    clock.advance(31)
    aborted = finish(ask, waits)
    assert aborted["status"] == "aborted"
    assert "started_at" not in aborted
    assert set(aborted["metrics"]) == {"total_time"}
    assert ask("GET", f"/predictions/{runs['id']}").json()["status"] == "processing"
    clock.advance(31)
    assert finish(ask, runs)["status"] == "canceled"


def test_a_deadline_wakes_whoever_waits(drive: Any, ask_of: Callable[..., Send]) -> None:
    simulator = Simulator(clock=Clock(rate=100))
    simulator.model("acme/patient")(patient_for_an_hour)
    created = create(ask_of(simulator), "acme/patient", {}, **{"Cancel-After": "10s", "Prefer": "wait=30"})
    assert created["status"] == "canceled"


def test_a_model_may_run_only_so_long(ask_of: Callable[..., Send]) -> None:
    clock, started = Clock(rate=0), threading.Event()
    simulator = Simulator(clock=clock, run_limit=60)
    ask = ask_of(simulator)

    @simulator.model("acme/patient")
    def patient() -> str:
        started.set()
        sleep(3600)
        return "never"

    created = create(ask, "acme/patient", {})
    assert started.wait(10)
    clock.advance(61)
    found = ask("GET", f"/predictions/{created['id']}").json()
    assert found["status"] == "failed"
    assert "timed out" in found["error"]


def test_data_is_removed_an_hour_after_the_end(ask_of: Callable[..., Send]) -> None:
    clock = Clock()
    simulator = Simulator(clock=clock)
    ask = ask_of(simulator)
    simulator.model("acme/file")(file_of)
    created = create(ask, "acme/file", {"text": "hello"}, Prefer="wait")
    assert ask("GET", created["output"]).content == b"hello"
    clock.advance(3601)
    assert ask("GET", created["output"]).status_code == 404
    found = ask("GET", f"/predictions/{created['id']}").json()
    assert (found["data_removed"], found["output"], found["input"], found["logs"]) == (True, None, {}, "")
    assert found["status"] == "succeeded"


def test_a_prediction_that_is_not_there_is_not_found(ask: Send) -> None:
    for method, path in (("GET", "/predictions/nope"), ("POST", "/predictions/nope/cancel")):
        response = ask(method, path)
        assert response.status_code == 404
        assert response.json() == {"detail": "The requested resource could not be found.", "status": 404}


def test_listing_goes_page_by_page_from_the_newest(simulator: Simulator, ask: Send) -> None:
    created = [create(ask, "acme/shout", {"text": str(number)})["id"] for number in range(205)]
    pages, url = [], simulator.base_url + "/predictions"
    while url:
        body = ask("GET", url).json()
        assert list(body) == ["next", "previous", "results"]
        pages.append([each["id"] for each in body["results"]])
        url = body["next"]
    assert [len(page) for page in pages] == [100, 100, 5]
    assert [id for page in pages for id in page] == created[::-1]
    back = ask("GET", body["previous"]).json()
    assert [each["id"] for each in back["results"]] == pages[1]
    first = ask("GET", back["previous"]).json()
    assert [each["id"] for each in first["results"]] == pages[0]
    assert first["previous"] is None


def test_cursors_are_absolute_links_that_look_like_the_real_ones(ask: Send) -> None:
    import base64
    from urllib.parse import parse_qs, urlsplit

    for number in range(101):
        create(ask, "acme/shout", {"text": str(number)})
    link = ask("GET", "/predictions").json()["next"]
    assert link.startswith("https://api.replicate.test/v1/predictions?cursor=")
    cursor = base64.b64decode(parse_qs(urlsplit(link).query)["cursor"][0]).decode()
    assert re.fullmatch(r"p=\d{4}-\d\d-\d\d\+\d\d%3A\d\d%3A\d\d\.\d{6}%2B00%3A00", cursor)


@pytest.mark.parametrize("cursor", ["nonsense", "cD0=", "cD14", "%00", "cD05OTk5LTEyLTMxKzk5"])
def test_a_cursor_that_is_none_is_refused(ask: Send, cursor: str) -> None:
    response = ask("GET", f"/predictions?cursor={cursor}")
    assert (response.status_code, response.json()["detail"]) == (404, "Invalid cursor")


def test_listing_can_be_limited_to_a_time(simulator: Simulator, ask: Send) -> None:
    created = [create(ask, "acme/shout", {"text": str(number)}) for number in range(3)]
    times = [ask("GET", f"/predictions/{each['id']}").json()["created_at"] for each in created]

    def listed(**query: str) -> list[str]:
        return [each["input"]["text"] for each in ask("GET", "/predictions", params=query).json()["results"]]

    assert listed(created_after=times[1]) == ["2", "1"]
    assert listed(created_before=times[1]) == ["0"]
    assert listed(created_after=times[1], created_before=times[2]) == ["1"]
    assert listed(source="web") == []
    assert ask("GET", "/predictions?created_after=yesterday").status_code == 400
    assert ask("GET", "/predictions?source=api").status_code == 422


def test_predictions_from_many_threads_are_all_there(simulator: Simulator, ask: Send) -> None:
    outputs: list[str] = []

    def work(number: int) -> None:
        for each in range(20):
            outputs.append(create(ask, "acme/shout", {"text": f"{number}-{each}"}, Prefer="wait")["output"])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(outputs)) == 160
    assert simulator.created == 160
    assert simulator.calls["models.predictions.create"] == 160


def test_surplus_predictions_are_forgotten(ask_of: Callable[..., Send]) -> None:
    simulator = Simulator(keep=10)
    simulator.model("acme/echo")(echo)
    ask = ask_of(simulator)
    created = [create(ask, "acme/echo", {"text": str(number)}, Prefer="wait") for number in range(50)]
    assert ask("GET", f"/predictions/{created[0]['id']}").status_code == 404
    kept = len(ask("GET", "/predictions").json()["results"])
    assert 10 <= kept <= 12


def test_the_same_seed_makes_the_same_ids(ask_of: Callable[..., Send]) -> None:
    def first_id() -> str:
        simulator = Simulator(seed=7)
        simulator.model("acme/echo")(echo)
        return str(create(ask_of(simulator), "acme/echo", {"text": "a"}, Prefer="wait")["id"])

    assert first_id() == first_id()


def test_outputs_are_json_whatever_the_function_gives(simulator: Simulator, ask: Send) -> None:
    import dataclasses
    import datetime
    import decimal
    import enum

    import numpy

    class Color(enum.Enum):
        RED = "red"

    @dataclasses.dataclass
    class Thing:
        color: Color
        sizes: tuple[float, ...]

    @simulator.model("acme/all")
    def everything() -> Any:
        return {
            "thing": Thing(Color.RED, (1.5, float("nan"))),
            "when": datetime.date(2026, 1, 2),
            3: {numpy.int64(7)},
            "price": decimal.Decimal("0.5"),
        }

    output = create(ask, "acme/all", {}, Prefer="wait")["output"]
    assert output == {
        "thing": {"color": "red", "sizes": [1.5, None]},
        "when": "2026-01-02",
        "3": [7],
        "price": 0.5,
    }
    json.dumps(output, allow_nan=False)


def test_half_characters_come_through_escaped(simulator: Simulator, ask: Send) -> None:
    body = b'{"input": {"text": "\\ud83d"}}'
    response = ask("POST", "/models/acme/shout/predictions", content=body, headers={"Prefer": "wait"})
    assert response.json()["output"] == "\ud83d!"
    assert b'"\\ud83d!"' in response.content


def echo(text: str) -> str:
    return text


def file_of(text: str) -> bytes:
    return text.encode()


def patient_for_an_hour() -> str:
    sleep(3600)
    return "never"
