"""The models under names that people know: they run as code for the real ones calls them."""

from __future__ import annotations

import io
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from PIL import Image

from replicate_kit import Client, FileOutput, errors
from replicate_kit.simulator import Simulator, install
from replicate_kit.simulator._models.functions import ModelFunction
from replicate_kit.simulator._service import publishing
from replicate_kit.simulator.defaults import default
from replicate_kit.simulator.demo._scaling import Picture
from replicate_kit.testing import mocked
from replicate_kit.transport import Request

PROMPT = "a wombat by the sea"


@pytest.fixture(scope="module")
def client() -> Client:
    return Client(backend=install(Simulator()))


def size(file: FileOutput) -> tuple[int, int]:
    return Image.open(io.BytesIO(file.read())).size


@pytest.mark.parametrize(
    ("model", "input", "sizes"),
    [
        ("black-forest-labs/flux-schnell", {"prompt": PROMPT}, [(512, 512)]),
        ("black-forest-labs/flux-schnell", {"prompt": PROMPT, "aspect_ratio": "16:9"}, [(683, 384)]),
        ("black-forest-labs/flux-schnell", {"prompt": PROMPT, "megapixels": "0.25"}, [(256, 256)]),
        ("black-forest-labs/flux-schnell", {"prompt": PROMPT, "output_format": "jpg"}, [(512, 512)]),
        (
            "stability-ai/sdxl",
            {"prompt": PROMPT, "width": 64, "height": 32, "num_outputs": 2},
            [(64, 32)] * 2,
        ),
        ("stability-ai/stable-diffusion", {}, [(768, 768)]),
        ("ai-forever/kandinsky-2.2", {"prompt": PROMPT}, [(512, 512)]),
        ("afiaka87/laionide-v4", {"prompt": PROMPT, "batch_size": 3}, [(64, 64)] * 3),
        ("pixray/text2image", {"prompts": PROMPT}, [(32, 32), (64, 64), (128, 128)]),
    ],
)
def test_pictures_are_as_many_and_as_large_as_asked_for(
    client: Client, model: str, input: dict[str, Any], sizes: list[tuple[int, int]]
) -> None:
    assert [size(file) for file in client.run(model, input)] == sizes


def test_equal_seeds_paint_alike(client: Client) -> None:
    one, two, other = (
        client.run("black-forest-labs/flux-schnell", {"prompt": PROMPT, "seed": seed})[0].read()
        for seed in (1, 1, 2)
    )
    assert one == two != other


@pytest.mark.parametrize("prompt", ["Please write a haiku about llamas.", "llamas", ""])
def test_verses_are_streamed(client: Client, prompt: str) -> None:
    events = [str(event) for event in client.stream("meta/meta-llama-3-70b-instruct", {"prompt": prompt})]
    assert len(events) > 3
    assert "haiku" not in "".join(events)


def test_no_more_words_than_asked_for(client: Client) -> None:
    text = client.run("meta/meta-llama-3-70b-instruct", {"prompt": "sea", "max_tokens": 2})
    assert len(str(text).split()) == 2


def test_a_picture_is_enlarged_and_described(client: Client) -> None:
    (small,) = client.run("afiaka87/laionide-v4", {"prompt": PROMPT})
    large = client.run("jingyunliang/swinir", {"image": small})
    assert size(large) == (256, 256)
    ours, theirs = (Image.open(io.BytesIO(file.read())) for file in (small, large))
    assert theirs.getpixel((4 * 10 + 3, 4 * 20 + 2)) == ours.getpixel((10, 20))
    assert client.run("andreasjansson/blip-2", {"image": large}) == f"{PROMPT}, 256 by 256"


def _written_by_pillow(kind: str, mode: str) -> bytes:
    file = io.BytesIO()
    Image.linear_gradient("L").convert(mode).save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"abc",
        b"\x89PNG\r\n\x1a\n",
        b"\x89PNG\r\n\x1a\n\0\0",
        _written_by_pillow("PNG", "RGBA"),
        _written_by_pillow("PNG", "RGB"),
        _written_by_pillow("JPEG", "RGB"),
    ],
    ids=["nothing", "text", "signature", "cut", "transparent", "filtered", "jpeg"],
)
def test_what_no_canvas_wrote_is_not_enlarged(client: Client, data: bytes) -> None:
    with pytest.raises(ValueError, match="reads no pictures but PNG files"):
        Picture.of(data)
    with pytest.raises(errors.ModelError, match="Pass it one of those"):
        client.run("jingyunliang/swinir", {"image": data})
    assert client.run("andreasjansson/blip-2", {"image": data}) == f"a file of {len(data)} bytes"


def test_it_can_be_trained(client: Client) -> None:
    client.models.create(owner="local", name="mine", visibility="public", hardware="cpu")
    training = client.trainings.create(
        model="stability-ai/sdxl",
        version=client.models.get("stability-ai/sdxl").latest_version.id,
        input={"input_images": "https://example.com/photos.zip"},
        destination="local/mine",
    )
    training.wait()
    assert training.status == "succeeded"
    pictures = client.run(training.output["version"], {"prompt": PROMPT, "width": 32, "height": 32})
    assert size(pictures[0]) == (32, 32)


def test_they_are_in_a_collection(client: Client) -> None:
    names = [f"{each.owner}/{each.name}" for each in client.collections.get("text-to-image").models]
    assert names[0] == "black-forest-labs/flux-schnell"


