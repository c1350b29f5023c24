"""Which options a client with some backend takes, and what a backend says of itself."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from replicate_kit._formats.wording import did_you_mean
from replicate_kit._moved import OPTIONS as MOVED
from replicate_kit.backends._options.libraries import OPTIONS
from replicate_kit.errors import ConfigError
from replicate_kit.transport import Abilities, Backend

__all__ = ["check_abilities", "check_options"]

_OF_EVERY_BACKEND = frozenset({"headers", "params", "cookies"})


def check_abilities(backend: Backend) -> Backend:
    """See that a backend says in the right form what it can do, and give it."""
    abilities = getattr(backend, "abilities", None)
    if not isinstance(abilities, Abilities | None):
        raise ConfigError(
            f"The backend {type(backend).__name__} has abilities={abilities!r:.80}. Use "
            "replicate_kit.transport.Abilities(…)."
        )
    return backend


def check_options(
    options: Mapping[str, Any], backend: Backend, own: Sequence[str], *, from_environment: bool
) -> None:
    """Refuse options that the backend does not take, and values that it cannot use, before the first request.

    `own` names the options that every client has. `from_environment` says that nobody has named the backend in code.
    """
    abilities = getattr(backend, "abilities", None)
    known = _OF_EVERY_BACKEND | frozenset(() if abilities is None else abilities.options)
    unknown = sorted(set(options) - known)
    if elsewhere := [name for name in unknown if name in OPTIONS]:
        raise ConfigError(_of_other_backends(elsewhere, backend, from_environment))
    if unknown:
        several = "s" if len(unknown) > 1 else ""
        raise ConfigError(
            f"Client does not know the option{several} {', '.join(unknown)} with this backend "
            f"({type(backend).__name__}).{_hint(unknown[0], [*own, *known])} Its own are: {', '.join(own)}. "
            f"The backend takes: {', '.join(sorted(known))}."
        )
    check = getattr(backend, "check_options", None)
    if check is not None:
        check({name: value for name, value in options.items() if name not in _OF_EVERY_BACKEND})


def _hint(name: str, known: Sequence[str]) -> str:
    """Say what is meant by an unknown option, as a sentence after others."""
    return f" {MOVED['Client'][name]}." if name in MOVED["Client"] else did_you_mean(name, known)


def _of_other_backends(names: Sequence[str], backend: Backend, from_environment: bool) -> str:
    """Say of options that exist where they do."""
    chosen = os.environ.get("REPLICATE_KIT_BACKEND", "").strip() if from_environment else ""
    by_variable = f" (REPLICATE_KIT_BACKEND={chosen})" if chosen else ""
    noun = "is an option" if len(names) == 1 else "are options"
    return (
        f"{'=, '.join(names)}= {noun} of the backends 'http' and 'httpx2', and this client has another one, "
        f"{type(backend).__name__}{by_variable}. Leave it out there, or choose Client(backend='http')."
    )
