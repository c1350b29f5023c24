"""The models that the examples name, as Python functions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from replicate_kit.schema import ConcatenateIterator
from replicate_kit.simulator import Simulator, install, log, sleep
from replicate_kit.simulator.demo.models import painter, poet

__all__ = ["publish", "versions"]

_BY_VERSION = (
    "stability-ai/stable-diffusion",
    "stability-ai/sdxl",
    "ai-forever/kandinsky-2.2",
    "afiaka87/laionide-v4",
)


def describe(image: Path) -> str:
    """Say how large a picture is."""
    return f"an image of {len(image.read_bytes())} bytes"


def enlarge(image: Path) -> Path:
    """Give a picture back."""
    return image


def fail(prompt: str) -> str:
    """Never succeed."""
    log("(some known issue)")
    raise ValueError(f"cannot draw {prompt}")


def draw_slowly(prompt: str, seconds: float = 0.5) -> str:
    """Take a while, and tell how it goes."""
    for step in range(4):
        log(f"iteration: {step * 10}, render:loss: -0.6")
    log(" 50%|█████     | 2/4 [00:01<00:01,  1.00it/s]")
    sleep(seconds)
    return prompt.upper()


def frames(prompts: str, pause: float = 0.05) -> Iterator[str]:
    """Give one piece after another."""
    for number in range(3):
        yield f"{prompts} {number}"
        sleep(pause)


def pictures(prompt: str, pause: float = 0.05) -> Iterator[bytes]:
    """Give one file after another."""
    for number in range(2):
        yield painter(f"{prompt} {number}", width=16, height=16)[0]
        sleep(pause)


def links(prompt: str) -> dict[str, Any]:
    """Give text that looks like a link, beside other things."""
    return {
        "text": f"https://example.com/{prompt}",
        "data": "data:text/plain,a%20b",
        "n": 1,
        "list": ["x", None],
    }


def babble(prompt: str) -> ConcatenateIterator[str]:
    """Fail in the middle of a sentence."""
    yield "Once "
    raise RuntimeError("lost the thread")


def chat(
    prompt: str, temperature: float = 0.75, top_p: float = 1.0, max_length: int = 64
) -> ConcatenateIterator[str]:
    """Answer word by word, as language models do."""
    for word in ("You ", "said: ", prompt.strip().rpartition("\n")[2], " STOP ", "and more"):
        yield word
        sleep(0.01)


def nothing(prompt: str) -> None:
    """Give no output."""


def train(input_images: str, token_string: str = "TOK", seconds: float = 0.05) -> bytes:
    """Make weights."""
    sleep(seconds)
    return f"{token_string} from {input_images}".encode()


def publish(simulator: Simulator) -> None:
    """Publish all of them."""
    install(simulator)
    for name in _BY_VERSION:
        simulator.model(name, official=False)(painter)
    community = {
        "andreasjansson/blip-2": describe,
        "jingyunliang/swinir": enlarge,
        "kvfrans/clipdraw": draw_slowly,
        "pixray/text2image": frames,
        "acme/pictures": pictures,
        "acme/poet": poet,
        "acme/chat-by-version": chat,
    }
    for name, function in community.items():
        simulator.model(name, official=False)(function)
    official = {
        "stability-ai/stable-diffusion-3": fail,
        "meta/meta-llama-3-70b-instruct": poet,
        "acme/slow": draw_slowly,
        "acme/links": links,
        "acme/babble": babble,
        "acme/nothing": nothing,
        "acme/chat": chat,
    }
    for name, function in official.items():
        simulator.model(name)(function)
    simulator.trainer("stability-ai/sdxl")(train)
    simulator.collection(
        "text-to-image",
        models=["stability-ai/sdxl", "stability-ai/stable-diffusion-3"],
        description="From words",
    )
    simulator.deployment("upscaler", model="acme/slow")


def versions(simulator: Simulator) -> dict[str, str]:
    """The ids of the versions that the examples name."""
    names = (*_BY_VERSION, "andreasjansson/blip-2", "jingyunliang/swinir", "kvfrans/clipdraw")
    return {
        name: simulator.version(name)
        for name in (*names, "pixray/text2image", "acme/pictures", "acme/poet", "acme/chat-by-version")
    }
