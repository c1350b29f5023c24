"""Models out of a Python file."""

from __future__ import annotations

import importlib.util
import inspect
import pathlib
import sys
import traceback
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

from replicate_kit._runtime.foreign_code import described
from replicate_kit._runtime.program_end import ends_program

__all__ = ["Marked", "load", "model"]

F = TypeVar("F", bound=Callable[..., Any])
_MARK = "__replicate_kit_model__"


class Marked(NamedTuple):
    """A function that is to be published."""

    function: Callable[..., Any]
    name: str
    options: dict[str, Any]


def model(name: str, /, **options: Any) -> Callable[[F], F]:
    """Mark a function of a file as a model; `Simulator.load` publishes it with the options of `Simulator.model`.

    >>> @model("acme/echo")
    ... def echo(text: str) -> str:
    ...     return text
    """

    def mark(function: F) -> F:
        setattr(function, _MARK, (name, options))
        return function

    return mark


def load(path: str | pathlib.Path, publishes: Callable[[object], bool]) -> list[Marked]:
    """Run a Python file and find its models: the marked functions, or else all of its public ones as `local/<name>`.

    `publishes` tells a simulator that has models. Raises ImportError, with file and line, for a file that does not run.
    """
    module = _run(pathlib.Path(path))
    functions = list(_functions(module))
    marked = [Marked(each, *getattr(each, _MARK)) for each in functions if hasattr(each, _MARK)]
    if not marked:
        if any(map(publishes, vars(module).values())):  # elsewhere, under other names than here
            raise LookupError(
                f"{path} has models on a Simulator of its own. Mark them with "
                "@replicate_kit.simulator.model('owner/name') instead of the method of that Simulator."
            )
        marked = [
            Marked(each, f"local/{each.__name__}", {})
            for each in functions
            if not each.__name__.startswith("_")
        ]
    if not marked:
        raise LookupError(
            f"There is no function in {path}. Define one, or mark it with replicate_kit.simulator.model."
        )
    return marked


def _run(path: pathlib.Path) -> ModuleType:
    """Import a file under a name that nothing else has, with its neighbours importable."""
    spec = importlib.util.spec_from_file_location(f"replicate_kit_models_{path.stem}", path)
    if spec is None or spec.loader is None or not path.exists():
        raise FileNotFoundError(f"There is no Python file {path}.")
    module = importlib.util.module_from_spec(spec)
    # Registered before it runs: dataclasses and pickle look the module of a class up here.
    sys.modules[spec.name] = module
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[spec.name]
        if ends_program(error):
            raise
        raise ImportError(_reason(path, error), path=str(path)) from error
    finally:
        sys.path.remove(str(path.parent.resolve()))
    return module


def _reason(path: pathlib.Path, error: BaseException) -> str:
    """Say what is wrong in a file, and in which line."""
    if isinstance(error, SyntaxError):  # it may be in a neighbour, and its text names the line once more
        return f"{error.filename or path}, line {error.lineno}: {error.msg}"
    return f"{path}, line {_line(path, error)}: {described(error)}"


def _line(path: pathlib.Path, error: BaseException) -> int | str:
    """The line of a file in which an error arose, as deep in it as it went."""
    frames = traceback.extract_tb(error.__traceback__)
    return next((each.lineno for each in reversed(frames) if each.filename == str(path)), None) or "?"


def _functions(module: ModuleType) -> Iterator[Callable[..., Any]]:
    """The functions that a file defines, and those that it marked."""
    for value in vars(module).values():
        if inspect.isfunction(value) and (value.__module__ == module.__name__ or hasattr(value, _MARK)):
            yield value
