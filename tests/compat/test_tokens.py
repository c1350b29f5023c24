"""Which token the stand-in sends: what was given, what Cog's scope holds, or what the environment has.

Each row is what `replicate` 1.0.7 sends; tests/interop checks that beside it.
"""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import httpx
import pytest

from replicate_kit.compat.replicate import Client
from replicate_kit.compat.replicate.exceptions import ReplicateError

from ..interop.tokens import SCENARIOS, cog_of
from .conftest import PREDICTION


def sent_by(client_options: Mapping[str, Any]) -> str | None:
    asked: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers.get("authorization"))
        return httpx.Response(200, json=PREDICTION)

    client = Client(transport=httpx.MockTransport(answer), **client_options)
    client.predictions.get("p1")
    client.close()
    return asked[0]


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_the_token_is_that_of_1_x(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = SCENARIOS[name]
    monkeypatch.setitem(sys.modules, "cog", cog_of(scenario.scope))
    for variable, value in scenario.environment.items():
        monkeypatch.setenv(variable, value)
    assert sent_by(scenario.options()) == scenario.sends


def test_cog_is_imported_if_it_was_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "cog.py").write_text(
        "from types import SimpleNamespace\n"
        "def current_scope():\n"
        "    return SimpleNamespace(context={'replicate_api_token': 'r8_tenant'})\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cog", raising=False)
    monkeypatch.setenv("REPLICATE_API_TOKEN", "r8_operator")
    assert sent_by({}) == "Bearer r8_tenant"
    del sys.modules["cog"]


@pytest.mark.parametrize("text", ["raise RuntimeError('no')", "raise SystemExit(1)", "import nothing_such"])
def test_a_cog_that_cannot_be_imported_leaves_it_to_the_environment(
    text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "cog.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cog", raising=False)
    monkeypatch.setenv("REPLICATE_API_TOKEN", "r8_operator")
    assert sent_by({}) == "Bearer r8_operator"


def test_a_warning_of_cog_is_shown_and_does_not_hide_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cog", cog_of("experimental"))
    monkeypatch.setenv("REPLICATE_API_TOKEN", "r8_operator")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert sent_by({}) == "Bearer r8_tenant"
    assert [each.category.__name__ for each in caught] == ["ExperimentalFeatureWarning"]


class Tenants:
    """A Cog whose scope is of one tenant after another, and an API that notes who asks for what."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *contexts: Mapping[str, Any]) -> None:
        self.contexts, self.asked = list(contexts), list[tuple[str, str | None]]()
        cog = ModuleType("cog")
        cog.current_scope = lambda: SimpleNamespace(context=self.contexts[0])  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "cog", cog)
        monkeypatch.setenv("REPLICATE_API_TOKEN", "r8_operator")
        self.client = Client(transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.asked.append((request.url.path, request.headers.get("authorization")))
        file = {"id": "f1", "urls": {"get": f"https://api.replicate.com/v1/files/{len(self.asked)}"}}
        times = {"created_at": "2026-01-01T00:00:00Z", "expires_at": "2026-01-02T00:00:00Z"}
        return httpx.Response(201, json={**file, **times} if "files" in request.url.path else PREDICTION)

    def each(self, act: Callable[[Client], object]) -> list[tuple[str, str | None]]:
        """Let each tenant do the same with the one client of the process."""
        while self.contexts:
            act(self.client)
            self.contexts.pop(0)
        self.client.close()
        return self.asked


TENANTS = (
    {"replicate_api_token": "r8_one"},
    {"other": "x", "REPLICATE_API_TOKEN": "r8_two"},
    {"replicate_api_token": ""},
)


def test_the_scope_is_asked_for_each_request(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Tenants(monkeypatch, *TENANTS).each(lambda client: client.predictions.get("p1"))
    assert [token for _, token in asked] == ["Bearer r8_one", "Bearer r8_two", None]


def test_what_one_tenant_has_uploaded_is_not_given_to_another(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(client: Client) -> None:
        client.predictions.create(model="acme/shout", input={"image": io.BytesIO(b"x")})

    asked = Tenants(monkeypatch, *TENANTS, TENANTS[0]).each(run)
    uploads = [token for path, token in asked if path == "/v1/files"]
    assert uploads == ["Bearer r8_one", "Bearer r8_two", None]


def test_without_a_token_the_api_is_asked_and_says_what_is_missing() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        told = {"title": "Unauthenticated", "detail": "You did not pass an authentication token"}
        return httpx.Response(401, json=told)

    client = Client(transport=httpx.MockTransport(answer))
    with pytest.raises(ReplicateError) as caught:
        client.models.list()
    client.close()
    assert (str(asked[0].url), caught.value.status) == ("https://api.replicate.com/v1/models", 401)
    assert "You did not pass an authentication token" in str(caught.value)
