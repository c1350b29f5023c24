"""Keep simulators usable in forked processes, which have none of their parent's threads."""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from replicate_kit.simulator._service.service import Service

__all__ = ["survive"]

_services: weakref.WeakSet[Service] = weakref.WeakSet()


def survive(service: Service) -> None:
    """See to a service in case that the process forks."""
    _services.add(service)


# What `_lock` locked is what `_unlock` releases; `_services` may lose one in between.
_forking: list[Service] = []


def _lock() -> None:
    """Fork at a moment when nobody is in the middle of a change."""
    _forking[:] = _services
    for service in _forking:
        for lock in service.locks():
            lock.acquire()


def _unlock() -> None:
    for service in _forking:
        for lock in service.locks():
            lock.release()
    _forking.clear()


def _start_again() -> None:
    """In the child: remember that what ran, ran on threads that only the parent has."""
    for service in _forking:
        service.orphaned = True
    _unlock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_lock, after_in_parent=_unlock, after_in_child=_start_again)
