"""What plugins contribute by name: resources and backends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from replicate_kit._http.hook_calls import each_plugin
from replicate_kit._runtime.foreign_code import described
from replicate_kit._runtime.program_end import ends_program
from replicate_kit.errors import PluginError

if TYPE_CHECKING:
    import pluggy

__all__ = ["merged"]


def merged(manager: pluggy.PluginManager, hook: str, noun: str) -> Mapping[str, Any]:
    """Merge the mappings that plugins contribute; a name that two of them use is an error."""
    found: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for plugin, caller in each_plugin(manager, hook):
        for name, contribution in _given(plugin, hook, caller):
            if name in found:
                raise PluginError(
                    f"The plugins {found[name][0]!r} and {plugin!r} both add a {noun} named {name!r}. "
                    f"Set REPLICATE_KIT_DISABLE_PLUGINS to one of the two."
                )
            found[name] = plugin, contribution
    return _Merged(hook, found)


class _Merged(Mapping[str, Any]):
    """What plugins contribute, by name. A mapping that loads its values when they are asked for is not asked before."""

    def __init__(self, hook: str, found: Mapping[str, tuple[str, Mapping[str, Any]]]) -> None:
        self._hook, self._found = hook, found

    def __getitem__(self, name: str) -> Any:
        plugin, contribution = self._found[name]
        with _blamed(plugin, self._hook):
            return contribution[name]

    def __contains__(self, name: object) -> bool:
        return name in self._found

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


def _given(plugin: str, hook: str, caller: pluggy.HookCaller) -> list[tuple[str, Mapping[str, Any]]]:
    """Which names one plugin contributes, each with the mapping that has it."""
    with _blamed(plugin, hook):
        return [(name, mapping) for mapping in caller() for name in mapping.keys()]  # noqa: SIM118 - a list has none


@contextmanager
def _blamed(plugin: str, hook: str) -> Iterator[None]:
    """Raise whatever a plugin's own code may raise as an error that names it."""
    try:
        yield
    except BaseException as error:
        if ends_program(error):
            raise
        raise PluginError(
            f"The plugin {plugin!r} failed in {hook}: {described(error)}\n"
            f"Set REPLICATE_KIT_DISABLE_PLUGINS={plugin} to do without it."
        ) from error
