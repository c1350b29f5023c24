"""The options of the accessors: those of `client.map`, and their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pandas as pd

from replicate_kit.batch import PlanOptions, Retryable
from replicate_kit.batch.accessors import AccessorOptions, check_options
from replicate_kit.errors import ConfigError
from replicate_kit_pandas.earlier import is_earlier

__all__ = ["RunOptions", "checked", "for_plan"]


class RunOptions(AccessorOptions, total=False):
    """The options of the accessors; see `Accessor.run`. `into` is for a Series."""

    retry: Retryable | pd.DataFrame | BaseException


def checked(given: Mapping[str, Any], method: str) -> dict[str, Any]:
    """Copy the options; raises `ConfigError` for one that nobody knows, before anything is spent."""
    _check_retry(given.get("retry", ()))
    known = RunOptions.__optional_keys__
    # What the accessor itself asks of an option comes before client.map checks it, and functions reach that wrapped.
    others = known - PlanOptions.__optional_keys__ if method == "plan" else frozenset()
    read_here = {"retry"} if is_earlier(given.get("retry")) else set[str]()
    check_options(given, known, method, read_elsewhere=others | read_here)
    return dict(given)


def _check_retry(retry: object) -> None:
    """Refuse a table of another library, and whatever else names no states and is no earlier result."""
    if not (isinstance(retry, str | list | tuple | set | frozenset) or is_earlier(retry)):
        raise ConfigError(
            f"retry= is a {type(retry).__name__}. Pass the error that an accessor raised, a pandas DataFrame that was "
            "made with details=True, or states of the journal, such as ('failed', 'expired'). Nothing was created."
        )


def for_plan(options: Mapping[str, Any]) -> PlanOptions:
    """Those of the options that matter for a plan."""
    kept = {name: value for name, value in options.items() if name in PlanOptions.__optional_keys__}
    return cast("PlanOptions", kept)
