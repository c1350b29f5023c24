"""Sentences that messages share."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["did_you_mean"]


def did_you_mean(name: object, known: Iterable[object]) -> str:
    """Suggest the known name that is nearest to a misspelt one, as a sentence after others; empty if none is near.

    >>> did_you_mean("promt", ["prompt", "seed"])
    " Did you mean 'prompt'?"
    """
    from difflib import get_close_matches

    near = get_close_matches(str(name), [str(each) for each in known], n=1)
    return f" Did you mean {near[0]!r}?" if near else ""
