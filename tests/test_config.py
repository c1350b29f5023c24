"""Settings: what is given, what the environment says, and what is refused."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from replicate_kit import Client
from replicate_kit.config import API_URL, Config
from replicate_kit.errors import ConfigError


@pytest.mark.parametrize(
    ("given", "root"),
    [
        ("https://api.replicate.com", API_URL),
        ("https://api.replicate.com/v1/", API_URL),
        ("http://localhost:8000", "http://localhost:8000/v1"),
        ("http://[::1]:8000", "http://[::1]:8000/v1"),
        ("https://gateway.test/replicate", "https://gateway.test/replicate/v1"),
        ("https://gateway.test/replicate/v2", "https://gateway.test/replicate/v2"),
        ("https://gateway.test/v1?team=surf#top", "https://gateway.test/v1"),
    ],
)
def test_the_base_url_may_come_with_and_without_its_version(given: str, root: str) -> None:
    assert Config(base_url=given).base_url == root


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.replicate.com",
        "ftp://api.replicate.com",
        "https://",
        "https://[::1",
        "https://x:port",
        "https://:80",
    ],
)
def test_what_is_no_base_url_is_refused(url: str) -> None:
    with pytest.raises(
        ConfigError, match=r"is not an http\(s\) URL. Use one such as 'https://api.replicate.com/v1'"
    ):
        Config(base_url=url)


def test_credentials_do_not_belong_into_the_base_url() -> None:
    with pytest.raises(ConfigError, match=r"Pass credentials as headers=") as caught:
        Config(base_url="https://me:secret@gateway.test")
    assert "secret" not in str(caught.value)


def test_the_environment_says_what_was_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLICATE_BASE_URL", "http://localhost:8000")
    monkeypatch.setenv("REPLICATE_POLL_INTERVAL", "0.25")
    monkeypatch.setenv("REPLICATE_KIT_BACKEND", "mock")
    monkeypatch.setenv("REPLICATE_KIT_STRICT_PLUGINS", "Yes")
    monkeypatch.setenv("REPLICATE_KIT_DISABLE_PLUGINS", "one, two,,")
    config = Config()
    assert (config.base_url, config.poll_interval, config.backend) == (
        "http://localhost:8000/v1",
        0.25,
        "mock",
    )
    assert config.strict_plugins
    assert config.disabled_plugins == {"one", "two"}
    assert Config(base_url="http://other:1", backend="http").base_url == "http://other:1/v1"


@pytest.mark.about_httpx("it is the default")
def test_defaults_are_those_of_the_api() -> None:
    config = Config()
    assert (config.base_url, config.backend, config.api_token) == (API_URL, "http", None)
    assert config.serves_replicate
    assert not config.strict_plugins


@pytest.mark.parametrize("url", ["https://API.replicate.com", "https://api.replicate.com:443/v1"])
def test_the_api_is_known_however_it_is_written(url: str) -> None:
    assert Config(base_url=url).serves_replicate


def test_a_gateway_is_not_the_api() -> None:
    assert not Config(base_url="https://api.replicate.com.gateway.test").serves_replicate


def test_the_token_is_read_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config()
    monkeypatch.setenv("REPLICATE_API_TOKEN", " r8_later\n")
    assert config.api_token == "r8_later"
    assert Config(explicit_token="r8_mine").api_token == "r8_mine"
    assert "r8_mine" not in repr(Config(explicit_token="r8_mine"))


NO_LENGTHS = [-1, -0.001, float("inf"), float("-inf"), float("nan"), True, False, "1", "0", [1]]


@pytest.mark.parametrize("seconds", [0, 0.0, *NO_LENGTHS])
def test_timeouts_are_positive(seconds: object) -> None:
    with pytest.raises(ConfigError, match=r"timeout=.* cannot be used\. Pass seconds, more than 0"):
        Config(timeout=seconds)  # type: ignore[arg-type]


@pytest.mark.parametrize("seconds", NO_LENGTHS)
def test_poll_intervals_are_no_less_than_nothing(seconds: object) -> None:
    with pytest.raises(ConfigError, match=r"poll_interval=.* cannot be used\. Pass seconds, 0 or more"):
        Config(poll_interval=seconds)  # type: ignore[arg-type]
    with Client(backend="mock") as client, pytest.raises(ConfigError, match="poll_interval="):
        client.with_options(poll_interval=seconds)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("0.0", 0), ("-0", 0), ("1e-3", 0.001), (" 2 ", 2), ("", None), (" ", None)],
)
def test_the_environment_may_ask_for_no_pause(
    text: str, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLICATE_POLL_INTERVAL", text)
    assert Config().poll_interval == seconds


@pytest.mark.parametrize("text", ["-1", "nan", "inf", "1s", "0,5", "0x1"])
def test_a_poll_interval_of_the_environment_that_is_none_is_named(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLICATE_POLL_INTERVAL", text)
    with pytest.raises(
        ConfigError, match=f"REPLICATE_POLL_INTERVAL='{text}' is not a number of seconds, 0 or"
    ):
        Config()


@pytest.mark.parametrize(
    ("given", "root"),
    [
        ("https://gateway.test", "https://gateway.test"),
        ("https://gateway.test/", "https://gateway.test"),
        ("https://gateway.test/v1/me/mine/replicate/", "https://gateway.test/v1/me/mine/replicate"),
        ("https://gateway.test/v1", "https://gateway.test/v1"),
    ],
)
def test_a_complete_base_url_stays_as_it_is(given: str, root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Config(base_url=given, add_version=False).base_url == root
    monkeypatch.setenv("REPLICATE_BASE_URL", given)
    monkeypatch.setenv("REPLICATE_KIT_ADD_VERSION", "0")
    assert Config().base_url == root
    monkeypatch.setenv("REPLICATE_KIT_ADD_VERSION", "")
    assert Config().base_url.endswith("/v1")


def test_only_replicates_own_api_requires_a_token() -> None:
    assert Config().requires_token
    assert not Config(base_url="https://gateway.test").requires_token
    assert not Config(http_options={"auth": ("me", "secret")}).requires_token


@pytest.mark.parametrize("retries", [-1, 1.5, "3"])
def test_retries_are_counted(retries: object) -> None:
    with pytest.raises(ConfigError, match=r"retries=.* cannot be used\. Pass a whole number of 0 or more"):
        Config(retries=retries)  # type: ignore[arg-type]


def test_files_are_encoded_in_one_of_three_ways() -> None:
    with pytest.raises(ConfigError, match="'auto', 'inline' and 'upload'"):
        Config(file_encoding="zip")  # type: ignore[arg-type]


def test_a_bad_variable_is_named_by_the_client_and_does_not_break_the_import(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REPLICATE_POLL_INTERVAL", "often")
    with pytest.raises(
        ConfigError, match="REPLICATE_POLL_INTERVAL='often' is not a number of seconds, 0 or more"
    ):
        Client()
    assert Client(poll_interval=1).config.poll_interval == 1


@pytest.mark.parametrize("name", ["max_answer_bytes", "max_file_bytes"])
@pytest.mark.parametrize("size", [0, -1, 1.5, "1 MB", True])
def test_sizes_are_numbers_of_bytes(name: str, size: object) -> None:
    with pytest.raises(ConfigError, match=rf"{name}=.*Pass a whole number of 1 or more \(bytes\)"):
        Config(**{name: size})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "hosts", ["files.corp.example", ["*.corp.example", "10.0.0.8"], ["http://10.0.0.8:9000/"], ()]
)
def test_trusted_hosts_are_hosts_or_origins(hosts: Any) -> None:
    assert all(isinstance(each, str) for each in Config(trusted_hosts=hosts).trusted_hosts)


def test_trusted_hosts_come_from_the_environment_where_none_are_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REPLICATE_KIT_TRUSTED_HOSTS", " files.corp.example, http://10.0.0.8:9000,")
    assert Config().trusted_hosts == ("files.corp.example", "http://10.0.0.8:9000")
    assert Config(trusted_hosts=["other.example"]).trusted_hosts == ("other.example",)
    assert Config(trusted_hosts=()).trusted_hosts == ()


@pytest.mark.parametrize("host", ["", "ftp://files.test", "https://files.test/path", "a b", "a@b", 7])
def test_what_is_no_host_is_not_trusted(host: Any) -> None:
    with pytest.raises(ConfigError, match=r"trusted_hosts has .* which is not a host"):
        Config(trusted_hosts=[host])


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda config: pickle.loads(pickle.dumps(config))]
)
def test_settings_can_be_copied_and_sent_to_other_processes(again: Any) -> None:
    config = Config(explicit_token="r8_secret", timeout=5)
    assert again(config) == config
