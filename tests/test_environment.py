"""What the environment and httpx's options say of connections: proxies, certificates, and what cannot be read."""

from __future__ import annotations

import gc
import logging
import os
import socket
import ssl
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from replicate_kit import Client, errors
from replicate_kit.backends._options import proxies
from replicate_kit.backends._options.libraries import HTTPX
from replicate_kit.compat import replicate as stand_in
from replicate_kit.testing.suites import Drive

pytestmark = pytest.mark.usefixtures("each_library")

JSON = {"Content-Type": "application/json"}
PREDICTION = b'{"id": "p1", "status": "succeeded"}'
CA = trustme.CA()

_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE", "NETRC", "NO_PROXY", "no_proxy")


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in _VARIABLES:
        monkeypatch.delenv(name, raising=False)
    proxies._left_out.cache_clear()


@pytest.fixture
def origin(serve: Callable[..., Any]) -> Any:
    """A server that gives a prediction, whatever it is asked for."""
    return serve(lambda request: (200, JSON, PREDICTION))


def nothing_was_sent(origin: Any) -> bool:
    return not origin.received


# The family: what cannot be used is our error, of each way to send, and names the variable.

BAD_PROXIES = (
    *(
        "socks4://h:1",
        "ftp://h:1",
        "h:abc",
        "http://h:0",
        "http://h:99999",
        "http://",
        "http://:3128",
        "://x",
    ),
    *("http://h h:1", "http://[::1", "http://[fe80::/10]:3128", '"http://127.0.0.1:9"', "http://h:1:2"),
    *(
        "http://ex_ämple",
        "http://a\nb:1",
        "http://<proxy>:1",
        "http://me:sec/ret@h:1",
        "http://me:1234/ret@h:1",
        "http://me:sec#ret@h:1",
        "http://me:1234?ret@h:1",
        "http://me:sec]ret@h:x",
        "me:sec/ret@h:1",
    ),
)


