"""Everything that the documentation of `replicate` 1.x shows, and what came of it, as JSON on standard output.

    python side_by_side.py official     with the official package
    python side_by_side.py stand-in     with the stand-in

It finds the API, the token and the ids of the versions in its environment.
"""

from __future__ import annotations

import asyncio
import inspect
import io
import json
import os
import re
import sys
import threading
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from loopback import API, FILES, resolve_here

if sys.argv[1] == "stand-in":
    from replicate_kit.compat import install_as_replicate

    install_as_replicate()

import httpx
import replicate
from replicate.client import Client
from replicate.exceptions import ModelError, ReplicateError, ReplicateException
from replicate.helpers import FileOutput, base64_encode_file, transform_output
from replicate.identifier import ModelVersionIdentifier
from replicate.pagination import Page
from replicate.prediction import Prediction
from replicate.stream import ServerSentEvent
from replicate.webhook import Webhooks, WebhookSigningSecret

ORIGIN = os.environ["REPLICATE_BASE_URL"]
VERSIONS = json.loads(os.environ["INTEROP_VERSIONS"])
EXAMPLES: dict[str, Callable[[], Any]] = {}

SD = f"stability-ai/stable-diffusion:{VERSIONS['stability-ai/stable-diffusion']}"
LLAMA = "meta/meta-llama-3-70b-instruct"
SMALL = {"width": 16, "height": 16}


def example(function: Callable[[], Any]) -> Callable[[], Any]:
    """Take up a function whose result is to be the same on both sides."""
    EXAMPLES[function.__name__] = function
    return function


# What the README shows.


@example
def run_a_model() -> Any:
    return replicate.run(SD, input={"prompt": "a 19th century portrait of a wombat gentleman", **SMALL})


@example
async def run_several_at_once() -> Any:
    model_version = f"stability-ai/sdxl:{VERSIONS['stability-ai/sdxl']}"
    prompts = [f"A chariot pulled by a team of {count} rainbow unicorns" for count in ("two", "four")]
    async with asyncio.TaskGroup() as tg:
        tasks = [
            tg.create_task(replicate.async_run(model_version, input={"prompt": prompt, **SMALL}))
            for prompt in prompts
        ]
    return await asyncio.gather(*tasks)


@example
def run_with_a_file() -> Any:
    with open("mystery.jpg", "rb") as image:
        return replicate.run(
            f"andreasjansson/blip-2:{VERSIONS['andreasjansson/blip-2']}", input={"image": image}
        )


@example
def run_with_a_file_in_text_mode() -> Any:
    with open("mystery.jpg") as image:
        return replicate.run(
            f"andreasjansson/blip-2:{VERSIONS['andreasjansson/blip-2']}", input={"image": image}
        )


@example
def fail() -> Any:
    try:
        replicate.run("stability-ai/stable-diffusion-3", {"prompt": "An astronaut riding a rainbow unicorn"})
    except ModelError as e:
        return [
            "(some known issue)" in e.prediction.logs,
            "Failed prediction: " + e.prediction.id,
            str(e),
            str(e) == e.prediction.error,
            isinstance(e, ReplicateException),
            repr(e),
        ]


@example
def stream() -> Any:
    text = ""
    for event in replicate.stream(LLAMA, input={"prompt": "Please write a haiku about llamas.", "seed": 1}):
        text += str(event)
    return text


@example
def stream_events() -> Any:
    return [
        (event.event, event.event.value, event.data, event.retry, str(event), type(event).__name__)
        for event in replicate.stream(LLAMA, input={"prompt": "llamas", "lines": 1, "seed": 1})
    ]


@example
def stream_a_prediction() -> Any:
    prediction = replicate.predictions.create(
        model=LLAMA, input={"prompt": "Please write a haiku about llamas.", "seed": 1}, stream=True
    )
    return "".join(str(event) for event in prediction.stream())


@example
def run_in_the_background() -> Any:
    model = replicate.models.get("kvfrans/clipdraw")
    version = model.versions.get(VERSIONS["kvfrans/clipdraw"])
    prediction = replicate.predictions.create(
        version=version, input={"prompt": "Watercolor painting of an underwater submarine"}
    )
    seen = [type(prediction), prediction.status, dict(prediction)["status"], list(dict(prediction))]
    while prediction.status == "starting":
        prediction.reload()
    seen += [prediction.status, prediction.progress]
    prediction.wait()
    return [*seen, prediction.status, prediction.output, prediction.logs, prediction.progress]


