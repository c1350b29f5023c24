"""Which servers are meant, and what is said where none are."""

from __future__ import annotations

from typing import Any

import pytest
from replicate_kit_cog import CogBackend
from replicate_kit_cog.backend import CogBackend as Same
from replicate_kit_cog.locations import VARIABLE, urls

from replicate_kit import Client
from replicate_kit.errors import ConfigError

ONE, TWO = "http://gpu-1:5000", "http://gpu-2:5000/cog"


@pytest.mark.parametrize(
    ("options", "variables", "root"),
    [
        ({"backend": "cog", "base_url": ONE}, {}, ONE),
        ({"backend": "cog", "base_url": TWO, "add_version": False}, {}, TWO),
        ({"backend": "cog", "servers": [TWO, ONE]}, {VARIABLE: ONE}, TWO),
        ({"backend": "cog", "servers": ONE}, {"REPLICATE_BASE_URL": TWO}, ONE),
        ({"backend": CogBackend(TWO)}, {"REPLICATE_BASE_URL": ONE}, TWO),
        ({"backend": CogBackend([ONE, TWO])}, {}, ONE),
        ({}, {"REPLICATE_KIT_BACKEND": "cog", "REPLICATE_BASE_URL": ONE}, ONE),
        ({}, {"REPLICATE_KIT_BACKEND": "cog", VARIABLE: f"{TWO}, {ONE}"}, TWO),
    ],
)
def test_servers_are_named_by_argument_option_or_variable(
    options: dict[str, Any], variables: dict[str, str], root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with Client(**options) as client:
        assert str(client.session.base_url) == f"{root}/v1/"
        assert "cog" in client.plugins.names


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "has to know where the servers are"),
        ({"servers": []}, "names no Cog server"),
        ({"servers": 5}, "names no Cog server"),
        ({"servers": ["ftp://gpu"]}, "'ftp://gpu' is not the http"),
        ({"servers": [None]}, "'None' is not the http"),
        ({"servers": ["http://me:secret@"]}, "is not the http"),
        ({"server": "http://gpu-1"}, "servers"),
        ({"base_url": ONE, "verify": "no-such-file.pem"}, "no-such-file.pem"),
    ],
)
def test_what_is_no_server_is_refused_when_the_client_is_made(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        Client(backend="cog", **given)
    assert "secret" not in str(caught.value)


def test_a_server_that_is_named_twice_is_one() -> None:
    assert urls([ONE, f" {ONE}/ "]) == (ONE,)
    assert CogBackend is Same
