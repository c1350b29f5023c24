"""The commands that show what an account has, and what there is for all."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from click.testing import Result

from replicate_kit import Client

Invoke = Callable[..., Result]


@pytest.mark.parametrize("command", [("account",), ("account", "current")])
def test_account_shows_whose_token_it_is(invoke: Invoke, command: tuple[str, ...]) -> None:
    account = dict(Client(backend="mock").accounts.current())
    assert f"username\t{account['username']}\n" in invoke(*command).stdout
    assert json.loads(invoke(*command, "--json").stdout) == account


@pytest.mark.parametrize("name", ["hardware", "hw"])
def test_hardware_lists_the_skus(invoke: Invoke, name: str) -> None:
    kinds = [dict(each) for each in Client(backend="mock").hardware.list()]
    assert [line.split("\t")[0] for line in invoke(name, "list").stdout.splitlines()] == [
        each["sku"] for each in kinds
    ]
    assert json.loads(invoke(name, "list", "--json").stdout) == kinds


def test_collections_lists_them_and_the_models_of_one(invoke: Invoke) -> None:
    assert invoke("collections", "list").stdout.startswith("demo\t")
    assert json.loads(invoke("collections", "list", "--json").stdout)[0]["slug"] == "demo"
    assert "demo/painter\t" in invoke("collections", "get", "demo").stdout
    assert json.loads(invoke("collection", "show", "demo", "--json").stdout)["models"]


def test_webhooks_secret_prints_the_secret_alone(invoke: Invoke) -> None:
    key = Client(backend="mock").webhooks.default.secret().key
    assert invoke("webhooks", "secret").stdout == f"{key}\n"
    assert json.loads(invoke("webhooks", "secret", "--json").stdout) == {"key": key}