@pytest.mark.parametrize(
    "url", ["https://example.com/hook", "http://10.0.0.1/hook", "http://localhost.example/"]
)
def test_the_mock_sends_no_webhook_elsewhere(
    url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sent: list[Request] = []
    monkeypatch.setattr("replicate_kit.simulator.defaults.post", sent.append)
    caplog.set_level(logging.INFO, "replicate_kit")
    Client(backend="mock").predictions.create("demo/poet", {"prompt": "sea"}, webhook=url).wait()
    while "The mock sends webhooks to this machine only" not in caplog.text:
        time.sleep(0.01)
    assert not sent


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/hook", "http://[::1]:9/hook", "http://localhost:9/hook"])
def test_the_mock_sends_webhooks_to_this_machine(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    monkeypatch.setattr(
        "replicate_kit.simulator.defaults.post", lambda request: sent.append(str(request.url)) or 200
    )
    Client(backend="mock").predictions.create("demo/poet", {"prompt": "sea"}, webhook=url).wait()
    while not sent:
        time.sleep(0.01)
    assert set(sent) == {url}


def test_tests_send_no_webhook_elsewhere(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sent: list[Request] = []
    monkeypatch.setattr("replicate_kit.simulator.defaults.post", sent.append)
    caplog.set_level(logging.INFO, "replicate_kit")
    with mocked() as mock:
        mock.client.predictions.create("demo/poet", {"prompt": "sea"}, webhook="https://example.com/").wait()
        while "to this machine only: none went to example.com" not in caplog.text:
            time.sleep(0.01)
    assert not sent


def test_a_sender_of_ones_own_gets_all_webhooks() -> None:
    sent: list[str] = []
    with mocked(webhook_sender=lambda request: sent.append(str(request.url)) or 200) as mock:
        mock.client.predictions.create("demo/poet", {"prompt": "sea"}, webhook="https://example.com/").wait()
        while not sent:
            time.sleep(0.01)
    assert set(sent) == {"https://example.com/"}


def test_the_shared_simulator_has_them() -> None:
    assert default().version("black-forest-labs/flux-schnell")


def test_versions_are_made_when_somebody_asks_and_are_the_same_whoever_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[str] = []

    def count(function: Any, *given: Any) -> ModelFunction:
        made.append(function.__name__)
        return ModelFunction(function, *given)

    monkeypatch.setattr(publishing, "ModelFunction", count)
    simulator = install(Simulator())
    assert made == []
    client = Client(backend=simulator)
    version = client.models.get("demo/poet").latest_version
    assert made == ["poet"]
    everybody = latest(client)
    assert sorted(made) == sorted({*made})  # none twice
    assert everybody["demo/poet"] == version.id
    assert latest(Client(backend=install(Simulator()))) == everybody
    assert str(client.run(f"demo/poet:{version.id}", {"prompt": "sea"}))


def latest(client: Client) -> dict[str, str]:
    """The ids of the latest versions, by the models' names."""
    return {f"{each.owner}/{each.name}": each.latest_version.id for each in client.models.list_all()}


@pytest.mark.parametrize("way", ["client", "simulator"])
def test_of_many_who_ask_at_once_one_makes_the_version(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def slowly(function: Any, *given: Any) -> ModelFunction:
        made.append(function.__name__)
        time.sleep(0.05)
        return ModelFunction(function, *given)

    made: list[str] = []
    monkeypatch.setattr(publishing, "ModelFunction", slowly)
    simulator = install(Simulator())
    client = Client(backend=simulator)
    ask = {"client": lambda name: client.models.get(name).latest_version.id, "simulator": simulator.version}
    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(ask[way], ["demo/painter"] * 8))
    assert len(ids) == 1
    assert made == ["painter", "study"]  # what trains it, too


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError()], ids=repr)
def test_who_is_interrupted_in_making_it_leaves_it_to_the_next(
    error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: Any) -> ModelFunction:
        raise error

    simulator = install(Simulator())
    with monkeypatch.context() as failing:
        failing.setattr(publishing, "ModelFunction", fail)
        with pytest.raises(type(error)):
            simulator.version("demo/painter")
    assert simulator.version("demo/painter") == install(Simulator()).version("demo/painter")


def test_they_replace_what_had_their_name() -> None:
    simulator = Simulator()
    options = {"visibility": "private", "price": 2.0, "hardware": "gpu", "cold_start": 600.0}
    simulator.model("demo/painter", **options)(lambda prompt: prompt)  # type: ignore[arg-type]
    (picture,) = Client(backend=install(simulator)).run("demo/painter", {"prompt": PROMPT}, timeout=20)
    assert size(picture) == (512, 512)
    about = {name: simulator.published()[0][name] for name in ("visibility", "description")}
    assert about == {name: install(Simulator()).published()[-5][name] for name in about}


def test_a_model_of_that_name_gets_another_version() -> None:
    simulator = Simulator()

    @simulator.model("demo/poet")
    def poet(prompt: str) -> str:
        return prompt

    ours = simulator.version("demo/poet")
    assert install(simulator).version("demo/poet") != ours
    assert install(simulator).version("demo/poet") == install(Simulator()).version("demo/poet")
    assert [each.id for each in Client(backend=simulator).models.get("demo/poet").versions.list()][-1] == ours
