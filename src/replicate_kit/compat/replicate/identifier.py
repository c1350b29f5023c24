"""References to models and versions, as 1.x reads them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from replicate_kit._formats.references import escape

__all__ = ["ModelVersionIdentifier"]

_FORM = re.compile(r"([^/]+)/([^/:]+)(?::(.+))?$")


class ModelVersionIdentifier(NamedTuple):
    """What `owner/name` or `owner/name:version` names."""

    owner: str
    name: str
    version: str | None = None

    @classmethod
    def parse(cls, ref: str) -> ModelVersionIdentifier:
        """Read a reference; raises `ValueError` if it is none."""
        if match := _FORM.match(ref):
            return cls(*match.groups())
        raise ValueError(f"Invalid reference to model version: {ref}. Expected format: owner/name:version")


def _resolve(ref: Any) -> tuple[Any, str | None, str | None, str | None]:
    """See what is meant: a Version if it was given as such, owner, name, version id; None for what is not known."""
    from replicate_kit.compat.replicate.model import Model
    from replicate_kit.compat.replicate.version import Version

    if isinstance(ref, Model):
        return None, ref.owner, ref.name, None
    if isinstance(ref, Version):
        return ref, None, None, ref.id
    if isinstance(ref, str) and not isinstance(ref, ModelVersionIdentifier):
        ref = ModelVersionIdentifier.parse(ref)
    if isinstance(ref, ModelVersionIdentifier):
        return None, ref.owner, ref.name, ref.version
    return None, None, None, None


def runnable(ref: Any) -> tuple[Any, str | None, str | None, str | None]:
    """See what is to be run; raises `ValueError` for what cannot be."""
    version, owner, name, id = _resolve(ref)
    if id is None and not (owner and name):
        raise ValueError(
            f"Invalid argument: {ref}. Expected model, version, or reference in the format owner/name or "
            "owner/name:version"
        )
    return version, owner, name, id


def owner_and_name(thing: Any, kind: type, read: Callable[[str], tuple[Any, Any]]) -> tuple[Any, Any]:
    """See which model or deployment is meant: an object of this kind, a pair, or a text that is read."""
    owner, name = None, None
    if isinstance(thing, kind):
        owner, name = thing.owner, thing.name  # type: ignore[attr-defined]
    elif isinstance(thing, tuple):
        owner, name = thing[0], thing[1]
    elif isinstance(thing, str):
        owner, name = read(thing)
    if owner is None or name is None:
        word = kind.__name__
        raise ValueError(
            f"{word.lower()} must be a {word}, a tuple of (owner, name), or a string in the format 'owner/name'"
        )
    return owner, name


def halves(text: str) -> tuple[str, str]:
    """Read `owner/name`, whatever the name is."""
    owner, name = text.split("/", 1)
    return owner, name


def path_of(*parts: object) -> str:
    """A path of things that are named by the caller; no name leads to another path. The API judges empty ones."""
    return "/".join(escape(text) if (text := f"{part}") else "" for part in parts)
