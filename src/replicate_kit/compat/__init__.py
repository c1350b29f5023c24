"""A stand-in for the package `replicate`, version 1.x: code written for `import replicate` runs unchanged.

The modules of `replicate_kit.compat.replicate` have the names, signatures, records and errors of that package, and
do everything through the rooms of this one. They send no request that it would not have sent.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType

from replicate_kit.errors import ConfigError

__all__ = ["install_as_replicate", "uninstall_replicate"]

_STAND_IN = "replicate_kit.compat.replicate"

_MODULES = (
    "__about__",
    "account",
    "client",
    "collection",
    "deployment",
    "exceptions",
    "file",
    "hardware",
    "helpers",
    "identifier",
    "model",
    "pagination",
    "prediction",
    "resource",
    "run",
    "schema",
    "stream",
    "training",
    "version",
    "webhook",
)


def install_as_replicate() -> ModuleType:
    """Make `import replicate`, and the imports of its submodules, give the stand-in; give it as well.

    Call it before anything imports `replicate`, in each process. Whether the official package is installed makes
    no difference. Raises `ConfigError` if something else was imported under that name already.

    >>> import os
    >>> os.environ["REPLICATE_KIT_BACKEND"] = "mock"  # no token, no network
    >>> replicate = install_as_replicate()
    >>> from replicate.exceptions import ModelError
    >>> "".join(replicate.run("demo/poet", {"prompt": "the sea"})) != ""
    True
    >>> from replicate_kit.compat import uninstall_replicate
    >>> uninstall_replicate()
    """
    stand_in = import_module(_STAND_IN)
    if sys.modules.get("replicate", stand_in) is not stand_in:
        raise ConfigError(
            "Another package was already imported as 'replicate'. Call install_as_replicate() earlier, before the "
            "first import of it: at the top of the program."
        )
    for name in _MODULES:
        sys.modules[f"replicate.{name}"] = import_module(f"{_STAND_IN}.{name}")
    sys.modules["replicate"] = stand_in
    return stand_in


def uninstall_replicate() -> None:
    """Let `import replicate` give whatever is installed again. What was imported from the stand-in stays usable."""
    if sys.modules.get("replicate") is sys.modules.get(_STAND_IN):
        for name in ("replicate", *(f"replicate.{each}" for each in _MODULES)):
            sys.modules.pop(name, None)
