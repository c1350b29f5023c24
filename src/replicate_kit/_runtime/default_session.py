"""Where records and files that travelled (through a pickle, a table) find a session again."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["default_session"]


def default_session() -> Any:
    """Give the default client's session.

    The package itself puts the client together, above every other room; it is looked up by name so that the
    rooms below need not know it.
    """
    return import_module("replicate_kit").default_client.session
