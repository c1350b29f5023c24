"""Plugins that cannot decode, or that decode to what no column holds: no row of a table is lost for it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from replicate_kit import Client, hookimpl
from replicate_kit.errors import BatchError, PluginError
from replicate_kit.simulator import Simulator
from replicate_kit.storage import SaveTo
from replicate_kit_pandas import RowsFailed

TEXTS = pd.Series(["a", "b", "c", "a"], index=["k", "l", "m", "k"], name="text")


class Decoder:
    """A plugin that cannot decode one output, and keeps no records."""

    @hookimpl
    def replicate_decode_output(self, value: Any) -> None:
        if value == "C!":
            raise KeyError("boom")

    @hookimpl
    def replicate_record_files(self, files: Any) -> None:
        raise KeyError("no list")


@pytest.fixture
def failing(simulator: Simulator) -> Client:
    return Client(backend=simulator, plugins=[Decoder()])


@pytest.mark.parametrize("details", [False, True])
def test_a_row_that_cannot_be_decoded_is_null_and_has_its_error(failing: Client, details: bool) -> None:
    result = TEXTS.replicate.run("acme/shout", client=failing, errors="collect", details=details)
    outputs = result["output"] if details else result
    assert [None if pd.isna(each) else each for each in outputs] == ["A!", "B!", None, "A!"]
    if details:
        assert "'Decoder-" in result["error"].loc["m"]
        assert result["error"].notna().tolist() == [False, False, True, False]
        assert result["status"].tolist() == ["succeeded"] * 4


def test_its_label_and_error_are_those_of_the_error_that_is_raised(
    failing: Client, simulator: Simulator
) -> None:
    with pytest.raises(RowsFailed, match="'Decoder-") as caught:
        TEXTS.replicate.run("acme/shout", client=failing)
    (error,) = caught.value.errors
    assert caught.value.errors.index.tolist() == ["m"]
    assert isinstance(error, PluginError)
    assert error.prediction is not None
    assert caught.value.partial.dropna().tolist() == ["A!", "B!", "A!"]
    with pytest.raises(RowsFailed):
        asyncio.run(TEXTS.replicate.async_run("acme/shout", client=failing))
    found = dict(TEXTS.replicate.iter("acme/shout", client=failing))
    assert [label for label, result in found.items() if result.error is not None] == ["m"]


def test_a_failure_at_the_very_end_carries_the_whole_result(failing: Client, tmp_path: Path) -> None:
    series = pd.Series(["a", "b"], name="content")
    with pytest.raises(BatchError, match="no list") as caught:
        series.replicate.run("acme/files", client=failing, save_to=SaveTo(str(tmp_path), manifest=True))
    assert caught.value.partial.notna().all()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "make", [np.array, lambda pair: [np.array(pair)], lambda pair: {"x": np.array(pair)}, set]
)
@pytest.mark.parametrize("details", [False, True])
def test_outputs_of_any_type_are_kept(simulator: Simulator, make: Any, details: bool) -> None:
    class Arrays:
        @hookimpl
        def replicate_decode_output(self, value: Any) -> Any:
            return make([1, 2])

    client = Client(backend=simulator, plugins=[Arrays()])
    result = TEXTS.replicate.run("acme/shout", client=client, details=details)
    assert (result["output"] if details else result).notna().all()
