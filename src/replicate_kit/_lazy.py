"""Where the public names come from; each is loaded when it is first used."""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # `typing` takes longer to import than all of this: checkers know the name
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

__all__ = ["NAMES", "SUBMODULES", "answer_imports", "forget_default_client", "load", "loader"]

NAMES = {
    "AsyncBatch": "batch._runs.streams",
    "Batch": "batch._runs.streams",
    "BatchError": "errors",
    "Budget": "batch._money.pricing",
    "Client": "client",
    "FileOutput": "_files.outputs",
    "Model": "resources.models",
    "ModelError": "errors",
    "OutputIterator": "resources._running.outputs",
    "Page": "resources._resource",
    "Plan": "batch._plan.plan",
    "Prediction": "resources.predictions",
    "Progress": "batch._results.progress",
    "Reference": "_formats.references",
    "ReplicateError": "errors",
    "Resource": "resources._resource",
    "Result": "batch._results.results",
    "SaveTo": "storage",
    "ServerSentEvent": "_formats.sse",
    "Version": "resources.versions",
    "accounts": "_default",
    "async_map": "_default",
    "async_paginate": "resources._resource",
    "async_plan": "_default",
    "async_run": "_default",
    "async_stream": "_default",
    "async_use": "_default",
    "blocking": "_runtime.blocking",
    "col": "tables._markers",
    "collections": "_default",
    "default_client": "_default",
    "deployments": "_default",
    "files": "_default",
    "hardware": "_default",
    "hookimpl": "hooks",
    "map": "_default",
    "models": "_default",
    "paginate": "resources._resource",
    "plan": "_default",
    "predictions": "_default",
    "run": "_default",
    "search": "_default",
    "stream": "_default",
    "template": "tables._markers",
    "trainings": "_default",
    "use": "_default",
    "webhooks": "_default",
}
"""Public names, and the modules that they are defined in."""

SUBMODULES = frozenset({"client", "errors", "exceptions", "simulator", "testing"})
"""Public modules that can be reached without importing them by name."""


def load(name: str, package: dict[str, Any]) -> Any:
    """Give a public name of the package, and keep it in `package`, its namespace."""
    from importlib import import_module

    if name in NAMES:
        package[name] = getattr(import_module(f"replicate_kit.{NAMES[name]}"), name)
        return package[name]
    if name in SUBMODULES:
        return import_module(f"replicate_kit.{name}")
    from replicate_kit._moved import module_advice

    hint = module_advice(name)
    raise AttributeError(f"module 'replicate_kit' has no attribute {name!r}{hint and f'.{hint}'}")


class _Answering:
    """The last of the finders: answers the import of a module that `replicate` has with where its names are here."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        package, _, name = fullname.partition(".")
        if package == "replicate_kit" and name:
            from replicate_kit._moved import module_advice

            if hint := module_advice(name):
                raise ModuleNotFoundError(f"No module named {fullname!r}.{hint}", name=fullname)


def answer_imports() -> None:
    """Answer the imports of modules that are not here and have been in `replicate`."""
    if not any(isinstance(finder, _Answering) for finder in sys.meta_path):
        sys.meta_path.append(_Answering())


def loader(package: str, origins: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Make `__getattr__` and `__dir__` of a package below ours, which load public names when they are used (PEP 562).

    `origins` has, for each name, the module below the package that defines it.
    """

    def __getattr__(name: str) -> Any:  # noqa: N807 - it is one
        from importlib import import_module

        if name not in origins:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f"{package}.{origins[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    def __dir__() -> list[str]:  # noqa: N807
        return sorted({*vars(sys.modules[package]), *origins})

    return __getattr__, __dir__


def forget_default_client() -> None:
    """Close the default client if there is one; the next use of it makes another, as in a new process.

    What was taken from the package before, such as its function `run`, stays that of the old one.
    """
    if (module := sys.modules.pop("replicate_kit._default", None)) is not None:
        module.default_client.close()
        namespace = vars(sys.modules["replicate_kit"])
        for name in ("_default", *(name for name, origin in NAMES.items() if origin == "_default")):
            namespace.pop(name, None)