@example
def get_a_webhook() -> Any:
    model = replicate.models.get("ai-forever/kandinsky-2.2")
    version = model.versions.get(VERSIONS["ai-forever/kandinsky-2.2"])
    return replicate.predictions.create(
        version=version,
        input={"prompt": "Watercolor painting of an underwater submarine", **SMALL},
        webhook="https://example.invalid/your-webhook",
        webhook_events_filter=["completed"],
    )


@example
def compose_models() -> Any:
    laionide = replicate.models.get("afiaka87/laionide-v4").versions.get(VERSIONS["afiaka87/laionide-v4"])
    swinir = replicate.models.get("jingyunliang/swinir").versions.get(VERSIONS["jingyunliang/swinir"])
    image = laionide.predict(prompt="avocado armchair")
    return swinir.predict(image=image[0])


@example
def output_of_a_running_model() -> Any:
    iterator = replicate.run(
        f"pixray/text2image:{VERSIONS['pixray/text2image']}", input={"prompts": "san francisco sunset"}
    )
    return [inspect.isgenerator(iterator), list(iterator)]


@example
def cancel() -> Any:
    version = replicate.models.get("kvfrans/clipdraw").versions.get(VERSIONS["kvfrans/clipdraw"])
    prediction = replicate.predictions.create(version=version, input={"prompt": "x", "seconds": 30})
    before = prediction.status
    prediction.cancel()
    prediction.reload()
    return [before, prediction.status, prediction.output, prediction.wait()]


@example
def list_predictions() -> Any:
    page = replicate.predictions.list()
    return [
        type(page),
        isinstance(page, Page),
        len(page) > 3,
        page.next,
        page.previous,
        page[0].model,
        bool(page),
    ]


@example
def load_an_output() -> Any:
    out = replicate.run(SD, input={"prompt": "wavy colorful abstract patterns, oceans", **SMALL})
    urllib.request.urlretrieve(str(out[0]), "out.png")
    return [
        Path("out.png").read_bytes()[:8],
        out[0].read()[:8],
        b"".join(out[0])[:8],
        out[0].url == str(out[0]),
    ]


@example
def list_models() -> Any:
    models: list[Any] = []
    for page in replicate.paginate(replicate.models.list):
        models.extend(page.results)
        if len(models) > 100:
            break
    page = replicate.models.list()
    walked = []
    while page:
        walked.extend(page.results)
        page = replicate.models.list(page.next) if page.next else None
    return [[each.id for each in models], [each.name for each in walked]]


@example
def list_collections() -> Any:
    collections = [
        collection for page in replicate.paginate(replicate.collections.list) for collection in page
    ]
    found = replicate.collections.get("text-to-image")
    return [
        [(each.slug, each.description, each.models) for each in collections],
        [each.id for each in found.models],
        [each.name for each in found],
        len(found),
        found[0].owner,
    ]


@example
def create_a_model() -> Any:
    return replicate.models.create(
        owner="local", name="my-model", visibility="public", hardware="gpu-a40-large"
    )


@example
def list_hardware() -> Any:
    return [hw.sku for hw in replicate.hardware.list()]


@example
def fine_tune() -> Any:
    replicate.models.create("local", "model-name", visibility="private", hardware="cpu", description="mine")
    training = replicate.trainings.create(
        model="stability-ai/sdxl",
        version=VERSIONS["stability-ai/sdxl"],
        input={"input_images": "https://my-domain/training-images.zip", "token_string": "TOK"},
        destination="local/model-name",
    )
    first = training.dict()
    while training.status not in ("succeeded", "failed"):
        training.reload()
    return [first, training.status, training.destination, sorted(training.output)]


@example
def customize_the_client() -> Any:
    headers = {"User-Agent": "my-app/1.0"}
    client = Client(api_token="r8_other", headers=headers)
    return client.accounts.current()


# What else 1.0.7 offers.


@example
def run_by_name() -> Any:
    return replicate.run("demo/painter", {"prompt": "x", **SMALL})


@example
def run_with_plain_urls() -> Any:
    return replicate.run("demo/painter", {"prompt": "x", **SMALL}, use_file_output=False)


@example
def run_a_model_object() -> Any:
    return replicate.run(replicate.models.get(LLAMA), {"prompt": "x", "seed": 3})


