"""Outputs that fit a schema, for models of which nothing else is known."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from replicate_kit.schema import ModelSchema
from replicate_kit.schema._checking import resolve

__all__ = ["imitation"]

_WORDS = "amber river lantern quiet orbit willow velvet signal harbour feather copper meadow"
_DEEPEST = 6


def imitation(document: Mapping[str, Any], draw: Callable[[str, random.Random], bytes]) -> Callable[..., Any]:
    """Make a function that answers any input with what a model's output schema allows.

    The same input gives the same output. `draw` makes a file out of a text.
    """
    schema = ModelSchema(document)
    sampler = _Sampler(schema, draw)

    def imitate(**input: Any) -> Any:
        return sampler.value(schema.output, *_chance(input))

    def imitate_by_chunks(**input: Any) -> Iterator[Any]:
        text, chance = _chance(input)
        for _ in range(chance.randint(3, 8)):
            yield sampler.value(schema.output.get("items", {}), text, chance)

    return imitate_by_chunks if schema.is_iterator else imitate


def _chance(input: Mapping[str, Any]) -> tuple[str, random.Random]:
    """What the input says, and luck that depends on it."""
    texts = [value for value in input.values() if isinstance(value, str)]
    # Seeded with a text: a hash would differ from process to process.
    return (texts or ["something"])[0], random.Random(repr(sorted(input.items())))


class _Sampler:
    """Makes values that fit schemas."""

    def __init__(self, schema: ModelSchema, draw: Callable[[str, random.Random], bytes]) -> None:
        self._schema, self._draw = schema, draw

    def value(self, schema: Any, text: str, chance: random.Random, depth: int = 0) -> Any:
        """Make a value for `schema`."""
        found = resolve(schema, self._schema.document)
        for key in ("allOf", "anyOf", "oneOf"):
            if found.get(key):
                return self.value(found[key][0], text, chance, depth + 1)
        for key in ("default", "example", "const"):
            if key in found:
                return found[key]
        if found.get("enum"):
            return chance.choice(found["enum"])
        return self._plain(found, text, chance, depth)

    def _plain(self, found: Mapping[str, Any], text: str, chance: random.Random, depth: int) -> Any:
        kind = found.get("type")
        if isinstance(kind, list):
            kind = next((each for each in kind if each != "null"), "null")
        match kind if depth < _DEEPEST else "null":
            case "string":
                return self._draw(text, chance) if found.get("format") == "uri" else self._text(found, chance)
            case "integer":
                return chance.randint(*(int(bound) for bound in _bounds(found)))
            case "number":
                return round(chance.uniform(*_bounds(found)), 4)
            case "boolean":
                return chance.random() < 0.5
            case "array":
                count = max(found.get("minItems", 0), min(2, found.get("maxItems", 2)))
                return [self.value(found.get("items", {}), text, chance, depth + 1) for _ in range(count)]
            case "object":
                properties = found.get("properties", {})
                return {name: self.value(each, text, chance, depth + 1) for name, each in properties.items()}
            case "null":
                return None
        return self._text({}, chance)

    def _text(self, found: Mapping[str, Any], chance: random.Random) -> str:
        if found.get("format") == "date-time":
            return "2026-01-01T00:00:00Z"
        text = f"{chance.choice(_WORDS.split())} " * (1 + found.get("minLength", 0) // 4)
        return str(text[: found.get("maxLength")])


def _bounds(found: Mapping[str, Any]) -> tuple[float, float]:
    """The range of a number, or one of usual size."""
    low = found.get("minimum", found.get("exclusiveMinimum", 0))
    low = low if isinstance(low, int | float) else 0
    return low, max(low, found.get("maximum", low + 100))
