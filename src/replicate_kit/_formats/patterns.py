"""Regular expressions that are compiled when they are first used."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

__all__ = ["pattern"]


class _Late:
    """Compiles at the first use, and costs nothing after it: what is asked for once is an attribute from then on."""

    def __init__(self, text: str, flags: int) -> None:
        self._given = text, flags

    def __getattr__(self, name: str) -> Any:
        value = getattr(re.compile(*self._given), name)
        setattr(self, name, value)
        return value


if TYPE_CHECKING:
    pattern = re.compile
else:

    def pattern(text: str, flags: int = 0) -> _Late:
        """Do as `re.compile`, but later: for what most programs never match. All of them would wait for it at import.

        >>> pattern("[a-z]+").fullmatch("sea")[0]
        'sea'
        """
        return _Late(text, int(flags))