@example
def run_a_version_object() -> Any:
    version = replicate.models.get("acme/poet").latest_version
    return list(replicate.run(version, {"prompt": "x", "seed": 3, "lines": 1}))


@example
def run_a_version_id_only_by_create() -> Any:
    prediction = replicate.predictions.create(VERSIONS["acme/poet"], {"prompt": "x", "seed": 3, "lines": 1})
    prediction.wait()
    return prediction.output


@example
def run_without_holding() -> Any:
    return replicate.run("acme/slow", {"prompt": "x", "seconds": 0.1}, wait=False)


@example
def run_holding_for_some_seconds() -> Any:
    return replicate.run("acme/slow", {"prompt": "x", "seconds": 1.3}, wait=1)


@example
def run_pieces_without_holding() -> Any:
    pieces = replicate.run(f"pixray/text2image:{VERSIONS['pixray/text2image']}", {"prompts": "x"}, wait=False)
    return [next(pieces), *pieces]


@example
def run_files_piece_by_piece() -> Any:
    ref = f"acme/pictures:{VERSIONS['acme/pictures']}"
    return [list(replicate.run(ref, {"prompt": "x"})), list(replicate.run(ref, {"prompt": "x"}, wait=False))]


@example
def run_files_piece_by_piece_with_plain_urls() -> Any:
    ref = f"acme/pictures:{VERSIONS['acme/pictures']}"
    return list(replicate.run(ref, {"prompt": "x"}, use_file_output=False))


@example
def run_a_model_that_gives_links() -> Any:
    output = replicate.run("acme/links", {"prompt": "x"})
    return [output, type(output["text"]), output["n"]]


@example
def read_a_percent_encoded_file() -> Any:
    return replicate.run("acme/links", {"prompt": "x"})["data"].read()


@example
def run_a_model_that_gives_nothing() -> Any:
    return replicate.run("acme/nothing", {"prompt": "x"})


@example
async def async_run_of_pieces() -> Any:
    ref = f"pixray/text2image:{VERSIONS['pixray/text2image']}"
    pieces = await replicate.async_run(ref, {"prompts": "x"})
    polled = await replicate.async_run(ref, {"prompts": "x"}, wait=False)
    return [inspect.isasyncgen(pieces), [each async for each in pieces], [each async for each in polled]]


@example
async def async_run_of_files() -> Any:
    (out,) = await replicate.async_run("demo/painter", {"prompt": "x", **SMALL})
    chunks = [chunk async for chunk in out]
    return [out, (await out.aread())[:4], b"".join(chunks)[:4]]


@example
async def async_stream() -> Any:
    events = [
        str(event)
        async for event in await replicate.async_stream(LLAMA, input={"prompt": "x", "seed": 1, "lines": 1})
    ]
    prediction = await replicate.predictions.async_create(
        model=LLAMA, input={"prompt": "x", "seed": 1, "lines": 1}, stream=True
    )
    return [events, [str(event) async for event in prediction.async_stream()]]


@example
async def async_prediction() -> Any:
    prediction = await replicate.predictions.async_create(
        model="acme/slow", input={"prompt": "x", "seconds": 0.1}
    )
    await prediction.async_wait()
    again = await replicate.predictions.async_get(prediction.id)
    page = await replicate.predictions.async_list()
    return [prediction.output, again.output, again.id == prediction.id, page[0].id == prediction.id]


@example
async def async_cancel() -> Any:
    prediction = await replicate.predictions.async_create(
        model="acme/slow", input={"prompt": "x", "seconds": 30}
    )
    await prediction.async_cancel()
    await prediction.async_reload()
    return prediction.status


@example
async def async_pages() -> Any:
    pages = [page async for page in replicate.async_paginate(replicate.models.async_list)]
    return [[len(page) for page in pages], [model.id for page in pages for model in page]]


@example
async def async_everything_else() -> Any:
    model = await replicate.models.async_get("acme/poet")
    return [
        model.id,
        (await model.versions.async_list())[0].id,
        (await replicate.models.async_search("llama"))[0].id,
        (await replicate.collections.async_get("text-to-image")).slug,
        [each.sku for each in await replicate.hardware.async_list()],
        (await replicate.default_client.accounts.async_current()).username,
        (await replicate.webhooks.default.async_secret()).key.startswith("whsec_"),
        (await replicate.deployments.async_get("local/upscaler")).id,
    ]


