"""Keep simulators usable in forked processes, which have none of their parent's threads."""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from replicate_kit.simulator._service.world import World

__all__ = ["survive"]

_worlds: weakref.WeakSet[World] = weakref.WeakSet()


def survive(world: World) -> None:
    """See to a world in case that the process forks."""
    _worlds.add(world)


_held: list[World] = []


def _lock() -> None:
    """Fork at a moment when nobody is in the middle of a change."""
    _held[:] = _worlds
    for world in _held:
        for lock in world.locks():
            lock.acquire()


def _unlock() -> None:
    for world in _held:
        for lock in world.locks():
            lock.release()
    _held.clear()


def _start_again() -> None:
    """In the child: remember that what ran, ran on threads that only the parent has."""
    for world in _held:
        world.orphaned = True
    _unlock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_lock, after_in_parent=_unlock, after_in_child=_start_again)
