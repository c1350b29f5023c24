"""References to models and versions, as 1.x reads them."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

__all__ = ["ModelVersionIdentifier"]

_FORM = re.compile(r"([^/]+)/([^/:]+)(?::(.+))?")


class ModelVersionIdentifier(NamedTuple):
    """What `owner/name` or `owner/name:version` names."""

    owner: str
    name: str
    version: str | None = None

    @classmethod
    def parse(cls, ref: str) -> ModelVersionIdentifier:
        """Read a reference; raises `ValueError` if it is none."""
        if match := _FORM.fullmatch(ref):
            return cls(*match.groups())
        raise ValueError(
            f"Invalid reference to model version: {ref}. Use owner/name, or owner/name:version for a certain version."
        )


def _resolve(ref: Any) -> tuple[Any, str | None, str | None, str | None]:
    """See what is to be run: a Version if it was given as such, owner, name, version id."""
    from replicate_kit.compat.replicate.model import Model
    from replicate_kit.compat.replicate.version import Version

    if isinstance(ref, Model):
        return None, ref.owner, ref.name, None
    if isinstance(ref, Version):
        return ref, None, None, ref.id
    if isinstance(ref, str):
        ref = ModelVersionIdentifier.parse(ref)
    if isinstance(ref, ModelVersionIdentifier):
        return None, ref.owner, ref.name, ref.version
    raise ValueError(f"Cannot run {ref!r}. Pass a Model, a Version, or a text such as owner/name:version.")


def owner_and_name(thing: Any, kind: str) -> tuple[str, str]:
    """See which model or deployment is meant: an object, a pair, or a text."""
    if isinstance(thing, tuple):
        return str(thing[0]), str(thing[1])
    if isinstance(thing, str):
        owner, name, version = ModelVersionIdentifier.parse(thing)
        if version is None:
            return owner, name
        raise ValueError(
            f"Invalid reference to model version: {thing}. A {kind} is named by owner/name, without a version."
        )
    if hasattr(thing, "owner") and hasattr(thing, "name"):
        return thing.owner, thing.name
    raise ValueError(
        f"Cannot tell which {kind} {thing!r} is. Pass an object, a tuple of owner and name, or owner/name as a text."
    )
