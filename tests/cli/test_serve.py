"""`replicate-kit serve` with its options; tests/serving has it in a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from replicate_kit.serving import Server

PORTS = ("--port", 0, "--https-port", 0)


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> list[Server]:
    """Servers that the command has started; each stops as soon as it is ready."""
    started: list[Server] = []
    run = Server.run

    def run_and_stop(self: Server, ready: Callable[[], None] = lambda: None) -> None:
        def greeted() -> None:
            ready()
            started.append(self)
            self.stop()

        run(self, greeted)

    monkeypatch.setattr(Server, "run", run_and_stop)
    return started


def test_it_says_where_it_is_and_stops(invoke: Any, servers: list[Server]) -> None:
    result = invoke("serve", *PORTS)
    assert result.exit_code == 0, result.output
    assert "Replicate in a box, with 15 models." in result.output
    for words in ("SSL_CERT_FILE=", "NODE_EXTRA_CA_CERTS=", "base_url=", "baseUrl:", "/_control"):
        assert words in result.output
    assert "Stopped." in result.output
    assert len(servers) == 1


def test_models_come_from_files(invoke: Any, servers: list[Server], tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def echo(text: str) -> str:\n    return text\n")
    assert "with 1 model." in invoke("serve", file, *PORTS).output
    assert "with 16 models." in invoke("serve", file, "--demo", *PORTS).output


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def echo(\n", "mine.py, line 1: '(' was never closed"),
        (
            "\nimport nowhere_at_all\n",
            "mine.py, line 2: ModuleNotFoundError: No module named 'nowhere_at_all'",
        ),
        ("def f():\n    return 1 / 0\n\nf()\n", "mine.py, line 2: ZeroDivisionError: division by zero"),
        ("import sys\nsys.exit(0)\n", "mine.py, line 2: SystemExit: 0"),
        ("\nraise GeneratorExit\n", "mine.py, line 2: GeneratorExit"),
    ],
)
def test_a_file_that_does_not_run_is_told_with_its_line(
    invoke: Any, tmp_path: Path, text: str, said: str
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(text)
    result = invoke("serve", file, *PORTS)
    assert result.exit_code == 1
    assert result.stderr == f"Error: {tmp_path / said}\n"
    with pytest.raises(ImportError) as debugged:
        invoke("serve", file, *PORTS, "--debug")
    assert debugged.value.__cause__ is not None


def test_options_reach_the_simulator(invoke: Any, servers: list[Server], tmp_path: Path) -> None:
    options = ["--fault", "hardware.list,status=503", "--time-rate", 0, "--rate-limit", "6,30", "--seed", 7]
    assert invoke("serve", *options, "--authority", tmp_path / "ca.pem", *PORTS).exit_code == 0
    (server,) = servers
    assert [each.operation for each in server.simulator.faults] == ["hardware.list"]
    assert server.simulator.clock.now() == server.simulator.clock.now()
    assert "BEGIN CERTIFICATE" in (tmp_path / "ca.pem").read_text()


def test_a_public_url_and_a_secret_are_told(invoke: Any, servers: list[Server]) -> None:
    options = ("--public-url", "https://mock.example", "--control-secret", "s3cret", "--no-https")
    output = invoke("serve", *options, *PORTS).output
    assert 'baseUrl: "https://mock.example/v1"' in output
    assert "https://mock.example/?secret=s3cret" in output


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--fault", "x,nonsense=1"), "A fault has no 'nonsense'"),
        (("--rate-limit", "many"), "requests a minute"),
        (("--rate-limit", "0"), "requests a minute"),
        (("--no-http", "--no-https"), "HTTP, HTTPS or both"),
        (("missing.py",), "does not exist"),
    ],
)
def test_what_cannot_be_is_refused(
    options: tuple[str, ...], said: str, invoke: Any, servers: list[Server]
) -> None:
    result = invoke("serve", *options, *PORTS)
    assert result.exit_code in (1, 2)
    assert said in result.output
    assert servers == []


def test_a_file_without_models_is_told(invoke: Any, servers: list[Server], tmp_path: Path) -> None:
    (tmp_path / "empty.py").write_text("")
    result = invoke("serve", tmp_path / "empty.py", *PORTS)
    assert result.exit_code == 1
    assert "There is no function in" in result.output


def test_it_may_let_in_who_has_no_token(invoke: Any, servers: list[Server]) -> None:
    assert invoke("serve", *PORTS).exit_code == 0
    assert (
        invoke("serve", "--no-auth", "--allow-host", "mock", "--allow-origin", "http://a:1", *PORTS).exit_code
        == 0
    )
    assert [each._options["require_token"] for each in servers] == [True, False]
    assert invoke("serve", "--no-auth", "--token", "x", *PORTS).exit_code == 2
    wrong = invoke("serve", "--allow-host", "http://mock", *PORTS)
    assert (wrong.exit_code, "no name of a host" in wrong.output) == (1, True)
