"""Where a token may come from, and what `replicate` 1.0.7 makes of it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

__all__ = ["SCENARIOS", "Scenario", "cog_of"]


class ExperimentalFeatureWarning(FutureWarning):
    """What some versions of Cog warn with wherever the scope is asked for."""


@dataclass(frozen=True)
class Scenario:
    """What a client is made with, what surrounds it, and the header that is sent."""

    sends: str | None
    scope: Any = "none"
    environment: Mapping[str, str] = field(default_factory=lambda: {"REPLICATE_API_TOKEN": "r8_operator"})
    given: Mapping[str, Any] = field(default_factory=dict)

    def options(self) -> dict[str, Any]:
        """The options of the client, fresh: 1.x writes into the headers that it is given."""
        return {name: dict(each) if isinstance(each, dict) else each for name, each in self.given.items()}


def cog_of(scope: Any) -> ModuleType | None:
    """A module `cog` whose scope has this context, or which misbehaves in the way that is named."""
    if scope == "none":
        return None
    cog: Any = ModuleType("cog")
    if scope == "raising":
        cog.current_scope = _raise
    elif scope == "no scope":
        cog.current_scope = lambda: None
    elif scope == "no context":
        cog.current_scope = SimpleNamespace
    elif scope == "experimental":
        cog.current_scope = _warn
    elif scope != "old":
        cog.current_scope = lambda: SimpleNamespace(context=scope)
    return cog  # type: ignore[no-any-return]


def _raise() -> None:
    raise RuntimeError("no prediction runs")


def _warn() -> Any:
    warnings.warn("current_scope is an experimental function", ExperimentalFeatureWarning, stacklevel=1)
    return SimpleNamespace(context={"replicate_api_token": "r8_tenant"})


class _Text:
    def __str__(self) -> str:
        return "r8_object"


def _of(value: Any, key: Any = "replicate_api_token") -> dict[Any, Any]:
    return {key: value}


OPERATOR, TENANT = "Bearer r8_operator", "Bearer r8_tenant"

SCENARIOS: dict[str, Scenario] = {
    # Who has no Cog, or one that says nothing, has what the environment says.
    "no cog": Scenario(OPERATOR),
    "no cog and no variable": Scenario(None, environment={}),
    "an empty variable": Scenario(None, environment={"REPLICATE_API_TOKEN": ""}),
    "another variable": Scenario(None, environment={"REPLICATE_API_KEY": "r8_key"}),
    "a variable in lower case": Scenario(None, environment={"replicate_api_token": "r8_lower"}),
    "an old cog": Scenario(OPERATOR, "old"),
    "no scope": Scenario(OPERATOR, "no scope"),
    "a scope without a context": Scenario(OPERATOR, "no context"),
    "a scope that raises": Scenario(OPERATOR, "raising"),
    "a context that is none": Scenario(OPERATOR, None),
    "a context that is a list": Scenario(OPERATOR, ["replicate_api_token"]),
    "a context that is empty": Scenario(OPERATOR, {}),
    "a context with other keys": Scenario(OPERATOR, {"token": "r8_tenant", "replicate_api_key": "r8_tenant"}),
    "a context with a key that is no text": Scenario(OPERATOR, {1: "x", "replicate_api_token": "r8_tenant"}),
    "a key with a space": Scenario(OPERATOR, _of("r8_tenant", " replicate_api_token")),
    "a key with dashes": Scenario(OPERATOR, _of("r8_tenant", "replicate-api-token")),
    # Who is in a scope has what the scope says.
    "a tenant's token": Scenario(TENANT, _of("r8_tenant")),
    "a tenant's token, without a variable": Scenario(TENANT, _of("r8_tenant"), {}),
    "a key in capitals": Scenario(TENANT, _of("r8_tenant", "REPLICATE_API_TOKEN")),
    "a key in both": Scenario(TENANT, _of("r8_tenant", "Replicate_Api_Token")),
    "a key after others": Scenario(TENANT, {"a": "b", "replicate_api_token": "r8_tenant"}),
    "two keys": Scenario(TENANT, {"REPLICATE_API_TOKEN": "r8_tenant", "replicate_api_token": "r8_other"}),
    "two keys, the first empty": Scenario(
        None, {"REPLICATE_API_TOKEN": "", "replicate_api_token": "r8_other"}
    ),
    "a key that is no text, after the token": Scenario(TENANT, {"replicate_api_token": "r8_tenant", 1: "x"}),
    "a scope that warns": Scenario(TENANT, "experimental"),
    # Who is in a scope without a token sends none.
    "an empty token": Scenario(None, _of("")),
    "an empty token, without a variable": Scenario(None, _of(""), {}),
    "a token that is none": Scenario(None, _of(None)),
    "a token that is none, without a variable": Scenario(None, _of(None), {}),
    "a token that is false": Scenario(None, _of(False)),
    "a token that is nought": Scenario(None, _of(0)),
    "a token that is an empty list": Scenario(None, _of([])),
    # Whatever else it holds is sent as it reads.
    "a token that is a number": Scenario("Bearer 123", _of(123)),
    "a token that is true": Scenario("Bearer True", _of(True)),
    "a token of bytes": Scenario("Bearer b'r8_tenant'", _of(b"r8_tenant")),
    "a token that is an object": Scenario("Bearer r8_object", _of(_Text())),
    # What was given comes first, unless it is empty.
    "an explicit token": Scenario("Bearer r8_mine", given={"api_token": "r8_mine"}),
    "an explicit token in a scope": Scenario(
        "Bearer r8_mine", _of("r8_tenant"), given={"api_token": "r8_mine"}
    ),
    "an explicit token in a scope without one": Scenario(
        "Bearer r8_mine", _of(""), given={"api_token": "r8_mine"}
    ),
    "an explicit token that is a number": Scenario("Bearer 5", given={"api_token": 5}),
    "an explicit token that is empty": Scenario(OPERATOR, given={"api_token": ""}),
    "an explicit token that is empty, in a scope": Scenario(
        TENANT, _of("r8_tenant"), given={"api_token": ""}
    ),
    "an explicit token that is empty, in a scope without one": Scenario(
        None, _of(""), given={"api_token": ""}
    ),
    "a header of the caller's": Scenario("Token x", given={"headers": {"Authorization": "Token x"}}),
    "a header of the caller's in a scope": Scenario(
        "Token x", _of("r8_tenant"), given={"headers": {"Authorization": "Token x"}}
    ),
    "a header of the caller's and a token": Scenario(
        "Token x", given={"api_token": "r8_mine", "headers": {"Authorization": "Token x"}}
    ),
    "an empty header of the caller's": Scenario("", given={"headers": {"Authorization": ""}}),
    "other headers": Scenario(OPERATOR, given={"headers": {"X-Mine": "1"}}),
}
