"""What installed packages add, and which of them fail: each hook is asked plugin by plugin, so that no failure hides
another.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

from replicate_kit import _accessors
from replicate_kit._formats.store_urls import EXTRAS
from replicate_kit._formats.wording import did_you_mean
from replicate_kit._http.hook_calls import BUILTIN
from replicate_kit._plugins.contributions import clash, given, kind_of, owners_of
from replicate_kit._plugins.discovery import installed
from replicate_kit._plugins.registry import Failure, Loaded, Plugins, origin_of, reason_of
from replicate_kit._runtime.foreign_code import HookOf
from replicate_kit._runtime.program_end import ends_program
from replicate_kit.batch._ledger import stores
from replicate_kit.config import API_URL, Config
from replicate_kit.errors import PluginError, ReplicateError
from replicate_kit.storage import Target

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    import pluggy

__all__ = ["Listed", "listed"]


class Listed(NamedTuple):
    """What an installed package announces under one name.

    `kind` is "plugin", "accessor" or "ledger"; `status` "loaded", "failed", "disabled" by
    REPLICATE_KIT_DISABLE_PLUGINS, or "unused" since what it is for is not installed. `adds` has names by what they are
    of, such as "resources". `reason` says why it failed or is unused, `errors` are what was raised.
    """

    name: str
    kind: str
    distribution: str
    status: str
    adds: Mapping[str, list[str]]
    hooks: tuple[str, ...] = ()
    reason: str | None = None
    errors: tuple[BaseException, ...] = ()


def listed(
    add_commands: Callable[[Plugins], Mapping[str, str]], reserved: Collection[str] = ()
) -> list[Listed]:
    """List all that is installed. `add_commands` lets plugins add their commands, and gives the plugin of each;
    `reserved` are names that no resource can have.
    """
    return [*_plugins(add_commands, reserved), *_of_accessors(), *_of_ledgers()]


def _plugins(add_commands: Callable[[Plugins], Mapping[str, str]], reserved: Collection[str]) -> list[Listed]:
    """List the plugins: the package's own first, then by name."""
    config = Config(backend="mock", base_url=API_URL, strict_plugins=False)
    failures: list[tuple[Failure, BaseException]] = []
    plugins = Plugins(config, tell=lambda *failure: failures.append(failure))
    findings = _Findings(plugins, config, reserved)
    for command, owner in add_commands(plugins).items():
        findings.adds[owner]["commands"].append(command)
    found = []
    for failure, error in failures:
        if failure.hook is None:
            found.append(_failed(failure.name, "plugin", failure.distribution, error))
        else:
            findings.wrong[failure.name].append((failure.hook, error))
    found += [_loaded(each, findings) for each in plugins.loaded]
    for entry in installed():
        if entry.name in config.disabled_plugins:
            found.append(Listed(entry.name, "plugin", origin_of(entry), "disabled", {}))
    return sorted(found, key=lambda each: (each.name != BUILTIN, each.name))


def _loaded(plugin: Loaded, findings: _Findings) -> Listed:
    """List a plugin that was loaded, and may have failed after that."""
    adds, wrong = findings.adds[plugin.name], findings.wrong[plugin.name]
    if not wrong:
        return Listed(plugin.name, "plugin", plugin.distribution, "loaded", adds, plugin.hooks)
    reason = "\n".join(f"{hook}: {reason_of(error)}" for hook, error in wrong)
    errors = tuple(error for _, error in wrong)
    return Listed(plugin.name, "plugin", plugin.distribution, "failed", adds, plugin.hooks, reason, errors)


def _failed(
    name: str, kind: str, distribution: str, error: BaseException, adds: Mapping[str, list[str]] | None = None
) -> Listed:
    """List what does not load."""
    return Listed(name, kind, distribution, "failed", adds or {}, (), reason_of(error), (error,))


