"""Whether a plugin's functions are the hooks that they seem to be: what is wrong with them, in words."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from replicate_kit._formats.references import Reference
from replicate_kit._formats.wording import did_you_mean
from replicate_kit.stores import Location

if TYPE_CHECKING:
    import pluggy

__all__ = ["KINDS", "mistake", "never_called"]

KINDS = {"replicate_parse_reference": Reference, "replicate_open_folder": Location}
"""What hooks give that give nothing else; others are checked where they are used."""

_PREFIX = "replicate_"
_LISTED = "docs/hooks.md lists them."


def mistake(plugin: object, manager: pluggy.PluginManager) -> str | None:
    """Say which marked function is no hook, or takes what its hook does not give; None where all are well."""
    for attribute, hook in _marked(plugin, manager):
        known = _arguments_of(hook, manager)
        if known is None:
            return f"there is no hook {hook!r}.{_nearest(hook, manager)} {_LISTED}"
        if isinstance(plugin, type) and inspect.isfunction(inspect.getattr_static(plugin, attribute)):
            name = plugin.__name__
            return (
                f"{name} is a class, and its hooks need an object. Pass or announce {name}(), and not {name}."
            )
        for parameter in _parameters(plugin, attribute):
            if parameter.default is parameter.empty and parameter.name not in known:
                hint = did_you_mean(parameter.name, known)
                takes = f"It takes: {', '.join(known)}." if known else "It takes none."
                return f"{hook} has no argument {parameter.name!r}.{hint} {takes}"
    return None


def never_called(plugin: object, manager: pluggy.PluginManager) -> Iterator[str]:
    """Say which functions look like hooks and are not marked, and which arguments are never given."""
    marked = dict(_marked(plugin, manager))
    for attribute in dir(plugin):
        if attribute.startswith(_PREFIX) and attribute not in marked and _is_function(plugin, attribute):
            if _arguments_of(attribute, manager) is not None:
                yield f"{attribute} is never called. Mark it with replicate_kit.hookimpl, or rename it."
            elif near := _nearest(attribute, manager):
                yield f"{attribute} is no hook, and is never called.{near} Mark hooks with replicate_kit.hookimpl."
    for attribute, hook in marked.items():
        for parameter in _parameters(plugin, attribute):
            if parameter.default is not parameter.empty and parameter.name in (
                _arguments_of(hook, manager) or ()
            ):
                yield f"{hook} is never given {parameter.name!r}, as that has a default. Remove the default."


def _marked(plugin: object, manager: pluggy.PluginManager) -> Iterator[tuple[str, str]]:
    """The marked functions, each with the hook that it is for."""
    for attribute in dir(plugin):
        options: Any = manager.parse_hookimpl_opts(plugin, attribute)
        if options is not None:
            hook = options.get("specname") or attribute
            if not options.get("optionalhook") or _arguments_of(hook, manager) is not None:
                yield attribute, hook


def _arguments_of(hook: str, manager: pluggy.PluginManager) -> tuple[str, ...] | None:
    """The arguments of a hook; None where there is no such hook."""
    spec = getattr(getattr(manager.hook, hook, None), "spec", None)
    return None if spec is None else tuple(spec.argnames)


def _parameters(plugin: object, attribute: str) -> Iterable[inspect.Parameter]:
    """The parameters of a function that are filled by name, without `self`."""
    found = inspect.signature(getattr(plugin, attribute)).parameters.values()
    return [each for each in found if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]


def _is_function(plugin: object, attribute: str) -> bool:
    """Whether an attribute is a function; properties are not asked."""
    found = inspect.getattr_static(plugin, attribute)
    return inspect.isroutine(found) or isinstance(found, staticmethod | classmethod)


def _nearest(hook: str, manager: pluggy.PluginManager) -> str:
    """Suggest the hook that is meant, by what follows the prefix that all share; empty where none is near."""
    from difflib import get_close_matches

    names = [each for each in vars(manager.hook) if _arguments_of(each, manager) is not None]
    rests = {each.removeprefix(_PREFIX): each for each in names}
    near = get_close_matches(hook.removeprefix(_PREFIX), rests, n=1, cutoff=0.7)
    return f" Did you mean {rests[near[0]]!r}?" if near else ""
