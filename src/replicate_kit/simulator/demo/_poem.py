"""Verses out of a few words."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

__all__ = ["words"]


def _words(text: str) -> list[str]:
    return text.split()


_NOUNS = _words(
    "river lantern meadow harbour window ember orchard comet garden thunder violin feather mirror winter"
)
_VERBS = _words("hums waits wanders glimmers whispers turns remembers opens drifts listens burns sings")
_TONES = _words("quiet silver crooked amber distant patient velvet restless borrowed tender midnight paper")
_ENDS = (
    "and nobody hurries home",
    "until the morning finds it",
    "as if the sky had asked",
    "between two breaths of rain",
    "and leaves the light on",
    "like a letter never sent",
)
_DULL = frozenset(_words("a an the of and or in on at to with from for by is are as into over under"))


def words(prompt: str, lines: int, chance: random.Random) -> Iterator[str]:
    """Give the words of a poem one by one, each with the space or line end before it."""
    subjects = [word for word in re.findall(r"[\w'-]+", prompt) if word.lower() not in _DULL] or ["silence"]
    for number in range(lines):
        line = _line(subjects[number % len(subjects)].lower(), chance).split()
        yield ("\n" if number else "") + line[0].capitalize()
        for word in line[1:]:
            yield f" {word}"


def _line(subject: str, chance: random.Random) -> str:
    """Write one line about `subject`."""
    noun, verb, tone, end = map(chance.choice, (_NOUNS, _VERBS, _TONES, _ENDS))
    forms = (
        f"the {tone} {subject} {verb} {end}",
        f"{_article(noun)} {noun} {verb} where the {subject} was, {end}",
        f"{subject}, {subject} — the {tone} {noun} {verb}",
        f"every {subject} is {_article(tone)} {tone} {noun}",
    )
    return chance.choice(forms)


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"
