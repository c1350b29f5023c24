"""Finds plugins, registers them, and takes what they contribute to a client."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import pluggy

from replicate_kit import __version__, hooks
from replicate_kit._formats.wording import did_you_mean, with_safe_repr
from replicate_kit._http.hook_calls import BUILTIN, HookCalls, each_plugin
from replicate_kit._plugins import builtin, checking
from replicate_kit._plugins.contributions import Contributions, clash, merged, owners_of
from replicate_kit._plugins.discovery import installed
from replicate_kit._plugins.options import check_abilities
from replicate_kit._runtime.foreign_code import HookOf, described
from replicate_kit._runtime.program_end import ends_program
from replicate_kit.errors import ConfigError, PluginError
from replicate_kit.transport import Backend

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from replicate_kit.config import Config
    from replicate_kit.simulator import Simulator
    from replicate_kit.transport import Layer

__all__ = ["Failure", "Loaded", "Plugins", "origin_of", "reason_of", "take_as_told"]

_GIVEN = "given to the client"
log = logging.getLogger("replicate_kit")


@with_safe_repr
class Failure(NamedTuple):
    """A plugin that did not load, or failed in a hook: its name, its distribution with version, and why."""

    name: str
    distribution: str
    reason: str
    hook: str | None = None

    def __str__(self) -> str:
        failed = f"failed in {self.hook}" if self.hook else "did not load"
        return f"The plugin {self.name!r} of {self.distribution} {failed}: {self.reason}"


@with_safe_repr
class Loaded(NamedTuple):
    """A plugin that is active: its name, its distribution with version, and the hooks that it has."""

    name: str
    distribution: str
    hooks: tuple[str, ...]


class Plugins:
    """The plugins of one client: ours, those that installed distributions announce, and those it was given.

    `hooks` asks them; `failures` lists those that did not load. Raises `PluginError` for one that was given and
    breaks a rule of the hooks, and for an installed one if `config.strict_plugins`. `tell` is told of each failure,
    with what was raised; unless it is given, a warning is logged.
    """

    def __init__(
        self,
        config: Config,
        given: Iterable[object] = (),
        *,
        tell: Callable[[Failure, BaseException], None] | None = None,
    ) -> None:
        self.failures: list[Failure] = []
        self._tell = tell or (lambda failure, _: _warn_once(str(failure)))
        self._strict = config.strict_plugins
        self._origins: dict[str, str | None] = {BUILTIN: f"replicate-kit {__version__}"}
        self._manager = pluggy.PluginManager(hooks.GROUP)
        self._manager.add_hookspecs(hooks)
        self.hooks = HookCalls(self._manager)
        # The first to be registered, since pluggy asks the last one first: any other plugin comes before ours.
        self._manager.register(builtin, name=BUILTIN)
        # Before any is loaded: its import may be what fails.
        for name in config.disabled_plugins:
            self._manager.set_blocked(name)
        for entry in installed():
            if not self._manager.is_blocked(entry.name):
                self._register_installed(entry)
        for plugin in given:
            self._register(plugin, _name_of(plugin))
        self._tell_unknown(config.disabled_plugins)

    @property
    def names(self) -> list[str]:
        """The names of the plugins that are active."""
        return sorted(name for name, plugin in self._manager.list_name_plugin() if plugin is not None)

    @property
    def loaded(self) -> list[Loaded]:
        """The plugins that are active, by name, and what each has."""
        return [Loaded(name, self._origins.get(name) or _GIVEN, self._hooks(name)) for name in self.names]

    def _hooks(self, name: str) -> tuple[str, ...]:
        """Name the hooks that a plugin has."""
        callers = self._manager.get_hookcallers(self._manager.get_plugin(name)) or ()
        return tuple(sorted(caller.name for caller in callers))

    def _tell_unknown(self, disabled: Iterable[str]) -> None:
        """Warn of names that are to be left out, and that no plugin has: what was meant is loaded all the same."""
        known = {BUILTIN, *(entry.name for entry in installed()), *self.names}
        for name in sorted(set(disabled) - known):
            _warn_once(
                f"REPLICATE_KIT_DISABLE_PLUGINS names {name!r}, and there is no such plugin."
                f"{did_you_mean(name, sorted(known))} `replicate-kit plugins` lists those that are loaded."
            )

    def _register_installed(self, entry: EntryPoint) -> None:
        """Register a plugin of an installed distribution, or note why it could not be."""
        try:
            self._register(_load(entry), entry.name, origin_of(entry))
        except BaseException as error:  # whatever a plugin's import may raise, or end the program with
            if ends_program(error):
                raise
            self._failed(entry.name, origin_of(entry), error)

    def _failed(self, name: str, origin: str, error: BaseException, hook: str | None = None) -> None:
        """Note that a plugin of an installed distribution is of no use, or raise if that was asked for."""
        failure = Failure(name, origin, reason_of(error), hook)
        if self._strict:
            raise PluginError(
                f"{failure}\nUpdate or uninstall it, or set REPLICATE_KIT_DISABLE_PLUGINS={name}."
            ) from error
        self.failures.append(failure)
        self._tell(failure, error)

    def _register(self, plugin: object, name: str, origin: str | None = None) -> None:
        """Register a plugin, check that its hooks exist with these arguments, and have its errors name it."""
        if isinstance(plugin, str | bytes):
            raise ConfigError(
                f"plugins= takes objects with hooks, and {plugin!r} is a text. Installed plugins are found by "
                "themselves; REPLICATE_KIT_DISABLE_PLUGINS=name leaves one out."
            )
        if self._manager.is_registered(plugin):
            return  # it was given, and is installed as well
        if self._manager.has_plugin(name):
            raise PluginError(f"Two plugins are named {name!r}. Rename or uninstall one of the two.")
        try:
            if wrong := checking.mistake(plugin, self._manager):
                raise ValueError(wrong)
            self._manager.register(plugin, name=name)
        except (pluggy.PluginValidationError, ValueError, SystemExit) as error:
            if ends_program(error):
                raise
            if self._manager.is_registered(plugin):
                self._manager.unregister(plugin)
            raise PluginError(f"{_subject(name, origin)} breaks a rule of the hooks: {error}") from error
        for remark in checking.never_called(plugin, self._manager):
            _warn_once(f"The plugin {name!r}{f' of {origin}' if origin else ''}: {remark}")
        if not self._manager.get_hookcallers(plugin):
            self._manager.unregister(plugin)
            raise PluginError(
                f"{_subject(name, origin)} has no hooks. Mark its functions with replicate_kit.hookimpl; docs/hooks.md "
                "lists their names."
            )
        self._guard(plugin, name, origin)

    def _guard(self, plugin: object, name: str, origin: str | None) -> None:
        """Have what a plugin raises in its hooks name it."""
        self._origins[name] = origin
        for caller in self._manager.get_hookcallers(plugin) or ():
            for impl in caller.get_hookimpls():
                if impl.plugin is plugin:
                    guarded = HookOf(caller.name, name, origin).guard(
                        impl.function, checking.KINDS.get(caller.name)
                    )
                    # Declared final; pluggy itself cannot say whose function raised.
                    impl.function = guarded  # type: ignore[misc]

    def asked(self, hook: str) -> Iterator[tuple[HookOf, pluggy.HookCaller]]:
        """Take a hook plugin by plugin, each with what calls it there."""
        for name, caller in each_plugin(self._manager, hook):
            yield HookOf(hook, name, self._origins.get(name)), caller

    def resources(self, reserved: Collection[str] = ()) -> Contributions:
        """The groups of operations, by the name they have on a client, which has others that are `reserved`."""
        return merged(self.asked("replicate_resources"), "resource", reserved)

    def backends(self) -> Contributions:
        """The backends, by name."""
        return merged(self.asked("replicate_backends"), "backend")

    def backend(self, given: str | Backend | Simulator) -> Backend:
        """Give the backend of this name, the one that was given, or the mock over a simulator.

        Raises `ConfigError` for what is none of these.
        """
        if isinstance(given, str):
            return check_abilities(self._backend_named(given))
        return check_abilities(given) if isinstance(given, Backend) else _mock_of(given)

    def _backend_named(self, name: str) -> Backend:
        """Make the backend of this name."""
        backends = self.backends()
        if name not in backends:
            raise ConfigError(
                f"There is no backend {name!r}. There are: {', '.join(sorted(backends))}. "
                "Pass one of them as Client(backend=…) or REPLICATE_KIT_BACKEND, or install the plugin "
                "that adds it."
            )
        made: Backend = backends.made(name)
        return made

    def layers(self, config: Config) -> list[Layer]:
        """The layers around the transport, innermost first."""
        return [
            layer
            for layer in self._manager.hook.replicate_transport_layer(config=config)
            if layer is not None
        ]

    def add_commands(self, cli: Any, ours: Collection[str] = ()) -> Mapping[str, str]:
        """Let plugins add their commands to the command line, and give the plugin of each that was added.

        A plugin that fails is noted in `failures`, and so is one that adds a command of `ours` or of another plugin:
        that command stays whose it was.
        """
        owners = owners_of((*ours, *cli.commands))
        for who, caller in self.asked("replicate_commands"):
            before = dict(cli.commands)
            self._add_commands(who, caller, cli)
            added = {name for name, command in cli.commands.items() if command is not before.get(name)}
            for name in sorted(added & owners.keys()):
                self._failed_in(who, clash(name, "command", owners[name], who))
                del cli.commands[name]
            cli.commands.update(before)
            owners |= dict.fromkeys(added - owners.keys(), who)
        return {name: owner.plugin for name, owner in owners.items() if owner.plugin != BUILTIN}

    def _add_commands(self, who: HookOf, caller: pluggy.HookCaller, cli: Any) -> None:
        """Let one plugin add its commands, and note if it fails."""
        try:
            caller(cli=cli)
        except BaseException as error:  # whatever a plugin's own imports may raise
            if ends_program(error):
                raise
            is_named = isinstance(error, PluginError) and error.hook is not None
            self._failed_in(who, (is_named and error.__cause__) or error)

    def _failed_in(self, who: HookOf, error: BaseException) -> None:
        """Note that a plugin has failed in a hook, or raise if that was asked for."""
        self._failed(who.plugin, who.origin or _GIVEN, error, who.hook)


def _mock_of(given: Any) -> Backend:
    """Let a simulator answer."""
    # Only now: whoever has a simulator has loaded it, and other clients do without it.
    from replicate_kit.backends.mock import MockBackend
    from replicate_kit.simulator import Simulator

    if isinstance(given, Simulator):
        return MockBackend(given)
    raise ConfigError(
        f"{given!r:.200} is no backend. Pass Client(backend=…) the name of one, an object with the methods of "
        "replicate_kit.transport.Backend, or a Simulator."
    )


def reason_of(error: BaseException) -> str:
    """Say what has failed: an error of ours says it by itself."""
    return str(error) if isinstance(error, PluginError) else described(error)


def origin_of(entry: EntryPoint) -> str:
    """Name the distribution of a plugin, with its version."""
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else "an unknown distribution"


@functools.cache
def _load(entry: EntryPoint) -> Any:
    """Import a plugin once for all clients."""
    return entry.load()


_TOLD = set[str]()


def take_as_told(failure: Failure, _: BaseException) -> None:
    """Have no client warn of a failure that is told in another way: `tell` of who does that."""
    _TOLD.add(str(failure))


def _warn_once(message: str) -> None:
    """Report a failure once in a process, not once a client."""
    if message not in _TOLD:
        _TOLD.add(message)
        log.warning("%s", message)


def _subject(name: str, origin: str | None) -> str:
    """What a sentence on a plugin begins with: the failure of an installed one has named it already."""
    return "It" if origin else f"The plugin {name!r}"


def _name_of(plugin: object) -> str:
    """Name a plugin that was given as an object, telling apart two of the same class."""
    named = getattr(plugin, "__name__", None)
    return str(named) if named else f"{type(plugin).__name__}-{id(plugin):x}"
