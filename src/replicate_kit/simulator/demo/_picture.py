"""Landscapes: a sky with a sun or moon, and ridges or waves that fade into the distance."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import NamedTuple

from replicate_kit.simulator.demo._canvas import Canvas, Color, Gradient, mix

__all__ = ["landscape"]


class Palette(NamedTuple):
    """The colors of a time of day, and the words that call for them."""

    words: list[str]
    top: Color
    middle: Color
    horizon: Color
    light: Color
    far: Color
    near: Color
    stars: bool = False

    @classmethod
    def of(cls, words: str, colors: str, *, stars: bool = False) -> Palette:
        """Read the colors from hexadecimal."""
        top, middle, horizon, light, far, near = map(_color, _words(colors))
        return cls(_words(words), top, middle, horizon, light, far, near, stars)


def _words(text: str) -> list[str]:
    return text.split()


def _color(text: str) -> Color:
    red, green, blue = bytes.fromhex(text)
    return red, green, blue


_PALETTES = (
    Palette.of("sunset evening dusk fire autumn orange", "34265c c4546c ffba7a fff0be a85c7c 261636"),
    Palette.of("dawn morning spring pink rose flower", "5e84be eeb2bc ffe2c4 fffae2 b096ba 363e6a"),
    Palette.of("day noon summer sky blue bird", "2a70be 78bae2 e2f4f6 fffce0 84b0bc 124a56"),
    Palette.of(
        "night moon star space dark wolf owl", "080a22 182254 485892 f0f2ff 303c74 080a1c", stars=True
    ),
    Palette.of("forest green jungle tree wood leaf", "96c4b0 cee4be f6f6d6 ffffec 88b494 0e3a30"),
    Palette.of("desert sand gold dune camel sun", "4a8aa8 debe96 fce2b0 fffae2 dea068 703224"),
    Palette.of("snow ice winter polar white cold fox", "5474a0 acc8de eef2f8 ffffff bacee2 46628a"),
    Palette.of(
        "aurora magic dream neon violet dragon", "0e0a30 2e2876 40bea0 d6ffe6 345482 0c0e2a", stars=True
    ),
)
_WET = frozenset(_words("sea ocean wave waves water lake river boat ship fish beach whale island surf"))


def landscape(prompt: str, width: int, height: int, chance: random.Random, style: str = "auto") -> bytes:
    """Paint a landscape for `prompt`, as PNG."""
    words = set(prompt.lower().replace(",", " ").split())
    palette = _palette(words, chance)
    wet = style == "waves" or (style == "auto" and (bool(words & _WET) or chance.random() < 0.3))
    stops = [(0.0, palette.top), (0.34, palette.middle), (0.62, palette.horizon)]
    sky = Gradient.between(stops, height)
    canvas = Canvas(width, height, sky)
    if palette.stars:
        _stars(canvas, chance)
    _light(canvas, sky, palette, chance)
    _layers(canvas, palette, chance, wet=wet)
    return canvas.png(prompt)


def _palette(words: set[str], chance: random.Random) -> Palette:
    """Choose the palette that has most of the prompt's words, and shift it a little."""
    scores = [sum(word.rstrip("s") in each.words for word in words) for each in _PALETTES]
    best = max(scores)
    chosen = chance.choice([each for each, score in zip(_PALETTES, scores, strict=True) if score == best])
    tint: Color = (chance.uniform(0, 255), chance.uniform(0, 255), chance.uniform(0, 255))
    top, middle, horizon, light, far, near = (mix(color, tint, 0.07) for color in chosen[1:7])
    return Palette(chosen.words, top, middle, horizon, light, far, near, chosen.stars)


def _stars(canvas: Canvas, chance: random.Random) -> None:
    """Scatter stars, some of them brighter, thinning out towards the horizon."""
    for _ in range(canvas.width * canvas.height // 900):
        x, y = chance.randrange(canvas.width), int(canvas.height * 0.6 * chance.random() ** 1.4)
        bright = chance.random() ** 3
        canvas.dot(x, y, (255, 255, 255), 0.25 + 0.75 * bright)
        if bright > 0.6:
            for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
                canvas.dot(x + dx, y + dy, (230, 235, 255), 0.35)


def _light(canvas: Canvas, sky: Gradient, palette: Palette, chance: random.Random) -> None:
    """Draw the sun or moon: discs within discs, each with more of its color."""
    size = min(canvas.width, canvas.height)
    x, y = canvas.width * chance.uniform(0.22, 0.78), canvas.height * chance.uniform(0.2, 0.46)
    radius = size * chance.uniform(0.055, 0.1)
    glow = 32
    for ring in range(glow):
        part = ring / glow
        _disc(canvas, x, y, radius * (4.6 - 3.4 * part), sky.tinted(palette.light, 0.42 * part**1.8))
    _disc(canvas, x, y, radius, sky.tinted(palette.light, 0.96))


def _disc(canvas: Canvas, x: float, y: float, radius: float, gradient: Gradient) -> None:
    for column in range(max(0, int(x - radius)), min(canvas.width, int(x + radius) + 1)):
        chord = radius**2 - (column - x) ** 2
        if chord > 0:
            canvas.fill(column, y - math.sqrt(chord), y + math.sqrt(chord), gradient)


def _layers(canvas: Canvas, palette: Palette, chance: random.Random, *, wet: bool) -> None:
    """Draw ridges or waves from far to near: darker, lower and rougher as they come."""
    count = chance.randint(5, 7)
    for number in range(count):
        near = number / (count - 1)
        color = mix(palette.far, palette.near, near**1.15)
        haze = mix(color, palette.horizon, 0.5 * (1 - near) + 0.12)
        base = 0.5 + 0.4 * near**1.1 if not wet else 0.58 + 0.36 * near
        stops = [(max(0.0, base - 0.16), color), (min(1.0, base + 0.2), haze)]
        gradient = Gradient.between(stops, canvas.height)
        outline = _waves(near, chance) if wet and number else _ridge(near, chance)
        for x in range(canvas.width):
            top = canvas.height * (base - outline(x / canvas.width))
            canvas.fill(x, top, canvas.height, gradient)


def _ridge(near: float, chance: random.Random) -> Callable[[float], float]:
    """A mountain ridge: sines of ever shorter waves, with sharp tops for those that are far."""
    sharp = 1 - near
    parts = [
        (0.14 * 0.52**i, 1.1 * 2.1**i * chance.uniform(0.8, 1.25), chance.uniform(0, 7)) for i in range(6)
    ]

    def outline(x: float) -> float:
        smooth = sum(size * math.sin(waves * math.tau * x + phase) for size, waves, phase in parts)
        peaks = sum(
            size * (1 - 2 * abs(math.sin(waves * math.pi * x + phase))) for size, waves, phase in parts
        )
        return 0.5 * (smooth * (1 - sharp) + peaks * sharp) * (1 - 0.35 * near)

    return outline


def _waves(near: float, chance: random.Random) -> Callable[[float], float]:
    """A line of waves, longer and higher the nearer they are."""
    waves, phase = 9 - 6 * near, chance.uniform(0, 7)
    swell = chance.uniform(0, 7)

    def outline(x: float) -> float:
        crest = abs(math.sin(waves * math.pi * x + phase))
        return (0.008 + 0.028 * near) * (1 - 1.6 * crest) + 0.012 * near * math.sin(
            2.3 * math.tau * x + swell
        )

    return outline
