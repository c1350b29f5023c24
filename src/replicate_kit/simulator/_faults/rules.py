"""Which faults hit a request: how often each was asked, and how often it struck."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from replicate_kit.simulator._faults.faults import Fault

__all__ = ["Faults"]


class _Rule:
    """A fault, and how often it was asked."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self._random = random.Random(fault.seed)
        self._seen = self._struck = 0

    def strikes(self, operation: str, model: str | None) -> bool:
        """Count a request if it fits, and tell whether it is hit."""
        fault = self.fault
        if not fnmatchcase(operation, fault.operation):
            return False
        if fault.model is not None and not fnmatchcase(model or "", fault.model):
            return False
        self._seen += 1
        picked = fault.calls is None or self._seen in fault.calls
        # The die is cast for every request that fits, so that one rule's luck does not depend on its other settings.
        lucky = self._random.random() < fault.probability
        if not (picked and lucky) or (fault.times is not None and self._struck >= fault.times):
            return False
        self._struck += 1
        return True


class Faults:
    """The faults of a simulator; they can be changed at any time, from any thread."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self.lock = threading.Lock()
        self._rules = [_Rule(fault) for fault in faults]

    def add(self, fault: Fault) -> None:
        """Begin with another fault."""
        with self.lock:
            self._rules.append(_Rule(fault))

    def clear(self) -> None:
        """Let everything be well again."""
        with self.lock:
            self._rules.clear()

    def __iter__(self) -> Any:
        with self.lock:
            return iter([rule.fault for rule in self._rules])

    def matching(self, operation: str, model: Callable[[], str | None]) -> list[Fault]:
        """The faults that hit a request. `model` is only called if a rule asks for it."""
        if not self._rules:
            return []
        # Asked for before our lock is taken: the answer may need the simulator's, which webhooks hold already.
        name = model() if any(rule.fault.model is not None for rule in self._rules) else None
        with self.lock:
            return [rule.fault for rule in self._rules if rule.strikes(operation, name)]
