"""Plugins: found by entry point or given, reported when they fail, and refused when they break a rule."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

import click
import pytest

from replicate_kit import Client, Resource, hookimpl
from replicate_kit._http import hook_calls
from replicate_kit._plugins import registry
from replicate_kit._plugins.registry import Plugins
from replicate_kit.backends.mock import MockBackend
from replicate_kit.config import Config
from replicate_kit.errors import ConfigError, FileError, MissingExtraError, PluginError
from replicate_kit.simulator import Simulator

Install = Callable[..., None]

ADDS = """
class Boards(Resource):
    pass

@hookimpl
def replicate_resources():
    return {"boards": Boards}
"""


def offline(**options: Any) -> Client:
    return Client(backend="mock", **options)


def test_an_installed_plugin_is_found(install: Install) -> None:
    install("boards", ADDS)
    client = offline()
    assert "boards" in client.plugins.names
    assert "boards" in dir(client)
    assert isinstance(client.boards, Resource)


def test_plugins_tell_where_they_are_from_and_what_they_have(install: Install) -> None:
    install("boards", ADDS)
    loaded = {each.name: each for each in offline(plugins=[Adding({})]).plugins.loaded}
    assert loaded["boards"].distribution == "dist-boards 1.5"
    assert loaded["boards"].hooks == ("replicate_resources",)
    assert loaded["builtin"].distribution.startswith("replicate-kit ")
    assert "given to the client" in {each.distribution for each in loaded.values()}


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise RuntimeError('broken')", "RuntimeError: broken"),
        ("import sys; sys.exit()", "SystemExit"),
        ("import sys; sys.exit('no licence')", "SystemExit: no licence"),
        ("import asyncio; raise asyncio.CancelledError", "CancelledError"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("import pytest; pytest.skip('not here', allow_module_level=True)", "Skipped: not here"),
        (
            "class Odd(BaseException):\n    def __str__(self): raise ValueError\nraise Odd",
            "Odd (what it says cannot be shown)",
        ),
        (
            "@hookimpl\ndef replicate_resource():\n    return {}",
            "Did you mean 'replicate_resources'?",
        ),
        (
            "@hookimpl\ndef replicate_resources(session):\n    return {}",
            "has no argument 'session'. It takes none.",
        ),
    ],
    ids=[
        "import",
        "error",
        "exit",
        "exit with a text",
        "canceled",
        "closed",
        "skipped",
        "odd",
        "misspelt",
        "arguments",
    ],
)
def test_a_plugin_that_does_not_load_is_reported_and_takes_nothing_along(
    install: Install, caplog: pytest.LogCaptureFixture, source: str, reason: str
) -> None:
    install("bad", source)
    install("boards", ADDS)
    for _ in range(2):
        client = offline()
        assert client.boards is not None
        (failure,) = client.plugins.failures
        assert (failure.name, failure.distribution) == ("bad", "dist-bad 1.5")
        assert reason in failure.reason
        assert "bad" not in client.plugins.names
    (record,) = caplog.records  # once in a process, not once a client
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith("The plugin 'bad' of dist-bad 1.5 did not load: ")


@pytest.mark.parametrize("hook", ["replicate_resources", "replicate_backends"])
def test_a_plugin_that_ends_the_program_instead_of_adding_something_is_named(
    install: Install, hook: str
) -> None:
    install("bad", f"@hookimpl\ndef {hook}():\n    raise SystemExit(4)")
    with pytest.raises(
        PluginError, match=rf"'bad' of dist-bad 1\.5 failed in {hook}: SystemExit: 4\n.*DISABLE_PLUGINS=bad"
    ):
        offline()


def test_a_plugin_that_ends_the_program_instead_of_adding_commands_is_listed(install: Install) -> None:
    install("bad", "@hookimpl\ndef replicate_commands(cli):\n    raise SystemExit(4)")
    found = offline().plugins
    found.add_commands(click.Group())
    assert [each.reason for each in found.failures] == ["SystemExit: 4"]


def test_ctrl_c_while_a_plugin_is_imported_is_not_lost(install: Install) -> None:
    install("slow", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        offline()


def test_strict_plugins_make_a_failure_an_error(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("bad", "raise RuntimeError('broken')")
    monkeypatch.setenv("REPLICATE_KIT_STRICT_PLUGINS", "1")
    with pytest.raises(
        PluginError, match=r"'bad' of dist-bad 1\.5 did not load: RuntimeError: broken\n.*DISABLE_PLUGINS=bad"
    ):
        offline()
    monkeypatch.setenv("REPLICATE_KIT_DISABLE_PLUGINS", "bad")
    assert offline().plugins.failures == []


def test_disabled_plugins_are_not_even_imported(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("bad", "raise AssertionError('was imported')")
    monkeypatch.setenv("REPLICATE_KIT_DISABLE_PLUGINS", "other, bad")
    client = offline()
    assert client.plugins.failures == []
    assert "bad" not in client.plugins.names


def test_two_installed_plugins_of_one_name_leave_the_first(install: Install) -> None:
    install("boards", ADDS, "dist-one")
    install("boards", ADDS, "dist-two")
    client = offline()
    (failure,) = client.plugins.failures
    assert failure.distribution in ("dist-one 1.5", "dist-two 1.5")
    assert "Two plugins are named 'boards'" in failure.reason
    assert client.boards is not None


def test_a_plugin_that_is_installed_may_be_given_as_well(install: Install) -> None:
    install("boards", ADDS)
    (module,) = (registry._load(entry) for entry in registry.installed() if entry.name == "boards")
    client = offline(plugins=[module])
    assert client.plugins.failures == []
    assert client.boards is not None


class Adding:
    """A plugin that adds resources, or what it is told to."""

    def __init__(self, resources: Any) -> None:
        self.resources = resources

    @hookimpl
    def replicate_resources(self) -> Mapping[str, type[Resource]]:
        if isinstance(self.resources, Exception):
            raise self.resources
        return self.resources  # type: ignore[no-any-return]


class Second(Adding):
    """Another one."""


def test_a_name_that_two_plugins_use_is_an_error_that_names_both() -> None:
    class Boards(Resource):
        pass

    with pytest.raises(
        PluginError, match=r"The plugins 'Second-\w+' and 'Adding-\w+' both add a resource named 'boards'"
    ):
        offline(plugins=[Second({"boards": Boards}), Adding({"boards": Boards})])
    with pytest.raises(
        PluginError,
        match=r"The plugin 'Adding-\w+' adds a resource named 'models', which replicate-kit has itself",
    ):
        offline(plugins=[Adding({"models": Boards})])


@pytest.mark.parametrize("name", ["run", "map", "config", "session", "plugins", "close", "__dict__"])
def test_a_resource_that_could_not_be_reached_is_an_error(name: str) -> None:
    said = f"adds a resource named {name!r}, which replicate-kit has itself. Rename it."
    with pytest.raises(PluginError, match=re.escape(said)):
        offline(plugins=[Adding({name: Resource})])


def test_backends_conflict_in_the_same_way() -> None:
    class Another:
        @hookimpl
        def replicate_backends(self) -> Mapping[str, Any]:
            return {"mock": MockBackend}

    with pytest.raises(PluginError, match="adds a backend named 'mock', which replicate-kit has itself"):
        offline(plugins=[Another()])


@pytest.mark.parametrize(
    "resources", [RuntimeError("broken"), ["boards"], {5: Resource}], ids=["error", "no mapping", "no name"]
)
def test_a_plugin_whose_contribution_fails_is_named(resources: Any) -> None:
    with pytest.raises(
        PluginError, match=r"'Adding-\w+' failed in replicate_resources: .*\n.*make the client without it"
    ):
        offline(plugins=[Adding(resources)])


class Late(Mapping[str, Any]):
    """Finds its values when they are asked for, or fails to."""

    def __init__(self, **values: Any) -> None:
        self.values_by_name, self.asked = values, list[str]()

    def __getitem__(self, name: str) -> Any:
        self.asked.append(name)
        if isinstance(value := self.values_by_name[name], Exception):
            raise value
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_by_name)

    def __len__(self) -> int:
        return len(self.values_by_name)


def test_a_contribution_is_asked_for_what_is_used() -> None:
    class Boards(Resource):
        pass

    late = Late(boards=Boards, waves=Boards)
    client = offline(plugins=[Adding(late)])
    assert {"boards", "waves"} <= set(dir(client))
    assert late.asked == []
    boards = client.boards
    assert isinstance(boards, Boards)
    assert client.boards is boards
    assert set(late.asked) == {"boards"}


@pytest.mark.parametrize("error", [ImportError("no such module"), KeyError("boards")], ids=repr)
def test_a_contribution_that_fails_late_is_named_and_costs_the_others_nothing(error: Exception) -> None:
    client = offline(plugins=[Adding(Late(boards=error))])
    with pytest.raises(
        PluginError, match=r"'Adding-\w+' failed in replicate_resources: .*\n.*make the client without it"
    ):
        client.boards  # noqa: B018
    assert client.run("demo/poet", {"prompt": "sea"})


def test_a_plugin_that_gives_nothing_adds_nothing() -> None:
    assert offline(plugins=[Adding(None)]).plugins.failures == []


def test_a_misspelt_hook_of_a_given_plugin_is_an_error() -> None:
    class Misspelt:
        @hookimpl
        def replicate_encode_inputs(self, value: object) -> None:
            """There is no such hook."""

    with pytest.raises(
        PluginError, match=r"'Misspelt-.* breaks a rule of the hooks: .*replicate_encode_inputs"
    ):
        offline(plugins=[Misspelt()])


def test_a_plugin_without_a_marked_function_is_an_error() -> None:
    class Unmarked:
        def replicate_resources(self) -> dict[str, Any]:
            return {}

    with pytest.raises(PluginError, match=r"'Unmarked.*has no hooks\. Mark its functions with"):
        Plugins(Config(backend="mock"), [Unmarked()])


def test_two_objects_of_one_class_are_two_plugins() -> None:
    class Boards(Resource):
        pass

    client = offline(plugins=[Adding({"one": Boards}), Adding({"two": Boards})])
    assert {"one", "two"} <= set(dir(client))


def test_two_given_modules_of_one_name_are_an_error() -> None:
    one, two = ModuleType("same"), ModuleType("same")
    for module in (one, two):
        vars(module)["replicate_parse_reference"] = hookimpl(lambda ref: None)
    with pytest.raises(PluginError, match="Two plugins are named 'same'"):
        offline(plugins=[one, two])
    assert offline(plugins=[one, one]).plugins.failures == []


def test_an_unknown_backend_is_refused_with_those_that_exist() -> None:
    with pytest.raises(
        ConfigError,
        match=r"There is no backend 'moon'\. There are: .*fast, http, httpx2, mock.* REPLICATE_KIT_BACKEND",
    ):
        Client(backend="moon")


def test_what_a_listener_raises_costs_nobody_a_prediction(caplog: pytest.LogCaptureFixture) -> None:
    class Listener:
        @hookimpl
        def replicate_prediction_changed(self, prediction: Any) -> None:
            raise RuntimeError("broken listener")

    prediction = offline(plugins=[Listener()]).predictions.create("demo/poet", {"prompt": "sea"})
    assert prediction.id
    assert f"the prediction {prediction.id} is not affected" in caplog.text


def test_commands_of_one_plugin_do_not_depend_on_those_of_another(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        @hookimpl
        def replicate_commands(self, cli: click.Group) -> None:
            raise ImportError("no rich here")

    class Fine:
        @hookimpl
        def replicate_commands(self, cli: click.Group) -> None:
            cli.command("fine")(lambda: None)

    group = click.Group()
    both = Plugins(Config(), [Broken(), Fine()])
    both.add_commands(group)
    assert "fine" in group.commands
    assert "no rich here" in both.failures[0].reason


class Commands:
    """A plugin that adds commands."""

    def __init__(self, *names: str) -> None:
        self.names = names

    @hookimpl
    def replicate_commands(self, cli: click.Group) -> None:
        for name in self.names:
            cli.command(name, help=self.names[0])(lambda: None)


@pytest.mark.parametrize("taken", ["run", "shared"], ids=["by the package", "by another plugin"])
def test_a_command_whose_name_is_taken_is_a_failure_and_leaves_the_others(
    caplog: pytest.LogCaptureFixture, taken: str
) -> None:
    registry._TOLD.clear()
    group = click.Group()
    plugins = Plugins(Config(), [Commands("one", "shared"), Commands("two", taken)])
    plugins.add_commands(group, ("run", "map"))
    assert {"one", "shared", "two"} <= group.commands.keys()
    assert group.commands["shared"].help == "one"
    (failure,) = plugins.failures
    assert f"a command named {taken!r}" in failure.reason
    assert failure.hook == "replicate_commands"
    assert "failed in replicate_commands" in caplog.text


@pytest.mark.parametrize(
    ("folder", "extra"),
    [
        ("s3://bucket/a", "s3"),
        ("s3a://bucket/a", "s3"),
        ("S3://bucket/a", "s3"),
        ("gs://bucket/a", "gcs"),
        ("gcs://bucket/a", "gcs"),
        ("az://container/a", "azure"),
        ("abfs://container/a", "azure"),
        ("abfss://container/a", "azure"),
        ("simplecache::s3://bucket/a", "s3"),
        ("memory://shelf", "fsspec"),
        ("sftp://host/a", "fsspec"),
        ("dir://a::file:///tmp", "fsspec"),
    ],
)
@pytest.mark.parametrize("name", ["", "{prediction_id}{ext}"])
def test_without_a_plugin_that_stores_the_missing_extra_is_named(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, folder: str, extra: str, name: str
) -> None:
    monkeypatch.setenv("REPLICATE_KIT_DISABLE_PLUGINS", "fsspec")
    client = Client(backend=simulator)
    said = re.escape(f"save_to='{folder}") + ".*" + re.escape(f'pip install "replicate-kit[{extra}]"')
    for run in (client.run, client.plan, lambda *args, **options: list(client.map(*args, **options))):
        rows: Any = {"prompt": "sea"} if run == client.run else [{"prompt": "sea"}]
        with pytest.raises(MissingExtraError, match=said):
            run("demo/painter", rows, save_to=f"{folder}/{name}" if name and "::" not in folder else folder)
    assert simulator.created == 0


@pytest.mark.parametrize(
    ("folder", "match"),
    [
        ("https://example.com/a", "files cannot be saved to https"),
        ("data:,a::http://b", "files cannot be saved to data"),
        ("FILE:///tmp", "write 'file:///tmp'"),
        ("s3:/bucket/a", "Write 's3://bucket/a'"),
    ],
)
def test_without_a_plugin_that_stores_no_extra_is_offered_for_what_none_can_do(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, folder: str, match: str
) -> None:
    monkeypatch.setenv("REPLICATE_KIT_DISABLE_PLUGINS", "fsspec")
    with pytest.raises(ConfigError, match=match):
        Client(backend=simulator).run("demo/painter", {"prompt": "sea"}, save_to=folder)
    assert simulator.created == 0


def test_a_place_that_no_plugin_knows_is_refused() -> None:
    error = hook_calls._nowhere("moon://", True, "{!r}")
    assert isinstance(error, FileError)
    assert "No plugin stores files at 'moon://'" in str(error)
