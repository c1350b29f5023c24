"""The kinds of hardware."""

from __future__ import annotations

from typing import Any

import pytest

from replicate_kit import Client
from replicate_kit.errors import InvalidResponse
from replicate_kit.testing.suites import Drive


def test_hardware_is_a_list_and_not_a_page(client: Client, drive: Drive) -> None:
    kinds = drive(client.hardware.async_list())
    assert isinstance(kinds, list)
    assert "cpu" in [kind.sku for kind in kinds]
    assert all(kind.name for kind in kinds)
    assert repr(kinds[0]) == f"<Hardware: {kinds[0].sku}>"


def test_a_kind_is_what_models_are_created_with(client: Client, drive: Drive) -> None:
    kind = client.hardware.list()[0]
    made = drive(client.models.async_create("local", "mine", visibility="private", hardware=kind))
    assert made.name == "mine"


def test_what_is_no_list_is_refused(connect: Any, drive: Drive) -> None:
    client, _ = connect({"results": []})
    with pytest.raises(InvalidResponse, match="not a list of hardware"):
        drive(client.hardware.async_list())
