"""Texts without secrets."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicate_kit import Client
from replicate_kit._formats.redacting import (
    _SECRET_INPUT,
    input_secrets,
    is_secret_input,
    is_secret_name,
    redacted,
    scrubbed,
    secrets_of,
)
from replicate_kit._http.hiding import hidden_in_errors, quoted, secrets_hidden
from replicate_kit._http.secrets import option_secrets
from replicate_kit.simulator import Simulator

URLS = {
    "ftp://user:{}@host/dir": "ftp://user@host/dir",
    "FTP://user:{}@host:21/{{row}}": "FTP://user@host:21/{{row}}",
    "s3://key:{}@bucket": "s3://key@bucket",
    "sftp://u:a@b@{}@h/x@2": "sftp://u@h/x@2",
    "sftp://u:{}%40%2F@h/x": "sftp://u@h/x",
    "sftp://u:{}/x@h/x": "sftp://u@h/x",
    "sftp://u:{}?x@h/x": "sftp://u@h/x",
    "sftp://u:{}#x@h/x": "sftp://u@h/x",
    "ftp://u:{}@[::1]:21/a": "ftp://u@[::1]:21/a",
    "ftp:/u:{}@h/a": "ftp:/u@h/a",
    "simplecache::sftp://u:{}@h/a": "simplecache::sftp://u@h/a",
    "zip://a.zip::simplecache::sftp://u:{}@h/a": "zip://a.zip::simplecache::sftp://u@h/a",
    "dir://u:{0}@a::sftp://v:{0}@h/a": "dir://u@a::sftp://v@h/a",
    "https://{}:@host/a": "https://***@host/a",
    "https://{}:x-oauth-basic@host/a": "https://***@host/a",
    "az://box@account/a?sv=1&sig={}&se=2": "az://box@account/a?sv=1&sig=***&se=2",
    "s3://b/a?X-Amz-Signature={0}&X-Amz-Credential={0}": "s3://b/a?X-Amz-Signature=***&X-Amz-Credential=***",
    "s3://b/a?%73ig={}": "s3://b/a?%73ig=***",
    "memory://a#token={}": "memory://a#token=***",
}


@pytest.mark.parametrize("url", URLS)
def test_a_url_is_shown_without_its_secrets(url: str) -> None:
    canary = "CaNaRy-7f3a"
    assert redacted(url.format(canary)) == URLS[url].format()
    assert redacted(redacted(url.format(canary))) == URLS[url].format()
    assert canary not in scrubbed(f"no {canary} here", secrets_of(url.format(canary)))


@pytest.mark.parametrize(
    "text",
    [
        "pictures/a@b:c",
        r"C:\a:b@c",
        "s3://bucket/a@2x:b",
        "sftp://me@host/a",
        "sftp://h:22/a@b",
        "az://box@account/a",
        "ftp://[::1]:21/a@b",
        "data:text/plain,a:b@c",
        "shelf:",
        "memory://{model}/{row}{ext}",
        "s3://b/a?page=2",
        "",
    ],
)
def test_what_holds_none_stays_as_it_is(text: str) -> None:
    assert redacted(text) == text
    assert not secrets_of(text)


def test_names_tell_what_is_a_secret() -> None:
    assert all(
        map(is_secret_name, ["apikey", "X-Api-Key", "openai_api_key", "Authorization", "Set-Cookie", "pwd"])
    )
    assert not any(
        map(is_secret_name, ["prompt", "max_tokens", "max_new_tokens", "keyframes", "monkey", "author"])
    )


def test_an_error_that_tells_a_secret_is_cleaned_and_its_cause_left_out() -> None:
    with (
        pytest.raises(OSError, match=r"^\[Errno 13\] no \*\*\*: '/a/\*\*\*'$") as caught,
        hidden_in_errors("ftp://u:hunter2@h"),
    ):
        raise OSError(13, "no hunter2", "/a/hunter2") from ValueError("hunter2")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_other_errors_keep_their_causes() -> None:
    cause = ValueError("refused")
    with pytest.raises(OSError, match="no") as caught, hidden_in_errors("ftp://u:hunter2@h"):
        raise OSError("no") from cause
    assert caught.value.__cause__ is cause


class Computed(Exception):
    """An error of a library that computes what it names."""

    @property
    def filename(self) -> str:
        return f"{self.args[0]}.txt"


def test_an_error_that_computes_what_it_names_is_raised_all_the_same() -> None:
    with pytest.raises(Computed) as caught, hidden_in_errors("ftp://me:hunter2@host/a"):
        raise Computed("530 for hunter2")
    assert caught.value.filename == "530 for ***.txt"


SECRET_INPUTS = [
    *(
        "api_key",
        "apikey",
        "API-Key",
        "openai_api_key",
        "password",
        "db_password",
        "passphrase",
        "client_secret",
        "secret",
    ),
    *(
        "hf_token",
        "huggingface_token",
        "access_token",
        "civitai_token",
        "private_key",
        "aws_secret_access_key",
    ),
    *("credentials", "connection_string", "authorization", "auth_token", "wandb_api_token", "license_key"),
]
OTHER_INPUTS = [
    *(
        "key",
        "code",
        "session",
        "sign",
        "pass",
        "sig",
        "language_code",
        "country_code",
        "zip_code",
        "time_signature",
    ),
    *(
        "key_signature",
        "source_code",
        "stop_token",
        "bos_token",
        "pad_token",
        "max_new_token",
        "trigger_token",
    ),
    *(
        "tokens",
        "max_tokens",
        "lora_key",
        "hs_code",
        "camera_code",
        "secretary",
        "keyword",
        "passage",
        "author",
        "token",
    ),
]


def test_names_of_inputs_tell_a_secret_only_where_they_mean_nothing_else() -> None:
    assert [name for name in SECRET_INPUTS if not is_secret_input(name)] == []
    assert [name for name in OTHER_INPUTS if is_secret_input(name)] == []


@given(st.from_regex(_SECRET_INPUT.pattern))
def test_each_name_that_the_pattern_finds_is_a_secrets(name: str) -> None:
    assert is_secret_input(name)


@pytest.mark.parametrize(
    "name", [each for each in OTHER_INPUTS if each != "pass"]
)  # which Python takes for no name
def test_what_has_the_name_of_no_secret_is_shown_and_names_files(name: str, tmp_path: Path) -> None:
    simulator = Simulator()

    def any(**given: Any) -> Any:
        raise ValueError(f"cannot use {given[name]}")

    parameter = inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=str)
    any.__signature__ = inspect.Signature([parameter])  # type: ignore[attr-defined]
    any.__annotations__ = {name: str}
    simulator.model("acme/any")(any)
    with Client(backend=simulator) as client:
        (result,) = client.map("acme/any", [{name: "german"}], save_to=f"{tmp_path}/{{{name}}}{{ext}}")
    assert "cannot use german" in str(result.error)
    assert f"'{name}': 'german'" in repr(result)


@pytest.mark.parametrize(
    "body", [{"detail": "no german"}, {"german": "a", "detail": "german"}, ["german"], "german"]
)
def test_keys_of_an_answer_are_the_apis_own(body: Any) -> None:
    with secrets_hidden(lambda: {"german", "detail"}, "[secret]"):
        found = quoted(body)
    assert "german" not in json.dumps(list(found.values()) if isinstance(found, dict) else found)
    if isinstance(body, dict):
        assert found.keys() == body.keys()


def test_a_secret_that_stands_in_its_own_mark_is_not_hidden_again_and_again() -> None:
    assert input_secrets({"api_key": "secret", "password": "hunter22"}) == {"hunter22"}


@pytest.mark.parametrize("value", [12345678, 1234.5678])
def test_numbers_are_secrets_too(value: float) -> None:
    assert scrubbed(f"{value} is no good", input_secrets({"password": value})) == "*** is no good"


@pytest.mark.parametrize("spelled", ["a%2fb%26c%3c2", "a/b&amp;c&lt;2", "a%2Fb%26c%3C2", "a/b&c<2"])
def test_a_secret_is_found_however_it_is_spelled(spelled: str) -> None:
    assert scrubbed(f"no {spelled} here", {"a/b&c<2"}) == "no *** here"


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"headers": {"X-Client": "replicate", "X-Team": "prediction", "X-Kind": "application/json"}}, set()),
        ({"params": {"sort": "created at", "team": "surf-team"}}, set()),
        (
            {"headers": {"X-Api-Key": "replicate"}, "params": {"token": "prediction"}},
            {"replicate", "prediction"},
        ),
        (
            {"headers": {"X-Own": "abcd1234efgh"}, "cookies": {"a": "zz-11-yy-22"}},
            {"abcd1234efgh", "zz-11-yy-22"},
        ),
    ],
)
def test_words_that_a_client_adds_are_no_secrets(options: Any, found: set[str]) -> None:
    assert option_secrets(options) == found