@example
def output_iterator() -> Any:
    prediction = replicate.predictions.create(VERSIONS["pixray/text2image"], {"prompts": "x"})
    return list(prediction.output_iterator())


@example
def output_iterator_of_what_has_ended() -> Any:
    prediction = replicate.predictions.create(VERSIONS["pixray/text2image"], {"prompts": "x"})
    prediction.wait()
    return list(prediction.output_iterator())


@example
def create_and_hold() -> Any:
    prediction = replicate.predictions.create(
        version=VERSIONS["acme/poet"], input={"prompt": "x", "lines": 1, "seed": 3}, wait=True
    )
    return [prediction.status, prediction.output]


@example
def create_by_model_and_hold() -> Any:
    prediction = replicate.predictions.create(
        model="acme/slow", input={"prompt": "x", "seconds": 0.1}, wait=True
    )
    return prediction.status


@example
def create_in_all_forms() -> Any:
    given = {"prompt": "x", "seconds": 0.01}
    made = [
        replicate.predictions.create(model="acme/slow", input=given),
        replicate.predictions.create(model=("acme", "slow"), input=given),
        replicate.predictions.create(model=replicate.models.get("acme/slow"), input=given),
        replicate.models.predictions.create("acme/slow", given),
        replicate.models.predictions.create(("acme", "slow"), input=given),
        replicate.predictions.create(deployment="local/upscaler", input=given),
        replicate.deployments.predictions.create("local/upscaler", input=given),
        replicate.deployments.predictions.create(("local", "upscaler"), given, wait=5),
        replicate.deployments.get("local/upscaler").predictions.create(input=given),
    ]
    for prediction in made:
        prediction.wait()
    return made


@example
def create_with_unknown_parameters() -> Any:
    return replicate.predictions.create(
        model="acme/slow", input={"prompt": "x", "seconds": 0}, webook="x"
    ).status


@example
def records() -> Any:
    prediction = replicate.predictions.create(model="acme/slow", input={"prompt": "x", "seconds": 0})
    prediction.wait()
    copied = prediction.copy(update={"status": "failed"})
    copied.error = "by hand"
    return [
        repr(prediction),
        str(prediction),
        prediction.dict(),
        json.loads(prediction.json()),
        prediction == replicate.predictions.get(prediction.id),
        type(prediction.created_at),
        [copied.status, copied.error, prediction.status],
        [name for name, _ in prediction],
        prediction.dict(include={"id", "status"}),
        Prediction(**prediction.dict()) == prediction,
    ]


@example
def records_of_models() -> Any:
    model = replicate.models.get("acme", "slow")
    same = replicate.models.get(owner="acme", name="slow")
    return [
        model.dict(),
        model.latest_version.id == same.latest_version.id,
        type(model.latest_version.created_at),
        [version.id for version in model.versions.list()],
        model.versions.get(model.latest_version.id).cog_version,
        model.reload(),
        model.id,
        model.default_example,
    ]


@example
def after_a_reload_nested_records_are_records() -> Any:
    model = replicate.models.get("acme", "slow")
    model.reload()
    return type(model.latest_version)


@example
def deprecated_names() -> Any:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        seen = [
            replicate.hardware.list()[0].id,
            replicate.collections.get("text-to-image").id,
            replicate.models.get("acme/slow").username,
            replicate.deployments.get("local/upscaler").username,
        ]
    return [seen, [each.category for each in caught if each.category is DeprecationWarning]]


@example
def search() -> Any:
    page = replicate.models.search("llama")
    return [type(page), [model.id for model in page]]


@example
def deployments() -> Any:
    made = replicate.deployments.create(
        name="local/another",
        model="acme/slow",
        version=replicate.models.get("acme/slow").latest_version.id,
        hardware="cpu",
        min_instances=0,
        max_instances=1,
    )
    changed = replicate.deployments.update("local", "another", max_instances=2)
    listed = [each.id for each in replicate.deployments.list()]
    release = changed.current_release
    return [
        made,
        release.number,
        release.configuration.max_instances,
        release.created_by.username,
        listed,
    ]


