"""The group of all commands: finding them, plugins' commands, telling errors."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from replicate_kit import hookimpl
from replicate_kit._plugins.registry import Plugins
from replicate_kit.cli import cli
from replicate_kit.cli._group import BUILTIN, CommandLine
from replicate_kit.config import Config
from replicate_kit.errors import ModelError, PluginError
from replicate_kit.serving import Server

Invoke = Callable[..., Result]


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_version_is_that_of_the_distribution(invoke: Invoke) -> None:
    assert invoke("--version").output == f"replicate-kit, version {version('replicate-kit')}\n"


def test_help_names_every_command_and_keeps_its_lines(invoke: Invoke) -> None:
    text = invoke("--help").output
    assert all(f"\n  {name} " in text for name in BUILTIN)
    assert "\n    replicate-kit demo\n" in text
    assert "replicate-kit completion bash" in text


@pytest.mark.parametrize("name", BUILTIN)
def test_every_command_explains_itself(invoke: Invoke, name: str) -> None:
    result = invoke(name, "--help")
    assert result.exit_code == 0
    assert f"Usage: cli {name}" in result.output


def test_unknown_command_says_which_was_meant(invoke: Invoke) -> None:
    result = invoke("preditions", "list")
    assert result.exit_code == 2
    assert "There is no command 'preditions'. Did you mean 'predictions'?" in result.output
    assert "`replicate-kit --help` lists" in invoke("xyzzy").output


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        *(
            (name.removesuffix("s"), name)
            for name in ("predictions", "models", "trainings", "deployments", "collections")
        ),
        *(
            ("p", "predictions"),
            ("m", "models"),
            ("t", "trainings"),
            ("hw", "hardware"),
            ("model show", "models get"),
            ("p show", "predictions get"),
        ),
    ],
)
def test_commands_answer_to_the_names_that_replicate_has_for_them(
    invoke: Invoke, typed: str, meant: str
) -> None:
    shown, expected = (invoke(*words.split(), "--help") for words in (typed, meant))
    assert shown.exit_code == 0
    assert shown.output.partition("\n")[2] == expected.output.partition("\n")[2]
    assert f"\n  {typed.split()[-1]} " not in invoke(*typed.split()[:-1], "--help").output


def test_unknown_command_of_a_group_says_which_was_meant(invoke: Invoke) -> None:
    result = invoke("model", "shwo")
    assert result.exit_code == 2
    assert "There is no command 'shwo'. Did you mean 'show'?" in result.stderr
    assert "`replicate-kit model --help` lists" in invoke("model", "xyzzy").stderr


@pytest.mark.parametrize("part", ["click", "rich"])
def test_entry_point_says_how_to_install_the_extra(part: str) -> None:
    done = python(
        f"import sys; sys.modules[{part!r}] = None; from replicate_kit.__main__ import main; main()"
    )
    assert done.returncode == 1
    assert f"The command line ({part}) needs an optional part" in done.stderr
    assert 'pip install "replicate-kit[cli]"' in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("part", ["click", "rich"])
def test_importing_the_command_line_names_the_extra(part: str) -> None:
    done = python(f"import sys; sys.modules[{part!r}] = None; import replicate_kit.cli")
    assert "MissingExtraError" in done.stderr
    assert 'pip install "replicate-kit[cli]"' in done.stderr


def test_help_loads_neither_dataframes_nor_the_http_client() -> None:
    heavy = "'pandas', 'numpy', 'pyarrow', 'fsspec', 'starlette', 'uvicorn', 'rich', 'replicate_kit.client'"
    done = python(
        "import sys; from replicate_kit.cli import cli; cli(['--help'], standalone_mode=False)\n"
        f"print([each for each in ({heavy},) if each in sys.modules])"
    )
    assert done.stdout.endswith("\n[]\n"), done.stdout + done.stderr


def test_what_to_do_without_a_token_is_what_can_be_typed(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLICATE_KIT_BACKEND", "http")
    told = invoke("run", "demo/poet", "prompt=sea").stderr
    assert "use --backend mock or set REPLICATE_KIT_BACKEND=mock" in told
    assert "Client(" not in told
    assert "Pass one of them as --backend or" in invoke("run", "demo/poet", "--backend", "moon").stderr
    assert "--base-url 'here' is not" in invoke("run", "demo/poet", "--base-url", "here").stderr


def test_missing_model_is_told_without_a_traceback(invoke: Invoke) -> None:
    result = invoke("run", "nobody/nothing", "prompt=sea")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert "nobody/nothing" in result.stderr
    assert result.stdout == ""


def refused(path: str, *_: object, **__: object) -> None:
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def test_what_the_system_refuses_is_told_without_a_traceback(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "mkdir", refused)
    result = invoke("run", "demo/poet", "prompt=sea", "--save-to", tmp_path / "below")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert "Permission denied" in result.stderr
    assert "Errno" not in result.stderr


def test_debug_shows_the_traceback(invoke: Invoke) -> None:
    for arguments in (("--debug", "run"), ("run", "--debug")):
        with pytest.raises(ModelError):
            invoke(*arguments, "demo/flaky", "prompt=sea", "failure_rate=1")


def test_ctrl_c_ends_with_130() -> None:
    group = CommandLine("cli")

    @group.command()
    def sleep() -> None:
        stop = KeyboardInterrupt()
        stop.add_note("The prediction abc is now 'canceled'.")
        raise stop

    group._plugins = Plugins(Config(backend="mock"))
    result = CliRunner().invoke(group, ["sleep"])
    assert result.exit_code == 130
    assert result.stderr == "Interrupted.\nThe prediction abc is now 'canceled'.\n"


class Broken:
    @hookimpl
    def replicate_commands(self, cli: click.Group) -> None:
        raise RuntimeError("out of order")


class Greeting:
    @hookimpl
    def replicate_commands(self, cli: click.Group) -> None:
        @cli.command()
        def hello() -> None:
            click.echo("hello")


def test_plugin_whose_commands_fail_is_noted_and_takes_nobody_along() -> None:
    plugins, group = Plugins(Config(backend="mock"), [Broken(), Greeting()]), click.Group()
    plugins.add_commands(group)
    assert "hello" in group.commands
    assert [failure.reason for failure in plugins.failures] == ["RuntimeError: out of order"]


def test_plugin_whose_commands_fail_is_an_error_in_strict_mode() -> None:
    with pytest.raises(PluginError, match="out of order"):
        Plugins(Config(backend="mock", strict_plugins=True), [Broken()]).add_commands(click.Group())


def test_plugins_lists_what_packages_add(invoke: Invoke) -> None:
    result = invoke("plugins")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = [line.split("\t") for line in result.stdout.splitlines()]
    shown = {name: (package.partition(" ")[0], status, adds) for name, package, status, adds in lines}
    assert shown["fsspec"][:2] == ("replicate-kit-fsspec", "loaded")
    assert shown["fsspec"][2].startswith(
        "stores any URL; hooks replicate_check_target, replicate_encode_input"
    )
    assert "backends fast, http, httpx2, mock; stores local folders, file:" in shown["builtin"][2]
    assert shown["pandas"] == ("replicate-kit-pandas", "loaded", "accessors pandas")
    assert shown["postgresql"] == ("replicate-kit-postgres", "loaded", "ledgers postgresql:")


def test_plugins_can_be_read_by_programs(invoke: Invoke) -> None:
    (builtin,) = (
        each for each in json.loads(invoke("plugins", "--json").stdout) if each["name"] == "builtin"
    )
    assert (builtin["kind"], builtin["status"], builtin["reason"]) == ("plugin", "loaded", None)
    assert "mock" in builtin["adds"]["backends"]
    assert "replicate_backends" in builtin["hooks"]


def test_plugins_refuses_a_misspelt_command(invoke: Invoke) -> None:
    result = invoke("plugins", "nwe")
    assert result.exit_code == 2
    assert "There is no command 'nwe'." in result.stderr


def test_plugins_that_break_a_rule_do_not_take_the_command_line_along(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PluginError("two plugins quarrel")

    monkeypatch.setattr(cli, "_plugins", None, raising=False)
    monkeypatch.delattr(cli, "_plugins")
    monkeypatch.setattr(Plugins, "add_commands", refuse)
    result = invoke("--help")
    assert result.exit_code == 0
    assert "The plugins' commands are missing: two plugins quarrel" in result.stderr


def test_errors_of_a_real_service_say_where_to_look(monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(https=False, port=0) as server:
        arguments = ["run", "demo/flaky", "prompt=sea", "failure_rate=1", "--base-url", server.url]
        environment = {"REPLICATE_KIT_BACKEND": "http", "REPLICATE_API_TOKEN": "any"}
        result = CliRunner(env=environment).invoke(cli, arguments)
        assert result.exit_code == 1
        id = result.stderr.split("replicate-kit predictions get ")[1].strip()
        shown = CliRunner(env=environment).invoke(
            cli, ["predictions", "get", id, "--backend", "http", "--base-url", server.url]
        )
    assert "status\tfailed\n" in shown.stdout


def test_plugins_exits_with_1_if_one_failed(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(entry: object) -> object:
        raise ImportError("no module named surf")

    monkeypatch.setattr("replicate_kit._plugins.registry._load", fail)
    result = invoke("plugins")
    assert result.exit_code == 1
    assert "failed\tImportError: no module named surf" in result.stdout
    packages = "replicate-kit-cog 0.1.0, replicate-kit-fsspec 0.1.0, replicate-kit-opentelemetry 0.1.0"
    assert f"Update or uninstall {packages}. With --debug this shows where each failed.\n" in result.stderr
    assert "Or set REPLICATE_KIT_DISABLE_PLUGINS=cog,fsspec,opentelemetry to do without." in result.stderr
    assert "did not load" not in result.stderr  # it stands in the table already
    assert "Traceback" not in result.stderr
    assert "ImportError: no module named surf" in invoke("plugins", "--debug").stderr
