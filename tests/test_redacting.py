"""Texts without secrets."""

from __future__ import annotations

import pytest

from replicate_kit.redacting import hidden_in_errors, is_secret_name, redacted, scrubbed, secrets_of

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
