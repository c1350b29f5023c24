"""Models of the service: quick ones, slow ones, and some that give files and structures."""

from __future__ import annotations

from typing import Any

from replicate_kit.simulator import Simulator, sleep

__all__ = ["add_models"]


def add_models(simulator: Simulator) -> None:
    """Let a service have them."""

    @simulator.model("acme/quiet", workers=64)
    def quiet(prompt: str) -> str:
        sleep(1)
        return prompt.upper()

    @simulator.model("acme/uneven", workers=64)
    def uneven(prompt: str) -> str:
        sleep(
            20 if prompt.endswith("0007") else 0.2
        )  # Spark runs a task twice that takes so much longer than others
        return prompt.upper()

    @simulator.model("acme/endless", workers=64)
    def endless(prompt: str) -> str:
        sleep(600)
        return prompt

    @simulator.model("acme/moods")
    def moods(prompt: str, mood: str = "calm") -> dict[str, Any]:
        if mood == "angry":
            raise ValueError("no")
        return {"prompt": prompt, "mood": mood}
