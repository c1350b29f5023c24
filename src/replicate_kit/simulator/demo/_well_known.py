"""Models under names that people know from Replicate, so that code which names them runs on the mock as it stands.

Each takes the inputs that are set most often, by the names, defaults and bounds of the model's page on replicate.com,
and gives an output of the same shape. What they make is what the demo models make: landscapes and verses.
What paints is loaded by the models that need it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from replicate_kit.schema import ConcatenateIterator, Field
from replicate_kit.simulator._service.context import log, progress, sleep
from replicate_kit.simulator.demo import _poem

__all__ = [
    "blip_2",
    "clipdraw",
    "flux_schnell",
    "kandinsky",
    "laionide",
    "llama_3",
    "sdxl",
    "stable_diffusion",
    "swinir",
    "text2image",
    "train_sdxl",
]

Prompt = Annotated[str, Field(description="What to make")]
Seed = Annotated[int | None, Field(description="The same seed and prompt give the same result")]
Side = Annotated[int, Field(ge=16, le=2048, description="In pixels")]
UpToFour = Annotated[int, Field(ge=1, le=4, description="How many pictures")]
Steps = Annotated[int, Field(ge=1, le=500, description="Sets nothing on the mock")]
Scale = Annotated[float, Field(ge=0, le=50, description="Sets nothing on the mock")]
Ratio = Literal["1:1", "16:9", "21:9", "3:2", "2:3", "4:5", "5:4", "3:4", "4:3", "9:16", "9:21"]
Format = Annotated[Literal["webp", "jpg", "png"], Field(description="The mock writes PNG in any case")]


def _pictures(prompt: str, count: int, width: int, height: int, seed: int | None) -> list[bytes]:
    """Paint landscapes; the number of each is part of its seed."""
    from replicate_kit.simulator.demo._picture import landscape

    chances = (random.Random(f"{prompt}/{seed}/{number}") for number in progress(range(count)))
    return [landscape(prompt, width, height, chance) for chance in chances]


def flux_schnell(
    prompt: Prompt,
    aspect_ratio: Annotated[Ratio, Field(description="Width to height")] = "1:1",
    num_outputs: UpToFour = 1,
    num_inference_steps: Annotated[int, Field(ge=1, le=4, description="Sets nothing on the mock")] = 4,
    seed: Seed = None,
    output_format: Format = "webp",
    output_quality: Annotated[int, Field(ge=0, le=100, description="Sets nothing on the mock")] = 80,
    disable_safety_checker: bool = False,
    go_fast: bool = True,
    megapixels: Annotated[Literal["1", "0.25"], Field(description="How large, roughly")] = "1",
) -> list[bytes]:
    """Paints landscapes in the given shape, as PNG files."""
    across, down = map(int, aspect_ratio.split(":"))
    side = 512 if megapixels == "1" else 256  # a quarter of what the real model paints, for speed
    unit = side / (across * down) ** 0.5
    return _pictures(prompt, num_outputs, round(across * unit), round(down * unit), seed)


def llama_3(
    prompt: Prompt,
    system_prompt: Annotated[
        str, Field(description="Sets nothing on the mock")
    ] = "You are a helpful assistant",
    max_tokens: Annotated[int, Field(ge=1, le=8192, description="The most words to write")] = 512,
    min_tokens: Annotated[int, Field(ge=0, description="Sets nothing on the mock")] = 0,
    temperature: Annotated[float, Field(ge=0, le=5, description="Sets nothing on the mock")] = 0.6,
    top_p: Annotated[float, Field(ge=0, le=1, description="Sets nothing on the mock")] = 0.9,
    top_k: Annotated[int, Field(description="Sets nothing on the mock")] = 50,
    presence_penalty: Annotated[float, Field(description="Sets nothing on the mock")] = 1.15,
    frequency_penalty: Annotated[float, Field(description="Sets nothing on the mock")] = 0.2,
    stop_sequences: Annotated[
        str, Field(description="Sets nothing on the mock")
    ] = "<|end_of_text|>,<|eot_id|>",
    seed: Seed = None,
) -> ConcatenateIterator[str]:
    """Writes verses about what the prompt asks for, word by word."""
    subject = prompt.rpartition(" about ")[2]
    words = _poem.words(subject, 3 if "haiku" in prompt.lower() else 4, random.Random(f"{prompt}/{seed}"))
    for _, word in zip(range(max_tokens), words, strict=False):
        yield word


def sdxl(
    prompt: Prompt = "An astronaut riding a rainbow unicorn",
    negative_prompt: Annotated[str, Field(description="Sets nothing on the mock")] = "",
    image: Annotated[Path | None, Field(description="Sets nothing on the mock")] = None,
    mask: Annotated[Path | None, Field(description="Sets nothing on the mock")] = None,
    width: Side = 1024,
    height: Side = 1024,
    num_outputs: UpToFour = 1,
    scheduler: Annotated[str, Field(description="Sets nothing on the mock")] = "K_EULER",
    num_inference_steps: Steps = 50,
    guidance_scale: Scale = 7.5,
    prompt_strength: Annotated[float, Field(ge=0, le=1, description="Sets nothing on the mock")] = 0.8,
    seed: Seed = None,
) -> list[bytes]:
    """Paints landscapes, as PNG files."""
    return _pictures(prompt, num_outputs, width, height, seed)


def train_sdxl(
    input_images: Annotated[
        str, Field(format="uri", description="Pictures in a ZIP file; the mock looks at none")
    ],
    token_string: Annotated[str, Field(description="The word that stands for the subject")] = "TOK",
    caption_prefix: Annotated[str, Field(description="Sets nothing on the mock")] = "a photo of TOK, ",
    max_train_steps: Annotated[int, Field(ge=1, le=10_000, description="How many steps")] = 1000,
    use_face_detection_instead: bool = False,
) -> bytes:
    """Makes a new version, which paints as the old one does."""
    for _ in progress(range(20)):
        sleep(0.01)
    return json.dumps({"token": token_string, "images": input_images, "steps": max_train_steps}).encode()


def stable_diffusion(
    prompt: Prompt = "a vision of paradise. unreal engine",
    negative_prompt: Annotated[str | None, Field(description="Sets nothing on the mock")] = None,
    width: Side = 768,
    height: Side = 768,
    num_outputs: UpToFour = 1,
    num_inference_steps: Steps = 50,
    guidance_scale: Annotated[float, Field(ge=1, le=20, description="Sets nothing on the mock")] = 7.5,
    scheduler: Annotated[str, Field(description="Sets nothing on the mock")] = "DPMSolverMultistep",
    seed: Seed = None,
) -> list[bytes]:
    """Paints landscapes, as PNG files."""
    return _pictures(prompt, num_outputs, width, height, seed)


def kandinsky(
    prompt: Prompt = "A moss covered astronaut with a black background",
    negative_prompt: Annotated[str | None, Field(description="Sets nothing on the mock")] = None,
    width: Side = 512,
    height: Side = 512,
    num_inference_steps: Annotated[int, Field(ge=1, le=500, description="Sets nothing on the mock")] = 75,
    num_outputs: UpToFour = 1,
    seed: Seed = None,
) -> list[bytes]:
    """Paints landscapes, as PNG files."""
    return _pictures(prompt, num_outputs, width, height, seed)


def blip_2(
    image: Annotated[Path, Field(description="A picture to ask about")],
    caption: Annotated[bool, Field(description="Whether to describe it, and answer no question")] = False,
    question: Annotated[str, Field(description="Sets nothing on the mock")] = "What is this a picture of?",
) -> str:
    """Describes a PNG file by its size and by what is written in it; other files by their length."""
    from replicate_kit.simulator.demo._scaling import Picture

    data = image.read_bytes()
    try:
        seen = Picture.of(data)
    except ValueError:
        return f"a file of {len(data)} bytes"
    return f"{seen.description or 'a picture'}, {seen.width} by {seen.height}"


def clipdraw(
    prompt: Prompt = "Watercolor painting of an underwater submarine",
    num_paths: Annotated[int, Field(ge=1, le=4096, description="Sets nothing on the mock")] = 256,
    num_iterations: Annotated[int, Field(ge=1, le=100_000, description="How long to draw")] = 1000,
    display_frequency: Annotated[
        int, Field(ge=1, description="Iterations between two lines of the log")
    ] = 10,
) -> bytes:
    """Draws a small landscape, a thousand iterations a second, and logs how far it is."""
    from replicate_kit.simulator.demo._picture import landscape

    chance = random.Random(prompt)
    for number in range(0, num_iterations, display_frequency):
        log(f"iteration: {number}, render:loss: -{chance.uniform(0.5, 1):.7f}")
        sleep(display_frequency / 1000)
    return landscape(prompt, 224, 224, chance)


def laionide(
    prompt: Prompt,
    batch_size: Annotated[int, Field(ge=1, le=6, description="How many pictures")] = 1,
    side_x: Annotated[int, Field(ge=16, le=128, description="Width in pixels")] = 64,
    side_y: Annotated[int, Field(ge=16, le=128, description="Height in pixels")] = 64,
    seed: Annotated[int, Field(description="The same seed and prompt give the same result")] = 0,
) -> list[bytes]:
    """Paints tiny landscapes, as PNG files."""
    return _pictures(prompt, batch_size, side_x, side_y, seed)


def swinir(
    image: Annotated[Path, Field(description="The picture to enlarge")],
    task_type: Annotated[str, Field(description="Sets nothing on the mock")] = (
        "Real-World Image Super-Resolution-Large"
    ),
    noise: Annotated[Literal[15, 25, 50], Field(description="Sets nothing on the mock")] = 15,
    jpeg: Annotated[int, Field(ge=0, le=100, description="Sets nothing on the mock")] = 40,
) -> bytes:
    """Enlarges a picture of the mock's by four, by repeating its pixels; fails for others, which it cannot read."""
    from replicate_kit.simulator.demo._scaling import Picture

    return Picture.of(image.read_bytes()).enlarged(4)


def text2image(
    prompts: Prompt = "Cairo skyline at sunset.",
    drawer: Annotated[
        Literal[
            "vqgan", "pixel", "clipdraw", "line_sketch", "super_resolution", "vdiff", "fft", "fast_pixel"
        ],
        Field(description="Sets nothing on the mock"),
    ] = "vqgan",
    settings: Annotated[str, Field(description="Sets nothing on the mock")] = "\n",
) -> Iterator[bytes]:
    """Paints landscape after landscape, each larger than the one before, while you watch."""
    from replicate_kit.simulator.demo._picture import landscape

    for side in progress((32, 64, 128)):
        yield landscape(prompts, side, side, random.Random(prompts))
