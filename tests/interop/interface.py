"""Every public name of `replicate` 1.0.7 and the signature of each, as JSON on standard output.

python interface.py official     with the official package
python interface.py stand-in     with the stand-in
"""

from __future__ import annotations

import inspect
import json
import sys
from importlib import import_module
from types import ModuleType
from typing import Any

MODULES = [
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
]


FIELD = object()


def parameters_of(function: Any) -> list[str]:
    """How a function can be called: names, kinds and defaults, without types."""
    parameters = [
        each for each in inspect.signature(function).parameters.values() if each.name not in ("self", "cls")
    ]
    return [each.kind.name if each.kind.name.startswith("VAR_") else shown(each) for each in parameters]


def shown(parameter: inspect.Parameter) -> str:
    default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
    return f"{parameter.kind.name} {parameter.name}{default}"


def described(value: Any, depth: int = 0) -> Any:
    """What a name stands for; classes with their own members."""
    if inspect.ismodule(value):
        return "module"
    if inspect.isclass(value):
        members = members_of(value) if depth < 3 else []
        return {"": ["class", *bases_of(value)]} | {
            name: described(each, depth + 1) for name, each in members
        }
    if value is FIELD:
        return "field"
    if isinstance(value, property):
        return "property with a setter" if value.fset else "property"
    if callable(value):
        kind = "async " if inspect.iscoroutinefunction(value) else ""
        return [f"{kind}function", *parameters_of(value)]
    if isinstance(value, int | float | str | frozenset):
        return repr(sorted(value) if isinstance(value, frozenset) else value)
    return "value"


def bases_of(kind: type) -> list[str]:
    """The classes that a class is one of, where `except` and `isinstance` ask for them."""
    known = ("builtins", "enum", "httpx", "replicate", "replicate_kit")
    names = {each.__name__ for each in kind.__mro__[1:] if each.__module__.split(".")[0] in known}
    return sorted(names - {"object"})


def members_of(kind: type) -> list[tuple[str, Any]]:
    """The public members of a class that its own package defines; those of records are fields, too.

    Names that only say what to use instead are none.
    """
    names = {name for each in kind.__mro__ if is_own(each) for name in vars(each) if hasattr(kind, name)}
    fields = getattr(kind, "__fields__", None) or {}
    found = [(name, member_of(kind, name)) for name in sorted(names - set(fields)) if is_public(name)]
    return [*found, *((name, FIELD) for name in fields)]


def member_of(kind: type, name: str) -> Any:
    """A member as it is found: a property as such, anything else as the class gives it."""
    static = inspect.getattr_static(kind, name)
    if type(static).__name__ in ("Field", "Nested"):
        return FIELD
    return static if isinstance(static, property) else getattr(kind, name)


def is_own(kind: Any) -> bool:
    return str(getattr(kind, "__module__", None)).split(".")[0] in ("replicate", "replicate_kit")


def is_public(name: str) -> bool:
    return not name.startswith("_") or name == "__init__"


def names_of(module: ModuleType) -> list[str]:
    """The names that can be imported from a module, but for what it has imported from other packages itself."""
    return [
        name for name in dir(module) if not name.startswith("_") and is_of_the_package(getattr(module, name))
    ]


def is_of_the_package(value: Any) -> bool:
    if inspect.ismodule(value):
        return value.__name__.split(".")[0] in ("replicate", "replicate_kit")
    return is_own(value) or isinstance(value, str | dict) or "FileEncodingStrategy" in str(value)


def main() -> None:
    if sys.argv[1] == "stand-in":
        from replicate_kit.compat import install_as_replicate

        install_as_replicate()
    modules = {"replicate": import_module("replicate")}
    modules |= {f"replicate.{name}": import_module(f"replicate.{name}") for name in MODULES}
    json.dump(
        {
            name: {each: described(getattr(module, each)) for each in names_of(module)}
            for name, module in modules.items()
        },
        sys.stdout,
        indent=1,
    )


if __name__ == "__main__":
    main()