@example
def files() -> Any:
    Path("notes.txt").write_text("hello")
    by_path = replicate.files.create("notes.txt")
    by_handle = replicate.files.create(io.BytesIO(b"abc"), filename="abc.bin", metadata={"a": 1})
    with open("mystery.jpg", "rb") as handle:
        by_name = replicate.files.create(handle)
    fetched = replicate.files.get(by_path.id)
    listed = sorted(each.name for each in replicate.files.list())
    return [by_path, by_handle, by_name, fetched == by_path, listed[-1], replicate.files.delete(by_name.id)]


@example
def files_as_inputs() -> Any:
    ref = f"andreasjansson/blip-2:{VERSIONS['andreasjansson/blip-2']}"
    inline = replicate.predictions.create(
        VERSIONS["andreasjansson/blip-2"], {"image": Path("mystery.jpg")}, file_encoding_strategy="base64"
    )
    return [replicate.run(ref, {"image": Path("mystery.jpg")}), inline.input]


@example
def chain_models() -> Any:
    (image,) = replicate.run("demo/painter", {"prompt": "x", **SMALL})
    return replicate.run(f"jingyunliang/swinir:{VERSIONS['jingyunliang/swinir']}", {"image": image})


@example
def trainings() -> Any:
    ref = f"stability-ai/sdxl:{VERSIONS['stability-ai/sdxl']}"
    given = {"input_images": "https://my-domain/x.zip"}
    made = [
        replicate.trainings.create(ref, {**given, "seconds": 5}, "local/model-name"),
        replicate.trainings.create(version=ref, input=given, destination="local/model-name"),
        replicate.trainings.create(
            model=("stability-ai", "sdxl"),
            version=replicate.models.get("stability-ai/sdxl").versions.get(VERSIONS["stability-ai/sdxl"]),
            input=given,
            destination=("local", "model-name"),
        ),
    ]
    made[0].cancel()
    listed = [each.id for each in replicate.trainings.list()]
    return [[each.version for each in made], made[0].status, all(each.id in listed for each in made)]


@example
async def async_training_by_shorthand() -> Any:
    ref = f"stability-ai/sdxl:{VERSIONS['stability-ai/sdxl']}"
    training = await replicate.trainings.async_create(
        version=ref, input={"input_images": "https://my-domain/x.zip"}, destination="local/model-name"
    )
    return type(training)


@example
def webhooks() -> Any:
    secret = replicate.webhooks.default.secret()
    vector = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "Webhook-Timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    key = WebhookSigningSecret(key="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = '{"test": 2432232314}'
    request = httpx.Request("POST", "https://example.com", headers=vector, content=body)
    kinds = []
    for wrong in (
        {"headers": {}, "body": body, "secret": key},
        {"headers": vector, "body": "", "secret": key},
        {"headers": vector, "body": "{}", "secret": key},
        {"headers": vector, "body": body, "secret": key, "tolerance": 300},
        {"headers": vector, "body": body, "secret": WebhookSigningSecret(key="nothing")},
    ):
        try:
            Webhooks.validate(**wrong)
        except ValueError as error:
            kinds.append(type(error).__name__)
    return [
        secret.key.startswith("whsec_"),
        replicate.webhooks.validate(headers=vector, body=body, secret=key),
        Webhooks.validate(request=request, secret=key),
        kinds,
    ]


@example
def errors_of_the_api() -> Any:
    seen = []
    for ask in (
        lambda: replicate.models.get("nobody/nothing"),
        lambda: replicate.predictions.get("missing"),
        lambda: replicate.run("acme/slow", {"unknown": 1, "seconds": "x"}),
        lambda: replicate.run("nobody/nothing", {}),
        lambda: replicate.predictions.create(version="0" * 64, input={}),
        lambda: Client(api_token="r8_x", headers={"Authorization": ""}).models.list(),
    ):
        try:
            ask()
        except ReplicateError as error:
            seen.append([str(error), error.status, error.title, error.detail, error.to_dict(), repr(error)])
    return seen


@example
def errors_of_the_caller() -> Any:
    seen = []
    for ask in (
        lambda: replicate.run("not a reference", {}),
        lambda: replicate.predictions.list(None),
        lambda: replicate.predictions.create(input={"prompt": "x"}),
        lambda: replicate.predictions.create(model="a/b", version="c", input={}),
        lambda: replicate.models.get(),
        lambda: replicate.models.get("a", name="b"),
        lambda: replicate.models.predictions.create("a/b:c", {}),
        lambda: replicate.trainings.create(model="a/b", input={}, destination="c/d"),
        lambda: replicate.trainings.create("a/b:c", {}),
        lambda: ModelVersionIdentifier.parse("nonsense"),
        lambda: replicate.files.create(42),
    ):
        try:
            seen.append(ask())
        except ValueError as error:
            seen.append(isinstance(error, ValueError))
    return seen


