"""Identifiers in the shapes that Replicate's have."""

from __future__ import annotations

import base64
import hashlib
import json
import random
from collections.abc import Mapping
from typing import Any

__all__ = ["Ids", "version_id"]

# Newer ids of predictions look like Crockford's base32 in lower case (recorded traffic).
_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"


class Ids:
    """Makes identifiers; the same `seed` makes the same ones."""

    def __init__(self, seed: int | None = None) -> None:
        self._random = random.Random(seed)

    def prediction(self) -> str:
        """26 characters, as predictions and trainings have."""
        return "".join(self._random.choices(_CROCKFORD, k=26))

    def token(self, length: int = 44) -> str:
        """Characters for the path of an output file."""
        return "".join(self._random.choices(_CROCKFORD, k=length))

    def file(self) -> str:
        """48 characters, as uploaded files have: a UUID in base64."""
        import uuid  # it asks what system this is, and is for uploads only

        unique = uuid.UUID(int=self._random.getrandbits(128), version=4)
        return base64.b64encode(str(unique).encode()).decode()

    def key(self) -> bytes:
        """24 bytes to sign with."""
        return self._random.randbytes(24)


def version_id(model: str, schema: Mapping[str, Any], salt: str = "") -> str:
    """64 hexadecimal characters: the same model with the same schema has the same version in every process."""
    text = json.dumps([model, salt, schema], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
