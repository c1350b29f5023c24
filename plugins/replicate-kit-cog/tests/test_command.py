"""`replicate-kit cog …`, where Cog is not installed; with it, see the folder "servers"."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from replicate_kit_cog.serving import free_port

from replicate_kit.cli import cli

from .standin import StandIn


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli, ["cog", *arguments])
    return done.exit_code, f"{done.output}{done.exception or ''}"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (None, "is no folder"),
        ({}, "neither cog.yaml nor predict.py"),
        ({"predict.py": ""}, "Cog is not installed in"),
        ({"cog.yaml": "{"}, "Cog is not installed in"),
    ],
)
def test_what_cannot_be_served_is_told(files: dict[str, str] | None, said: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    if files is not None:
        folder.mkdir()
        for name, text in files.items():
            (folder / name).write_text(text)
    code, output = run("serve", str(folder))
    assert code != 0
    assert said in output


def test_a_python_that_is_not_there_is_told(tmp_path: Path) -> None:
    (tmp_path / "predict.py").touch()
    assert "not installed in /no/python" in run("serve", str(tmp_path), "--python", "/no/python")[1]


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ({}, 0, "READY, Cog 0.23.1; inputs: file, prompt"),
        ({"dialect": "0.16", "schema": None}, 0, "READY, Cog before 0.17; inputs: unknown"),
        ({"status": "STARTING"}, 1, "STARTING, Cog 0.23.1: it is still starting"),
        ({"status": "UNHEALTHY"}, 1, "its worker has crashed"),
        ({"status": "SETUP_FAILED"}, 1, "(it said: no weights)"),
    ],
)
def test_a_server_is_looked_at(
    options: dict[str, object], code: int, said: str, start: Callable[..., StandIn]
) -> None:
    server = start(**options)
    found = run("status", server.url)
    assert found[0] == code
    assert said in found[1]


def test_the_environment_names_servers(server: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLICATE_KIT_COG_SERVERS", server.url)
    assert server.url in run("status")[1]
    monkeypatch.delenv("REPLICATE_KIT_COG_SERVERS")
    assert "has to know where the servers are" in run("status")[1]


def test_another_port_is_taken_where_the_usual_one_is_not_free() -> None:
    assert free_port("127.0.0.1") > 0
