"""Regular expressions that are compiled when they are first used."""

from __future__ import annotations

import re
from typing import Any, cast

__all__ = ["pattern"]


class _Late:
    """Has the methods of a compiled pattern, and compiles at their first use; each is an attribute from then on."""

    def __init__(self, text: str, flags: int) -> None:
        self._given = text, flags

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # copying and pickling ask for such before there is anything
            raise AttributeError(name)
        value = getattr(re.compile(*self._given), name)
        setattr(self, name, value)
        return value


def pattern(text: str, flags: int = 0) -> re.Pattern[str]:
    """Do as `re.compile`, but later: for what most programs never match, and would wait for at import.

    Call its methods; functions of `re` do not take it.

    >>> pattern("[a-z]+").fullmatch("sea")[0]
    'sea'
    """
    return cast("re.Pattern[str]", _Late(text, int(flags)))