@pytest.mark.parametrize("value", BAD_PROXIES)
@pytest.mark.parametrize("name", ["HTTP_PROXY", "https_proxy", "All_Proxy"])
def test_a_proxy_that_cannot_be_used_is_named_with_its_variable(
    name: str, value: str, origin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with (
        pytest.raises(errors.ConfigError, match=f"^{name}=") as caught,
        Client(base_url=origin.url) as client,
    ):
        client.predictions.get("p1")
    assert "Unset it, or write it like http://proxy.example.com:3128" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not any(part in told(caught.value) for part in ("sec", "1234", "ret@"))
    assert nothing_was_sent(origin)


@pytest.mark.parametrize(
    "options",
    [
        {"proxy": "http://me:sec#ret@h:1"},
        {"proxy": "http://me:1234/ret@h:1"},
        {"mounts": {"http://me:sec#ret@h": None}},
        {"mounts": {"all://me:sec ret@h:x": None}},
        {"trusted_hosts": ["http://me:sec#ret@h"]},
        {"trusted_hosts": ["me:sec/ret@h"]},
        {"base_url": "https://me:sec#ret@h"},
    ],
    ids=str,
)
def test_an_option_that_cannot_be_used_is_shown_without_its_password(options: dict[str, Any]) -> None:
    with pytest.raises(errors.ConfigError) as caught, Client(**options) as client:
        client.predictions.get("p1")
    assert not any(part in told(caught.value) for part in ("sec", "1234", "ret@"))


def told(error: BaseException) -> str:
    """What a traceback shows of an error and its causes, beside the lines of the program."""
    shown = list[str]()
    while error is not None:
        shown += traceback.format_exception_only(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "".join(shown)


def paths(tmp_path: Path) -> dict[str, dict[str, str]]:
    (tmp_path / "text.pem").write_text("no certificate")
    (tmp_path / "empty.pem").write_text("")
    return {
        "a file that is not there": {"SSL_CERT_FILE": str(tmp_path / "none.pem")},
        "a folder as a file": {"SSL_CERT_FILE": str(tmp_path)},
        "a text": {"SSL_CERT_FILE": str(tmp_path / "text.pem")},
        "an empty file": {"SSL_CERT_FILE": str(tmp_path / "empty.pem")},
        "a folder that is not there": {"SSL_CERT_DIR": str(tmp_path / "none")},
        "a file as a folder": {"SSL_CERT_DIR": str(tmp_path / "text.pem")},
        "a log in no folder": {"SSLKEYLOGFILE": str(tmp_path / "none" / "keys")},
        "a log that is a folder": {"SSLKEYLOGFILE": str(tmp_path)},
        "a SOCKS version that nobody knows": {"ALL_PROXY": "socks6://h:1"},
        "no backend": {"REPLICATE_KIT_BACKEND": "moon"},
        "no URL": {"REPLICATE_BASE_URL": "api.example.com"},
        "a URL with a space": {"REPLICATE_BASE_URL": "https://api example.com"},
        "a URL that is no IDNA": {"REPLICATE_BASE_URL": "https://ex_ämple.com"},
        "no time": {"REPLICATE_POLL_INTERVAL": "often"},
        "no positive time": {"REPLICATE_POLL_INTERVAL": "-0.5"},
        "an endless time": {"REPLICATE_POLL_INTERVAL": "inf"},
        "no switch": {"REPLICATE_KIT_STRICT_PLUGINS": "perhaps"},
        "no host": {"REPLICATE_KIT_TRUSTED_HOSTS": "files.corp.example, https://files.corp.example/path"},
    }


KINDS = (
    *(
        "a file that is not there",
        "a folder as a file",
        "a text",
        "an empty file",
        "a folder that is not there",
    ),
    *(
        "a file as a folder",
        "a log in no folder",
        "a log that is a folder",
        "a SOCKS version that nobody knows",
    ),
    *("no backend", "no URL", "a URL with a space", "a URL that is no IDNA", "no time", "no positive time"),
    *("an endless time", "no switch", "no host"),
)


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_environment_says_wrongly_is_our_error_and_names_the_variable(
    kind: str, drive: Drive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ((name, value),) = paths(tmp_path)[kind].items()
    monkeypatch.setenv(name, value)

    def ask() -> None:
        with Client(api_token="r8_x", retries=0) as client:
            drive(client.predictions.async_get("p1"))

    with pytest.raises(errors.ConfigError, match=name) as caught:
        ask()
    assert "\n" not in str(caught.value)
    with pytest.raises(errors.ConfigError, match=name), Client(api_token="r8_x") as client:
        list(client.map("acme/x", [{"n": 1}], journal=tmp_path / "journal"))


@pytest.mark.slow  # a large family
@pytest.mark.parametrize("kind", KINDS)
def test_the_command_line_says_it_in_one_line(kind: str, tmp_path: Path) -> None:
    ((name, value),) = paths(tmp_path)[kind].items()
    kept = {key: each for key, each in os.environ.items() if key.lower() not in map(str.lower, _VARIABLES)}
    done = subprocess.run(
        [sys.executable, "-m", "replicate_kit", "predictions", "get", "p1"],
        env={**kept, "REPLICATE_API_TOKEN": "r8_x", name: value},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    lines = [line for line in done.stderr.splitlines() if not line.startswith("The plugins' commands")]
    assert len(lines) == 1
    assert name in lines[0]


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "ALL_PROXY"])
def test_the_stand_in_fails_as_the_client_that_it_stands_for(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    value, theirs = {
        "SSL_CERT_FILE": (str(tmp_path / "none.pem"), FileNotFoundError),
        "ALL_PROXY": ("socks4://h:1", ValueError),
    }[name]
    monkeypatch.setenv(name, value)
    with pytest.raises(theirs) as caught:
        stand_in.Client(api_token="r8_x").predictions.get("p1")
    assert name in "".join([str(caught.value), *getattr(caught.value, "__notes__", ())])


@pytest.mark.parametrize("name", ["ALL_PROXY", "https_proxy", "proxy"])
@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "SOCKS5"])
def test_a_socks_proxy_without_its_package_says_what_to_install(
    name: str, scheme: str, each_library: str, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxies, "find_spec", lambda name: None)
    url = f"{scheme}://me:secret@127.0.0.1:9"
    options = {"proxy": url} if name == "proxy" else {}
    if not options:
        monkeypatch.setenv(name, url)
    kind, step = errors.MissingExtraError, r'pip install "replicate-kit\[socks\]"'
    if each_library == "fast":
        kind, step = errors.ConfigError, r"Client\(backend='http'\)"
    with pytest.raises(kind, match=step) as caught:
        drive(Client(api_token="r8_x", **options).predictions.async_get("p1"))
    assert name in str(caught.value)
    assert "secret" not in str(caught.value)


# NO_PROXY: what VPNs and container tools write there.

UNREADABLE = ("host:port", "https://[::1", "ex_ämple", "a]b", "<local>", "http://", "[host]")
READABLE = (
    *(
        "fe80::/10",
        "[::1]",
        "[::1",
        "::1",
        "[::1]:80",
        "10.0.0.0/8,::1/128",
        "*.local",
        ".local",
        "localhost",
        ",,",
        " ",
    ),
    *(
        "fd00::/8 fe80::/10",
        "http://[::1]",
        "https://example.com",
        "[fe80::1%eth0]",
        "2001:db8::/32,",
        "0.0.0.0/0",
    ),
)


@pytest.mark.parametrize("entry", [*READABLE, *UNREADABLE, "*"])
@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_whatever_no_proxy_holds_requests_are_sent(
    name: str,
    entry: str,
    origin: Any,
    drive: Drive,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", origin.url)  # a proxy that answers for everybody
    monkeypatch.setenv(name, entry)
    host = "http://gateway.test" if entry != "*" else origin.url
    with caplog.at_level(logging.WARNING), Client(base_url=host) as client:
        assert drive(client.predictions.async_get("p1")).id == "p1"
    assert (f"NO_PROXY: {entry!r} cannot be read" in caplog.text) is (entry in UNREADABLE)
    assert origin.received[0].path == ("/v1/predictions/p1" if entry == "*" else f"{host}/v1/predictions/p1")


@pytest.mark.parametrize(
    "entry",
    [
        "127.0.0.1",
        "127.0.0.0/8",
        "x,127.0.0.1 y",
        "127.0.0.1/32",
        "fe80::/10,127.0.0.1",
        "*",
        "[::1],127.0.0.1",
    ],
)
def test_what_no_proxy_names_is_asked_without_the_proxy(
    entry: str, origin: Any, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", entry)
    with Client(base_url=origin.url) as client:
        assert drive(client.predictions.async_get("p1")).id == "p1"


@pytest.mark.parametrize("entry", ["example.com", ".example.com", "*.example.com", "EXAMPLE.com"])
def test_a_name_in_no_proxy_stands_for_its_subdomains(entry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", entry)
    found = proxies.proxies({}, HTTPX, "api.example.com")
    (pattern,) = [pattern for pattern, proxy in found.items() if proxy is None]
    client = httpx.Client(mounts={pattern: httpx.MockTransport(lambda _: httpx.Response(204))})
    assert client.get("https://api.example.com").status_code == 204


def test_the_proxies_of_the_environment_can_be_left_aside(
    origin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "nonsense://")
    with Client(base_url=origin.url, trust_env=False) as client:
        assert client.predictions.get("p1").id == "p1"


@pytest.mark.parametrize("value", ["", " ", "\t\n"])
def test_an_empty_variable_is_as_good_as_none(
    value: str, origin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "REPLICATE_POLL_INTERVAL", "REPLICATE_KIT_BACKEND"):
        monkeypatch.setenv(name, value)
    with Client(base_url=origin.url) as client:
        assert client.predictions.get("p1").id == "p1"


# Options.


@pytest.mark.parametrize(
    "options",
    [
        *({"proxy": each} for each in (*BAD_PROXIES, "", 7, b"http://h:1", ["http://h:1"])),
        *({"verify": each} for each in ("", "/nowhere/ca.pem", Path("/nowhere"), __file__, 7, None, [])),
        *(
            {"cert": each}
            for each in ("", "/nowhere/me.pem", ("/nowhere", "/nowhere"), 7, (), __file__, ("a",) * 4)
        ),
        *(
            {"mounts": each}
            for each in (7, ["all://"], {"example.com": None}, {"all://": 7}, {7: None}, {"http://a b": None})
        ),
        *({"trust_env": each} for each in ("no", 0, None)),
        *({"transport": each} for each in ("http", 7, object)),
    ],
    ids=repr,
)
def test_an_option_that_cannot_be_used_is_refused_when_the_client_is_made(options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(errors.ConfigError, match=f"^{name}") as caught:
        Client(api_token="r8_x", **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "options", [{"limits": "many"}, {"limits": 3}, {"max_redirects": {}}, {"default_encoding": 3}]
)
def test_other_options_never_fail_with_an_error_that_is_not_ours(
    options: Any, drive: Drive, origin: Any
) -> None:
    try:
        with Client(base_url=origin.url, **options) as client:
            drive(client.predictions.async_get("p1"))
    except errors.ConfigError as error:
        assert next(iter(options)) in str(error)  # noqa: PT017 - httpx takes some of them


def test_mounts_of_the_caller_come_before_the_environment(
    monkeypatch: pytest.MonkeyPatch, library: Any
) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    answer = library.MockTransport(lambda _: library.Response(200, json={"id": "p1", "status": "succeeded"}))
    with Client(base_url="http://api.test", mounts={"all://": answer}) as client:
        assert client.predictions.get("p1").id == "p1"


# Certificates.


class Gateway:
    """A server with a certificate of its own, as a gateway shows it that reads along."""

    def __init__(self, *names: str, authority: trustme.CA = CA, asks: bool = False) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*names).configure_cert(self._context)
        if asks:
            self._context.verify_mode = ssl.CERT_REQUIRED
            CA.configure_trust(self._context)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._listening.getsockname()[1]}"
        self.accepted = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._listening.accept()
            except OSError:
                return
            self.accepted += 1
            with plain:
                try:
                    with self._context.wrap_socket(plain, server_side=True) as connection:
                        connection.recv(65536)
                        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(PREDICTION)}\r\nConnection: close\r\n\r\n"
                        connection.sendall(head.encode() + PREDICTION)
                except OSError:
                    continue

    def close(self) -> None:
        self._listening.close()


@pytest.fixture
def gateway() -> Iterator[Callable[..., Gateway]]:
    made: list[Gateway] = []

    def make(*names: str, **options: Any) -> Gateway:
        made.append(Gateway(*(names or ("127.0.0.1",)), **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    """The file of the gateway's certificate authority."""
    CA.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return tmp_path / "ca.pem"


def test_a_gateway_that_reads_along_is_named_with_what_to_do(
    gateway: Callable[..., Gateway], drive: Drive
) -> None:
    server = gateway()
    with (
        Client(base_url=server.url) as client,
        pytest.raises(
            errors.ConnectFailed, match=r"the certificate of 127\.0\.0\.1:\d+ is not trusted"
        ) as caught,
    ):
        drive(client.predictions.async_get("p1"))
    assert "SSL_CERT_FILE" in str(caught.value)
    assert "verify=" in str(caught.value)
    assert not caught.value.temporary
    assert server.accepted == 1  # it was not tried again


def test_a_run_over_rows_stops_at_once_behind_a_gateway_that_is_not_trusted(
    gateway: Callable[..., Gateway], tmp_path: Path
) -> None:
    server = gateway()
    with (
        Client(base_url=server.url, api_token="r8_x") as client,
        pytest.raises(errors.ConnectFailed, match="SSL_CERT_FILE"),
    ):
        list(client.map("acme/x", [{"n": 1}], journal=tmp_path / "journal"))
    assert server.accepted == 1


@pytest.mark.parametrize(
    "how", ["SSL_CERT_FILE", "SSL_CERT_DIR", "file", "path", "folder", "context", "False"]
)
def test_what_is_trusted_can_be_said_in_each_way(
    how: str, gateway: Callable[..., Gateway], authority: Path, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = authority.parent / "hashed"
    hashed.mkdir()
    named = subprocess.run(
        ["openssl", "x509", "-hash", "-noout", "-in", str(authority)],
        capture_output=True,
        text=True,
        check=True,
    )
    (hashed / f"{named.stdout.strip()}.0").write_bytes(authority.read_bytes())
    options: dict[str, Any] = {}
    if how in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.setenv(how, str(authority if how == "SSL_CERT_FILE" else f"/nowhere{os.pathsep}{hashed}"))
    else:
        ways = {
            "file": str(authority),
            "path": authority,
            "folder": str(hashed),
            "context": ssl.create_default_context(cafile=str(authority)),
            "False": False,
        }
        options["verify"] = ways[how]
    with Client(base_url=gateway().url, **options) as client:
        assert drive(client.predictions.async_get("p1")).id == "p1"


def test_a_certificate_for_another_host_is_told_apart(
    gateway: Callable[..., Gateway], authority: Path, drive: Drive
) -> None:
    with (
        Client(base_url=gateway("other.test").url, verify=authority) as client,
        pytest.raises(errors.ConnectFailed, match="Check the host in base_url"),
    ):
        drive(client.predictions.async_get("p1"))


def test_a_server_may_ask_for_a_certificate_of_the_client(
    gateway: Callable[..., Gateway], authority: Path, tmp_path: Path, drive: Drive
) -> None:
    mine = CA.issue_cert("client.test")
    mine.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "me.pem"))
    with Client(base_url=gateway(asks=True).url, verify=authority, cert=str(tmp_path / "me.pem")) as client:
        assert drive(client.predictions.async_get("p1")).id == "p1"


# Connections that do not come about.


def test_a_server_without_tls_is_told_apart(origin: Any, drive: Drive) -> None:
    with (
        Client(base_url=origin.url.replace("http://", "https://")) as client,
        pytest.raises(errors.ConnectFailed, match=r"127\.0\.0\.1:\d+ does not speak TLS there.*http://"),
    ):
        drive(client.predictions.async_get("p1"))


def test_an_unknown_host_is_named(drive: Drive) -> None:
    with (
        Client(base_url="http://nowhere.invalid", retries=0) as client,
        pytest.raises(
            errors.ConnectFailed, match=r"no address is known for nowhere\.invalid .*Check base_url"
        ),
    ):
        drive(client.predictions.async_get("p1"))


@pytest.mark.parametrize(
    ("status", "said", "temporary"),
    [
        ("407 Proxy Authentication Required", "http://NAME:PASSWORD@HOST:PORT", False),
        ("403 Forbidden", "Ask its administrator to allow api.test", False),
        ("502 Bad Gateway", "did not connect to api.test", True),
    ],
)
@pytest.mark.parametrize("how", ["HTTPS_PROXY", "proxy="])
def test_a_proxy_that_does_not_connect_is_named_without_its_password(
    how: str, status: str, said: str, temporary: bool, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    asked: list[bytes] = []

    def refuse() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                asked.append(connection.recv(65536))
                connection.sendall(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())

    threading.Thread(target=refuse, daemon=True).start()
    url = f"http://me:secret@127.0.0.1:{listening.getsockname()[1]}"
    options = {"proxy": url} if how == "proxy=" else {}
    if not options:
        monkeypatch.setenv(how, url)
    with listening, Client(base_url="https://api.test", retries=0, **options) as client:
        with pytest.raises(errors.ConnectFailed) as caught:
            drive(client.predictions.async_get("p1"))
        listening.shutdown(socket.SHUT_RDWR)
    assert said in str(caught.value)
    assert how in str(caught.value)
    assert "secret" not in str(caught.value)
    assert caught.value.temporary is temporary
    assert len(asked) == 1


def test_a_proxy_that_is_not_there_is_named(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    with (
        Client(base_url="http://api.test", retries=0) as client,
        pytest.raises(
            errors.ConnectFailed, match=r"nothing listens at the proxy http://127\.0\.0\.1:9 \(ALL_PROXY\)"
        ),
    ):
        drive(client.predictions.async_get("p1"))


def test_an_unknown_word_in_the_variable_for_logs_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, each_library: str
) -> None:
    word = f"louder than {each_library}"  # each is told of once
    monkeypatch.setenv("REPLICATE_LOG", word)
    Client(backend="mock")
    assert f"REPLICATE_LOG={word!r} is neither 'info' nor 'debug'" in caplog.text


@pytest.mark.usefixtures("httpx_alone")
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # httpcore leaves the connection open
@pytest.mark.parametrize("answer", [b"\x05\xff", b"\x05\x02\x01\x01"], ids=["no method", "wrong password"])
def test_a_socks_proxy_that_asks_for_a_password_is_named(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def refuse() -> None:
            connection, _ = listening.accept()
            with connection:
                for part in (answer[:2], answer[2:]):
                    connection.recv(4096)
                    connection.sendall(part)

        threading.Thread(target=refuse, daemon=True).start()
        url = f"socks5://me:secret@127.0.0.1:{listening.getsockname()[1]}"
        with (
            Client(base_url="http://api.test", proxy=url) as client,
            pytest.raises(errors.ConnectFailed) as caught,
        ):
            client.predictions.get("p1")
    said, temporary = str(caught.value), caught.value.temporary
    assert "Write a user name and a password that it takes" in said
    assert "secret" not in said
    assert not temporary
    del caught, client
    gc.collect()
