"""Find models and collections by words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from replicate_kit.simulator._state.entities import Model

__all__ = ["ranked", "score"]

_WORD = re.compile(r"\w+")


def score(query: str, *texts: str | None) -> int:
    """Count how well texts fit a query: each of its words counts more the earlier the text that has it."""
    words = {word.lower() for word in _WORD.findall(query)}
    return sum(
        (len(texts) - position) * sum(word in text.lower() for word in words)
        for position, text in enumerate(texts)
        if text
    )


def ranked(query: str, models: Iterable[Model]) -> list[Model]:
    """The models that fit, best first; equals by how often they were run."""
    scored = [(score(query, each.full_name, each.description, each.readme), each) for each in models]
    fitting = [(value, each) for value, each in scored if value]
    return [
        each
        for _, each in sorted(fitting, key=lambda pair: (-pair[0], -pair[1].run_count, pair[1].full_name))
    ]


def ranked_collections(query: str, collections: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The collections that fit, best first."""
    scored = [(score(query, each["name"], each["slug"], each["description"]), each) for each in collections]
    return [each for value, each in sorted(scored, key=lambda pair: -pair[0]) if value]
