"""The models of the demo: under which name each is published, and in which collections they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from replicate_kit.simulator.demo import _well_known, models

__all__ = ["COLLECTIONS", "MODELS", "DemoModel"]


class DemoModel(NamedTuple):
    """A function and the name to publish it under; `trainer` trains it."""

    name: str
    function: Callable[..., Any]
    official: bool = True
    trainer: Callable[..., Any] | None = None

    @property
    def readme(self) -> str:
        """What its page says."""
        owner, _, name = self.name.partition("/")
        if owner == "demo":
            return f"# {name}\n\n{self.function.__doc__}"
        return f"# {self.name}\n\nA stand-in for the model of this name. {self.function.__doc__}"


MODELS = (
    DemoModel("pixray/text2image", _well_known.text2image, official=False),
    DemoModel("jingyunliang/swinir", _well_known.swinir, official=False),
    DemoModel("afiaka87/laionide-v4", _well_known.laionide, official=False),
    DemoModel("kvfrans/clipdraw", _well_known.clipdraw, official=False),
    DemoModel("andreasjansson/blip-2", _well_known.blip_2, official=False),
    DemoModel("ai-forever/kandinsky-2.2", _well_known.kandinsky, official=False),
    DemoModel("stability-ai/stable-diffusion", _well_known.stable_diffusion, official=False),
    DemoModel("stability-ai/sdxl", _well_known.sdxl, official=False, trainer=_well_known.train_sdxl),
    DemoModel("meta/meta-llama-3-70b-instruct", _well_known.llama_3),
    DemoModel("black-forest-labs/flux-schnell", _well_known.flux_schnell),
    DemoModel("demo/painter", models.painter, trainer=models.study),
    DemoModel("demo/poet", models.poet),
    DemoModel("demo/musician", models.musician),
    DemoModel("demo/flaky", models.flaky),
    DemoModel("demo/slow", models.slow),
)

COLLECTIONS = {
    "text-to-image": (
        ("black-forest-labs/flux-schnell", "stability-ai/sdxl", "stability-ai/stable-diffusion"),
        "Pictures from words",
    ),
    "demo": (("demo/painter", "demo/poet", "demo/musician"), "Real things, offline."),
}
"""The names of their models and a description, by slug."""
