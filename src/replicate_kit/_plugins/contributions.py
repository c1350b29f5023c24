"""What plugins contribute by name: resources and backends."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from replicate_kit._http.hook_calls import BUILTIN
from replicate_kit._runtime.foreign_code import HookOf
from replicate_kit.errors import PluginError

if TYPE_CHECKING:
    import pluggy

__all__ = ["Contributions", "clash", "given", "kind_of", "merged", "owners_of"]


class Contributions(Mapping[str, Any]):
    """What plugins contribute, by name. A mapping that loads its values when they are asked for is not asked before."""

    def __init__(self, found: Mapping[str, tuple[HookOf, Mapping[str, Any]]]) -> None:
        self._found = found

    def __getitem__(self, name: str) -> Any:
        who, contribution = self._found[name]
        with who.blamed():
            return kind_of(name, contribution)

    def made(self, name: str, *args: Any) -> Any:
        """Make the object of this name: call what was contributed. What it raises names the plugin."""
        who, _ = self._found[name]
        kind = self[name]
        return kind(*args) if who.plugin == BUILTIN else who.call(kind, *args)

    def __contains__(self, name: object) -> bool:
        return name in self._found

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


def merged(
    asked: Iterable[tuple[HookOf, pluggy.HookCaller]], noun: str, reserved: Collection[str] = ()
) -> Contributions:
    """Merge the mappings that plugins contribute; a name that is reserved, or that two of them use, is an error."""
    found: dict[str, tuple[HookOf, Mapping[str, Any]]] = {}
    owners = owners_of(reserved)
    for who, caller in asked:
        for name, contribution in given(who, caller).items():
            if name in owners:
                raise clash(name, noun, owners[name], who)
            owners[name], found[name] = who, (who, contribution)
    return Contributions(found)


def owners_of(reserved: Iterable[str]) -> dict[str, HookOf]:
    """Say of names that no plugin can add that the package has them itself."""
    return dict.fromkeys(reserved, HookOf("", BUILTIN))


def given(who: HookOf, caller: pluggy.HookCaller) -> dict[str, Mapping[str, Any]]:
    """Which names one plugin contributes, each with the mapping that has it."""
    with who.blamed():
        return {name: mapping for mapping in caller() for name in _names(mapping)}


def _names(mapping: Any) -> Iterator[str]:
    """The names in what a plugin gave."""
    if not hasattr(mapping, "keys"):
        raise TypeError(
            f"it gave a {type(mapping).__name__}, and this hook gives a mapping of names to classes"
        )
    for name in mapping.keys():  # noqa: SIM118 - a mapping of somebody else's may have no other way
        if not isinstance(name, str):
            raise TypeError(f"it gave the name {name!r:.80}, and names are texts")
        yield name


def kind_of(name: str, contribution: Mapping[str, Any]) -> Any:
    """Load what was contributed by a name, and see that it can be called to make one."""
    kind = contribution[name]
    if not callable(kind):
        raise TypeError(f"it gave a {type(kind).__name__} as {name!r}, and this hook gives classes")
    return kind


def clash(name: str, noun: str, first: HookOf, second: HookOf) -> PluginError:
    """The error of two plugins that add something of one name."""
    if first.plugin == BUILTIN:
        said = f"The plugin {second} adds a {noun} named {name!r}, which replicate-kit has itself. Rename it"
    else:
        said = f"The plugins {first} and {second} both add a {noun} named {name!r}. Rename one"
    ways = [f"REPLICATE_KIT_DISABLE_PLUGINS={each.plugin}" for each in (first, second) if _is_installed(each)]
    step = f", or set {' or '.join(ways)} to do without the plugin" if ways else ""
    return PluginError(f"{said}{step}.", plugin=second.plugin, hook=second.hook)


def _is_installed(who: HookOf) -> bool:
    """Whether a plugin is installed, and not the package's own."""
    return who.origin is not None and who.plugin != BUILTIN
