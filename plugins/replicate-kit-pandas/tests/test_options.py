"""Options find their way: those of the accessors, those of `client.map`, and those that matter for a plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from replicate_kit import Client
from replicate_kit.batch.accessors._options import for_plan
from replicate_kit.batch.journals import entries
from replicate_kit.errors import ConfigError


def test_a_plan_looks_at_the_store_with_its_options() -> None:
    store = {"save_to": "s3://bucket", "storage_options": {"endpoint_url": "http://127.0.0.1:9"}}
    assert for_plan({**store, "ordered": False, "files": "auto"}) == store


def test_a_journal_keeps_no_inputs_where_that_is_asked_for(
    texts: pd.Series[str], client: Client, tmp_path: Path
) -> None:
    journal = tmp_path / "journal.sqlite"
    for _ in range(2):
        texts.replicate.run("acme/shout", client=client, journal=journal, journal_inputs="hash")
        plan = texts.replicate.plan("acme/shout", client=client, journal=journal, journal_inputs="hash")
        assert plan.to_pay == 0
    assert {each["input"] for each in entries(journal)} == {None}


@pytest.mark.parametrize("method", ["run", "plan", "iter"])
@pytest.mark.parametrize("given", [{"api_key": "hunter2"}, {"login": {"password": "hunter2"}}])
def test_a_secret_that_was_passed_as_an_option_is_not_repeated(
    texts: pd.Series[str], client: Client, method: str, given: dict[str, Any]
) -> None:
    call = getattr(texts.replicate, method)
    with pytest.raises(ConfigError, match=r"Inputs of the model stand in input=.*\[secret\]") as raised:
        call("acme/shout", client=client, **given)
    assert "hunter2" not in str(raised.value)
