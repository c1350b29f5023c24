"""`replicate-kit serve` with its options; tests/serving has it in a process of its own."""

from __future__ import annotations

import socket
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


def test_records_come_from_files(invoke: Any, servers: list[Server], tmp_path: Path) -> None:
    file, other = tmp_path / "records.json", tmp_path / "other.json"
    file.write_text('{"models": [{"owner": "acme", "name": "mine", "runs_as": "demo/poet"}]}')
    other.write_text('{"predictions": [{"id": "p1", "model": "acme/mine"}]}')
    assert "with 16 models." in invoke("serve", "--records", file, "--records", other, *PORTS).output
    result = invoke("serve", "--records", other, *PORTS)
    assert result.exit_code == 1
    problem = "predictions[0].model: there is no model 'acme/mine'; load it in \"models\"."
    assert result.stderr == f"Error: {other} cannot be loaded.\n{problem}\n"
    assert invoke("serve", "--records", tmp_path / "none.json", *PORTS).exit_code == 2


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
    output = invoke("serve", *options, "--port", 0).output
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
    assert result.exit_code == 2
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
    assert (wrong.exit_code, "no name of a host" in wrong.output) == (2, True)


def test_it_may_have_little_credit(invoke: Any, servers: list[Server]) -> None:
    for options in ([], ["--credit", "2"], ["--rate-limit", "60,90"]):
        assert invoke("serve", "--low-credit", *options, *PORTS).exit_code == 0
    assert [each._options["credit"] for each in servers] == [4.0, 2.0, 4.0]
    assert [each._options["rate_limits"][:3] for each in servers] == [(600, 3000, 6)] * 2 + [(60, 90, 6)]
    wrong = invoke("serve", "--low-credit", "--credit", "5", *PORTS)
    assert (wrong.exit_code, "means less than $5" in wrong.output) == (2, True)


@pytest.mark.parametrize("value", ["-1", "65536", "99999", "nan", "1.5", ""])
@pytest.mark.parametrize("option", ["--port", "--https-port"])
def test_a_port_that_none_can_be_is_refused(
    invoke: Any, servers: list[Server], option: str, value: str
) -> None:
    result = invoke("serve", option, value)
    assert (result.exit_code, servers) == (2, [])
    assert f"Invalid value for '{option}'" in result.output


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("--workers", ["0", "-1", "nan"]),
        ("--time-rate", ["-1", "nan", "inf", "1e308"]),
        ("--credit", ["-1", "nan", "inf"]),
        ("--rate-limit", ["0", "-1", "nan", "1,2,3", "²"]),
        ("--fault", [f"*,{each}" for each in (
            "probability=2", "probability=-1", "probability=nan", "calls=0", "calls=1+-1", "times=-1", "status=0",
            "status=999", "retry_after=-1", "truncate=-1", "delay=-1", "delay=inf", "jump=nan",
        )]),
        ("--seed", ["nan", ""]),
        ("--host", ["", " "]),
        ("--token", ["", " "]),
        ("--control-secret", [""]),
        ("--public-url", ["", "mock.example", "ftp://a", "https://", "http://a:99999", "http://a:0", "http://a b",
            "https://a/v1?b", "https://a/#b", "https://a?"]),
        ("--allow-host", ["", "a b", "http://a"]),
        ("--allow-origin", ["", "a/b"]),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_meant_is_refused(
    invoke: Any, servers: list[Server], option: str, values: list[str]
) -> None:
    for value in values:
        result = invoke("serve", *PORTS, option, value)
        assert (result.exit_code, servers) == (2, []), (value, result.output)
        assert f"Invalid value for '{option}'" in result.output


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("nowhere.invalid", "it names no address"),
        ("a b", "it names no address"),
        ("127.0.0.1:80", "it names no address"),
        ("http://localhost", "it names no address"),
        ("::zz", "it names no address"),
        ("a\0b", "it names no address"),
        ("b\u00fccher..de", "it names no address"),
        ("x" * 300, "it names no address"),
        ("203.0.113.7", "it is no address of this machine"),
    ],
)
def test_a_host_that_cannot_be_listened_on_is_told_as_such(
    invoke: Any, servers: list[Server], host: str, why: str
) -> None:
    result = invoke("serve", *PORTS, "--host", host)
    assert (result.exit_code, servers) == (2, [])
    assert f"Cannot listen on the host {host!r}: {why}." in result.stderr
    assert "another port" not in result.stderr


def test_a_port_that_is_taken_is_told_as_such(invoke: Any, servers: list[Server]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        result = invoke("serve", "--no-https", "--port", other.getsockname()[1])
    assert (result.exit_code, servers) == (1, [])
    assert "Address already in use. Choose another port; 0 takes any." in result.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--no-http", "--port", 9000), "--port does nothing with --no-http"),
        (("--no-https", "--https-port", 9000), "--https-port does nothing with --no-https"),
        (("--no-https", "--authority", "ca.pem"), "--authority does nothing with --no-https"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(
    invoke: Any, servers: list[Server], options: tuple[object, ...], said: str
) -> None:
    result = invoke("serve", *options)
    assert (result.exit_code, servers) == (2, [])
    assert said in result.output