@example
def an_error_in_a_stream() -> Any:
    text = ""
    try:
        for event in replicate.stream("acme/babble", input={"prompt": "x"}):
            text += str(event)
    except RuntimeError as error:
        return [text, type(error), str(error)]


@example
def a_model_without_a_stream() -> Any:
    prediction = replicate.predictions.create(model="acme/slow", input={"prompt": "x", "seconds": 0})
    prediction.urls.pop("stream", None)
    try:
        list(prediction.stream())
    except ReplicateError as error:
        return str(error)


@example
def a_canceled_run() -> Any:
    states = iter(["starting", "processing", "canceled"])

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(201, json={**PREDICTION, "status": next(states), "output": None})

    return Client(api_token="r8_mine", transport=httpx.MockTransport(answer)).run("acme/slow", {}, wait=False)


@example
def a_file_that_is_gone() -> Any:
    try:
        FileOutput(f"{ORIGIN.replace(API, FILES)}/xezq/nothing/out.png", replicate.default_client).read()
    except httpx.HTTPStatusError as error:
        return [type(error), error.response.status_code]


@example
def an_api_that_cannot_be_reached() -> Any:
    try:
        Client(base_url="http://127.0.0.1:9", transport=Refusing()).models.get("a/b")
    except httpx.ConnectError as error:
        return str(error)


