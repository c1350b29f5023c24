"""Dataframe accessors exist after `import replicate_kit`, whichever of the two libraries is imported first.

Reading entry points takes tens of milliseconds, so they are read only when a host library is really imported. The
base classes of finders and loaders cost twenty more and give neither of them anything that they need, so they are
for type checkers alone: Python asks both by the names of their methods.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # `typing` takes longer to import than all of this: checkers know the name
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.abc import Loader, MetaPathFinder
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any
else:
    Loader = MetaPathFinder = object

__all__ = ["HOSTS", "install"]

GROUP = "replicate_kit.accessors"
HOSTS = {"pandas": "pandas", "polars": "polars", "dask.dataframe": "dask"}
"""Host modules, and the names of the entry points that register an accessor on them."""


def install() -> None:
    """Register accessors on the hosts that are imported, and watch for those that are not yet."""
    waiting = [host for host in HOSTS if not _is_imported(host)]
    for host in set(HOSTS) - set(waiting):
        _register(host)
    if waiting and not any(isinstance(finder, _ImportHook) for finder in sys.meta_path):
        sys.meta_path.insert(0, _ImportHook())


def _is_imported(host: str) -> bool:
    """Whether a module has been imported to its end."""
    module = sys.modules.get(host)
    return module is not None and not getattr(getattr(module, "__spec__", None), "_initializing", False)


def _register(host: str) -> None:
    """Import the accessor modules that plugins announce for this host; a broken one is reported, not
    raised.
    """
    from importlib.metadata import entry_points

    for entry in entry_points(group=GROUP, name=HOSTS[host]):
        try:
            entry.load()
        except (
            BaseException
        ) as error:  # importing pandas must not fail, or end the program, because of a plugin
            import logging

            from replicate_kit._runtime.program_end import ends_program

            if ends_program(error):
                raise
            logging.getLogger("replicate_kit").warning(
                "The accessor %r of %s did not load: %r",
                entry.name,
                entry.dist.name if entry.dist else "?",
                error,
            )


def _bind(module: ModuleType, name: str) -> None:
    """Make a submodule an attribute of its package, as the import does a moment later: accessors need it now."""
    package, _, child = name.rpartition(".")
    if package in sys.modules:
        setattr(sys.modules[package], child, module)


class _ImportHook(MetaPathFinder):
    """Lets the other finders find a host module, and has its loader tell when it has been loaded."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in HOSTS:
            return None
        spec = _found_by_others(self, fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Telling(spec.loader, fullname)
        return spec


def _found_by_others(
    hook: MetaPathFinder, fullname: str, path: Sequence[str] | None, target: ModuleType | None
) -> ModuleSpec | None:
    """Ask the other finders in their order."""
    for finder in list(sys.meta_path):
        if not hasattr(finder, "find_spec") or finder is hook:  # some finders are older than that method
            continue
        if (spec := finder.find_spec(fullname, path, target)) is not None:
            return spec
    return None


class _Telling(Loader):
    """Stands before the real loader until the module has been created, then leaves things as they were."""

    def __init__(self, loader: Loader, host: str) -> None:
        self._loader, self._host = loader, host

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        _bind(module, self._host)
        _register(self._host)

    def __getattr__(self, name: str) -> Any:
        # Whoever asks the spec of a module that is not imported yet sees the real loader's abilities.
        if name == "_loader":  # a copy is asked for it before it has one
            raise AttributeError(name)
        return getattr(self._loader, name)
