"""The reference of options: what `Client`, `run`, `stream` and `map` take, with defaults and what docstrings say."""

from __future__ import annotations

import dataclasses
import inspect
import os
import re
from typing import Any
from unittest.mock import patch

from replicate_kit import Client
from replicate_kit.batch import MapOptions, Options
from replicate_kit.config import Config
from replicate_kit.resources._running.running import Run

__all__ = ["meaning", "options", "page"]

HEADS = {
    "Client": "Every option of a client",
    "run": "Every option of `run`, `use` and `stream`",
    "map": "Every option of `map` and `plan`",
}


def options() -> dict[str, dict[str, tuple[str, Any, str]]]:
    """Give the options of each, by their names: type, default, and what the docstring says of it."""
    return {"Client": _of_client(), "run": _of_run(), "map": _of_map()}


def page() -> str:
    """Write the page of all options."""
    parts = ["# Every option"]
    for name, found in options().items():
        parts.append(f"## {HEADS[name]}")
        for option, (kind, default, said) in found.items():
            parts.append(f"### {option}\n\n`{kind}`, default `{default!r}`\n\n{said}")
    return "\n\n".join(parts) + "\n"


def meaning(name: str, text: str) -> str:
    """Find what a docstring says of an option: what follows its name in a list, else the sentences that have it."""
    flat = [" ".join(each.split()) for each in re.split(r"\n(?=- )|\n\n", text)]
    item = rf"(?:^- |(?<=[.)] ))((?:`\w+`(?:, )?)*`{name}`(?:, `\w+`)*): (.*?)(?=(?<=[.)] )(?:`\w+`(?:, )?)+: |$)"
    if found := next((each for part in flat if (each := re.search(item, part))), None):
        return found[2].strip()
    sentences = [each for part in flat for each in re.split(r"(?<=[.]) ", part)]
    said = [each for each in sentences if each.startswith(f"`{name}`")]
    return " ".join(said or [each for each in sentences if re.search(rf"`{name}\b", each)]).strip()


def _of_client() -> dict[str, tuple[str, Any, str]]:
    """Read the options of a client: their defaults are those of its settings, where nothing is in the environment."""
    with patch.dict(os.environ, clear=True):
        config = Config()
    found = {}
    for name, each in inspect.signature(Client).parameters.items():
        if each.kind is not inspect.Parameter.VAR_KEYWORD:
            said = meaning(name, str(Client.__doc__))
            said = meaning(name, str(Config.__doc__)) if "see `Config`" in said else said
            found[name] = (each.annotation, getattr(config, name, each.default), said)
    return found


def _of_run() -> dict[str, tuple[str, Any, str]]:
    said = str(Client.run.__doc__)
    return {
        each.name: (str(each.type), each.default, meaning(each.name, said))
        for each in dataclasses.fields(Run)
    }


def _of_map() -> dict[str, tuple[str, Any, str]]:
    said = str(Client.map.__doc__)
    return {
        each.name: (str(each.type), each.default, meaning(each.name, said))
        for each in dataclasses.fields(Options)
        if each.name in MapOptions.__optional_keys__
    }