class Refusing(httpx.BaseTransport):
    """A transport of the caller's own."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError(f"no way to {request.url.path}", request=request)


@example
def a_transport_of_ones_own() -> Any:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append([request.method, str(request.url), request.headers["authorization"], request.content])
        return httpx.Response(201, json={**PREDICTION, "status": "succeeded", "output": "done"})

    client = Client(
        api_token="r8_mine",
        base_url="https://gateway.example/replicate",
        transport=httpx.MockTransport(answer),
    )
    return [client.run("acme/slow", {"prompt": "x"}), asked]


@example
async def a_transport_for_both_colours() -> Any:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(
            201, json={**PREDICTION, "status": "succeeded", "output": request.headers["prefer"]}
        )

    client = Client(
        api_token="r8_mine", transport=httpx.MockTransport(answer), timeout=httpx.Timeout(5, read=7)
    )
    return [client.run("acme/slow", {}), await client.async_run("acme/slow", {}, wait=3)]


PREDICTION = {
    "id": "p1",
    "model": "acme/slow",
    "version": "hidden",
    "input": {},
    "logs": "",
    "error": None,
    "urls": {},
}


@example
def a_hasty_answer() -> Any:
    answers = iter(
        [
            {**PREDICTION, "status": "processing", "output": None},
            {**PREDICTION, "status": "succeeded", "output": "all"},
        ]
    )

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(201, json=next(answers))

    return Client(api_token="r8_mine", transport=httpx.MockTransport(answer)).run("acme/slow", {})


@example
def a_status_of_tomorrow() -> Any:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={**PREDICTION, "status": "aborted"})

    return Client(api_token="r8_mine", transport=httpx.MockTransport(answer)).predictions.get("p1").status


@example
def helpers() -> Any:
    client = replicate.default_client
    with open("mystery.jpg", "rb") as handle:
        encoded = base64_encode_file(handle)
    made = transform_output(
        {"a": ["https://x.example/y", "text"], "b": "data:text/plain;base64,aGk="}, client
    )
    return [
        encoded[:30],
        made,
        made["b"].read(),
        ModelVersionIdentifier.parse("a/b:c"),
        Prediction.Progress.parse("no"),
    ]


@example
def events() -> Any:
    event = ServerSentEvent(event="output", data="hi", id="1", retry=None)
    return [repr(event), str(event), event.event is ServerSentEvent.EventType.OUTPUT, event.dict()]


@example
def poll_interval() -> Any:
    client = Client()
    before = client.poll_interval
    client.poll_interval = 0
    prediction = client.predictions.create(model="acme/slow", input={"prompt": "x", "seconds": 0.05})
    prediction.wait()
    replicate.default_client.poll_interval = 0.01
    return [before, client.poll_interval, replicate.default_client.poll_interval, prediction.status]


@example
def the_callers_own_headers() -> Any:
    headers = {"X-Mine": "1"}
    Client(api_token="r8_secret", headers=headers).hardware.list()
    return headers


@example
def an_id_that_is_a_path() -> Any:
    try:
        return replicate.predictions.get("../account")
    except ReplicateError as error:
        return error.status


@example
def two_event_loops() -> Any:
    """A client that is used in one loop after another."""

    async def ask() -> Any:
        return (await client.models.async_get("acme/slow")).id

    client, seen = Client(), []

    def both() -> None:
        for _ in range(2):
            try:
                seen.append(asyncio.run(ask()))
            except RuntimeError as error:
                seen.append(str(error))

    thread = threading.Thread(target=both)
    thread.start()
    thread.join()
    return seen


@example
def names() -> Any:
    modules = (
        "__about__ account client collection deployment exceptions file hardware helpers identifier model pagination"
        " prediction resource run schema stream training version webhook"
    )
    here = (
        "async_paginate async_run async_stream client collection collections default_client deployment deployments"
        " exceptions file files hardware helpers identifier model models paginate pagination prediction predictions"
        " resource run stream training trainings version webhook webhooks Client"
    )
    return [
        [
            getattr(import_module(f"replicate.{name}"), "__name__", None) is not None
            for name in modules.split()
        ],
        [hasattr(replicate, name) for name in here.split()],
        import_module("replicate.__about__").__version__,
        [inspect.ismodule(import_module("replicate.run")), callable(replicate.run)],
    ]


# How what was seen is made comparable.


def plain(value: Any) -> Any:
    """Make JSON of anything, so that both sides look the same where they are the same."""
    if isinstance(value, FileOutput):
        return {"FileOutput": plain(value.url)}
    if isinstance(value, type):
        return value.__name__
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if hasattr(value, "dict") and not isinstance(value, type):
        return {type(value).__name__: plain(value.dict())}
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | Iterator):
        return [plain(each) for each in value]
    if isinstance(value, int | float | bool | None):
        return value
    return masked(str(value))


_MASKS = (
    (re.compile(re.escape(ORIGIN)), "<origin>"),
    (re.compile(rf"https://{FILES}:\d+"), "<files>"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?"), "<time>"),
    (re.compile(r"datetime\.datetime\([^)]*\)"), "<time>"),
    (re.compile(r"(?<=xezq/)[0-9a-z]+"), "<token>"),
    (re.compile(r"(?<=streams/)[0-9a-z]+"), "<token>"),
    (re.compile(r"\brkit-[0-9a-z]+"), "<token>"),
    (re.compile(r"\b[0-9a-z]{26}\b"), "<id>"),
    (re.compile(r"\b[A-Za-z0-9]{48}\b"), "<file>"),
    (re.compile(r"'(predict|total)_time': [\d.e-]+"), r"'\1_time': <seconds>"),
)


def masked(text: str) -> str:
    """Hide what differs from one run to the next."""
    for pattern, shown in _MASKS:
        text = pattern.sub(shown, text)
    return text


def without_times(value: Any) -> Any:
    """Hide how long things took."""
    if isinstance(value, dict):
        return {
            key: "<seconds>" if key in ("predict_time", "total_time") else without_times(each)
            for key, each in value.items()
        }
    return [without_times(each) for each in value] if isinstance(value, list) else value


async def seen(function: Callable[[], Any]) -> Any:
    """Call one example; an error is a result too."""
    try:
        result = function()
        return without_times(plain(await result if inspect.isawaitable(result) else result))
    except Exception as error:
        return {"raises": type(error).__name__, "text": masked(str(error))}


def mark(name: str) -> None:
    """Tell the server which example comes, so that its requests can be told apart."""
    try:
        urllib.request.urlopen(f"{ORIGIN}/example/{name}").close()
    except urllib.error.HTTPError as error:
        error.close()


async def main() -> None:
    """Call all of them, in one event loop."""
    results = {}
    for name, function in EXAMPLES.items():
        mark(name)
        results[name] = await seen(function)
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    resolve_here()
    Path("mystery.jpg").write_bytes(b"\xff\xd8\xff" + bytes(range(200)))
    asyncio.run(main())