class _Findings:
    """What each plugin adds, by kind, and what is wrong with it: found by calling the hooks that add something."""

    def __init__(self, plugins: Plugins, config: Config, reserved: Collection[str]) -> None:
        self.adds: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        self.wrong: dict[str, list[tuple[str, BaseException]]] = defaultdict(list)
        self._named(plugins.asked("replicate_resources"), "resource", reserved)
        self._named(plugins.asked("replicate_backends"), "backend")
        self._layers(plugins.asked("replicate_transport_layer"), config)
        self._stores(plugins.asked("replicate_store_output"), plugins, config)

    def _named(
        self, asked: Iterable[tuple[HookOf, pluggy.HookCaller]], noun: str, reserved: Collection[str] = ()
    ) -> None:
        """Find what is added by name, load it, and tell of names that two plugins use."""
        owners = owners_of(reserved)
        for who, caller in asked:
            with self._noted(who):
                for name, mapping in given(who, caller).items():
                    if name in owners:
                        self._clash(name, noun, owners[name], who)
                        continue
                    owners[name] = who
                    self.adds[who.plugin][f"{noun}s"].append(name)
                    with self._noted(who):
                        _ = who.plugin == BUILTIN or kind_of(name, mapping)

    def _clash(self, name: str, noun: str, first: HookOf, second: HookOf) -> None:
        """Note that two plugins use one name, with both: no client can be made."""
        for each in (first, second):
            if each.plugin != BUILTIN:
                self._note(each, clash(name, noun, first, second))

    def _layers(self, asked: Iterable[tuple[HookOf, pluggy.HookCaller]], config: Config) -> None:
        """Find the layers."""
        for who, caller in asked:
            with self._noted(who):
                self.adds[who.plugin]["layers"] += [_name_of(layer) for layer in caller(config=config)]

    def _stores(
        self, asked: Iterable[tuple[HookOf, pluggy.HookCaller]], plugins: Plugins, config: Config
    ) -> None:
        """Find where plugins store files, by asking for folders of the usual kinds, and of the plugin's name."""
        from replicate_kit._files.outputs import FileOutput
        from replicate_kit._http.session import Session
        from replicate_kit.backends.mock import MockBackend

        session = Session(config, MockBackend(), plugins.hooks)

        def takes(caller: pluggy.HookCaller, folder: str) -> bool:
            try:
                storing = caller(
                    file=FileOutput("data:,"), target=Target(folder=folder, stem="check"), session=session
                )
            except ReplicateError as error:
                if isinstance(error, PluginError):
                    raise
                return False  # it is the plugin's affair, and this folder is none for it
            if storing is not None:
                storing.close()
            return storing is not None

        for who, caller in asked:
            with self._noted(who):
                self.adds[who.plugin]["stores"] += list(_stores_of(who, lambda each: takes(caller, each)))  # noqa: B023

    @contextmanager
    def _noted(self, who: HookOf) -> Iterator[None]:
        """Note what is raised in the block."""
        try:
            yield
        except BaseException as error:
            if ends_program(error):
                raise
            self._note(who, error)

    def _note(self, who: HookOf, error: BaseException) -> None:
        """Note what is wrong with a plugin."""
        is_named = isinstance(error, PluginError) and error.__cause__ is not None
        self.wrong[who.plugin].append((who.hook, (is_named and error.__cause__) or error))


def _stores_of(who: HookOf, takes: Callable[[str], bool]) -> Iterator[str]:
    """Name the kinds of folders that a plugin takes."""
    if takes_paths := takes("folder"):
        yield "local folders"
    if takes("replicate-kit-check://folder"):
        yield "any URL"
        return
    for scheme in dict.fromkeys((who.plugin, *EXTRAS, "file", "memory")):
        if takes(f"{scheme}://folder") or (not takes_paths and takes(f"{scheme}:folder")):
            yield f"{scheme}:"


def _name_of(layer: Any) -> str:
    """Name a layer as its author does."""
    named: str = getattr(layer, "__qualname__", None) or type(getattr(layer, "__wrapped__", layer)).__name__
    return named.partition(".<locals>")[0]  # of a function in the hook, the hook is what can be found


def _of_accessors() -> Iterator[Listed]:
    """List the accessors of dataframes, and load those whose library is installed."""
    libraries = {name: host for host, name in _accessors.HOSTS.items()}
    for entry in entry_points(group=_accessors.GROUP):
        host = libraries.get(entry.name)
        if host is None:
            hint = did_you_mean(entry.name, libraries)
            said = f"An accessor is named for its library, and none is {entry.name!r}.{hint}"
            yield _entry(entry, "accessor", PluginError(said))
        elif find_spec(host.partition(".")[0]) is None:
            unused = _entry(entry, "accessor", None)
            yield unused._replace(status="unused", reason=f"{entry.name} is not installed.")
        else:
            yield _entry(entry, "accessor", _failure(entry.load))


def _of_ledgers() -> Iterator[Listed]:
    """List the stores of journals, and load them."""
    for entry in entry_points(group=stores.GROUP):
        url = f"{entry.name}://journal"
        if stores.is_url(url):
            yield _entry(entry, "ledger", _failure(functools.partial(stores.store_of, url)))
        else:
            yield _entry(entry, "ledger", PluginError(f"No URL of a journal begins with {entry.name}://."))


def _entry(entry: EntryPoint, kind: str, error: BaseException | None) -> Listed:
    """List one entry point that is no plugin with hooks."""
    adds = {f"{kind}s": [f"{entry.name}:" if kind == "ledger" else entry.name]}
    if error is not None:
        return _failed(entry.name, kind, origin_of(entry), error, adds)
    return Listed(entry.name, kind, origin_of(entry), "loaded", adds)


def _failure(load: Callable[[], object]) -> BaseException | None:
    """What is raised where something does not load."""
    try:
        load()
    except BaseException as error:  # whatever the import of somebody else's module may raise
        if ends_program(error):
            raise
        return error
    return None
