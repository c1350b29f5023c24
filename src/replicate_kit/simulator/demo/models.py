"""The demo models: what each takes and gives. What paints and plays is loaded by the models that need it."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Annotated, Literal

from replicate_kit.schema import ConcatenateIterator, Field
from replicate_kit.simulator._service.context import log, progress, sleep
from replicate_kit.simulator.demo import _poem

__all__ = ["flaky", "musician", "painter", "poet", "slow", "study"]

Prompt = Annotated[str, Field(description="What it is about")]
Seed = Annotated[int | None, Field(description="The same seed and prompt give the same result")]
Side = Annotated[int, Field(ge=16, le=2048, description="In pixels")]


def painter(
    prompt: Prompt,
    num_outputs: Annotated[int, Field(ge=1, le=8, description="How many pictures")] = 1,
    width: Side = 512,
    height: Side = 512,
    seed: Seed = None,
    style: Annotated[Literal["auto", "mountains", "waves"], Field(description="What to draw")] = "auto",
) -> list[bytes]:
    """Paints landscapes, as PNG files: the prompt chooses the light, the season and the shapes."""
    from replicate_kit.simulator.demo._picture import landscape

    drawn = []
    for number in progress(range(num_outputs)):
        chance = random.Random(f"{prompt}/{seed}/{number}")
        drawn.append(landscape(prompt, width, height, chance, style))
    return drawn


def study(
    prompt: Prompt,
    steps: Annotated[int, Field(ge=1, le=10_000, description="How many lines of progress to log")] = 20,
) -> bytes:
    """Trains the painter on a subject. It paints no better for it, but there are weights, and a new version."""
    for _ in progress(range(steps)):
        sleep(0.01)
    return json.dumps({"subject": prompt, "steps": steps}).encode()


def poet(
    prompt: Prompt,
    lines: Annotated[int, Field(ge=1, le=64, description="How many lines")] = 4,
    delay: Annotated[float, Field(ge=0, le=10, description="Seconds between two words")] = 0.0,
    seed: Seed = None,
) -> ConcatenateIterator[str]:
    """Writes verses about the prompt, word by word."""
    chance = random.Random(f"{prompt}/{seed}")
    for word in _poem.words(prompt, lines, chance):
        yield word
        if delay:
            sleep(delay)


def musician(
    prompt: Prompt,
    seconds: Annotated[float, Field(gt=0, le=60, description="How long")] = 4.0,
    tempo: Annotated[int, Field(ge=30, le=300, description="Beats a minute")] = 120,
    seed: Seed = None,
) -> bytes:
    """Plays a tune in the mood of the prompt, as a WAV file."""
    from replicate_kit.simulator.demo._melody import tune

    return tune(seconds, tempo, random.Random(f"{prompt}/{seed}"))


def flaky(
    prompt: Prompt,
    failure_rate: Annotated[float, Field(ge=0, le=1, description="The part of all prompts that fail")] = 0.25,
    seed: Seed = None,
) -> str:
    """Fails for some prompts, always the same ones, and repeats the others."""
    chance = random.Random(f"{prompt}/{seed}").random()
    log(f"Threw {chance:.2f}; it takes {failure_rate:.2f} to succeed.")
    if chance < failure_rate:
        # Replicate's own words for such a failure, so that code which looks for them can be tried out.
        raise RuntimeError("Prediction interrupted; please retry (code: PA)")
    return f"After some hesitation: {prompt}"


def slow(
    prompt: Annotated[str, Field(description="What to say in the end")] = "done",
    seconds: Annotated[float, Field(ge=0, le=3600, description="How long to take")] = 2.0,
    steps: Annotated[int, Field(ge=1, le=1000, description="How many lines of progress to log")] = 10,
) -> str:
    """Takes its time, and says how far it is."""
    parts: Sequence[int] = range(steps)
    for _ in progress(parts):
        sleep(seconds / steps)
    return prompt
