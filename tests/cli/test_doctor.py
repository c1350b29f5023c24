"""`replicate-kit doctor` and `completion`: what would be used, and what a shell needs."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from shutil import which

import pytest
from click.testing import CliRunner, Result

from replicate_kit._plugins import registry
from replicate_kit.cli import cli
from replicate_kit.serving import Server

Invoke = Callable[..., Result]
TOKEN = "r8_canary"


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name in ("REPLICATE_API_TOKEN", "REPLICATE_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def findings(*options: str, code: int, **environment: str) -> dict[str, tuple[str, str | None]]:
    """What `doctor --json` found; it must end with `code`."""
    result = CliRunner(env=environment).invoke(cli, ["doctor", "--json", *options], catch_exceptions=False)
    assert result.exit_code == code, result.output
    assert TOKEN not in result.output
    return {each["what"]: (each["found"], each["problem"]) for each in json.loads(result.stdout)}


def test_the_mock_needs_nothing(invoke: Invoke) -> None:
    result = invoke("doctor")
    assert (result.exit_code, result.stderr) == (0, "")
    found = dict(line.split("\t", 1) for line in result.stdout.splitlines())
    assert found["backend"] == "mock (REPLICATE_KIT_BACKEND)"
    assert found["packages"].startswith("replicate-kit ")
    assert "builtin" in found["plugins"]
    assert {"python", "cache", "TLS", "timeout", "limits", "reached"} <= found.keys()


@pytest.mark.parametrize("strict", ["", "1"])
def test_a_plugin_that_failed_is_told_once(
    strict: str, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    entries = (*registry.installed(), EntryPoint("odd", "there_is_no_such_module", "replicate_kit"))
    monkeypatch.setattr(registry, "installed", lambda: entries)
    monkeypatch.setattr(registry, "_TOLD", set())
    monkeypatch.setenv("REPLICATE_KIT_STRICT_PLUGINS", strict)
    result = invoke("doctor")
    assert result.exit_code == 1
    assert (result.stderr + caplog.text).count("No module named 'there_is_no_such_module'") == 1
    assert "REPLICATE_KIT_DISABLE_PLUGINS=odd" in result.stderr


def test_a_service_that_is_reached_says_as_whom_and_the_token_is_not_shown() -> None:
    with Server(https=False, port=0) as server:
        where = {
            "REPLICATE_BASE_URL": server.url,
            "REPLICATE_API_TOKEN": TOKEN,
            "REPLICATE_KIT_BACKEND": "http",
        }
        found = findings(code=0, **where)
    assert found["reached"] == ("yes, as local", None)
    assert found["token"] == ("set, in REPLICATE_API_TOKEN", None)
    assert found["base URL"][0] == f"{server.url.rstrip('/')}/v1 (REPLICATE_BASE_URL)"


@pytest.mark.parametrize(
    ("options", "environment", "what", "said"),
    [
        ((), {}, "token", "Run `replicate-kit auth login` or set REPLICATE_API_TOKEN"),
        ((), {"REPLICATE_API_TOKEN": f"{TOKEN} {TOKEN}"}, "token", "holds characters that cannot be sent"),
        (
            ("--base-url", "http://127.0.0.1:9"),
            {"REPLICATE_API_TOKEN": TOKEN},
            "reached",
            "could not connect",
        ),
        (("--base-url", "here"), {}, "settings", "--base-url 'here' is not an http(s) URL"),
        (("--backend", "moon"), {}, "settings", "moon"),
        ((), {"HTTPS_PROXY": "http://me:pw@[", "REPLICATE_API_TOKEN": ""}, "proxies", "HTTPS_PROXY"),
        ((), {"XDG_CACHE_HOME": "/dev/null"}, "cache", "It cannot be used"),
    ],
)
def test_what_is_wrong_is_told_with_what_to_do(
    options: tuple[str, ...], environment: dict[str, str], what: str, said: str
) -> None:
    problem = findings(*options, code=1, **{"REPLICATE_KIT_BACKEND": "http", **environment})[what][1]
    assert problem is not None
    assert said in problem


def test_a_proxy_is_shown_without_its_password() -> None:
    proxy = {"HTTPS_PROXY": f"http://me:{TOKEN}@proxy:3128", "REPLICATE_KIT_BACKEND": "http"}
    assert findings(code=1, **proxy)["proxies"][0] == "https:// http://…@proxy:3128 (HTTPS_PROXY)"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_that_the_shell_can_read(invoke: Invoke, shell: str, tmp_path: Path) -> None:
    result = invoke("completion", shell)
    assert result.exit_code == 0
    assert f"_REPLICATE_KIT_COMPLETE={shell}_complete" in result.stdout
    if which(shell) is None:
        pytest.skip(f"there is no {shell} here")
    (tmp_path / "script").write_text(result.stdout)
    assert subprocess.run([shell, "-n", tmp_path / "script"], check=False).returncode == 0


def test_completion_is_for_shells_that_there_are(invoke: Invoke) -> None:
    assert invoke("completion", "tcsh").exit_code == 2
