"""Results of equal rows: decoded once, and each row's own."""

from __future__ import annotations

from typing import Any

import pytest

import replicate_kit
from replicate_kit import Client
from replicate_kit.simulator import Simulator


class Counting:
    """Counts what it is asked to decode."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    @replicate_kit.hookimpl
    def replicate_decode_output(self, value: Any) -> Any:
        self.asked.append(value)


@pytest.mark.parametrize("ordered", [True, False])
def test_lists_of_equal_rows_are_their_own_and_decoded_once(ordered: bool) -> None:
    simulator = Simulator()

    @simulator.model("acme/words")
    def words(text: str) -> list[str]:
        return text.split()

    counting = Counting()
    with Client(backend=simulator, plugins=[counting]) as client:
        rows = [{"text": "a b"}] * 3 + [{"text": "c"}] + [{"text": "a b"}]
        results = sorted(client.map("acme/words", rows, ordered=ordered), key=lambda each: each.index)
    assert [each.output for each in results] == [["a", "b"]] * 3 + [["c"], ["a", "b"]]
    results[0].output.append("changed")
    assert [each.output for each in results[1:3]] == [["a", "b"]] * 2
    assert counting.asked.count(["c"]) == 1
    assert counting.asked.count(["a", "b"]) == (2 if ordered else 1)  # those that come one after the other


def test_structures_of_equal_rows_are_their_own() -> None:
    simulator = Simulator()

    @simulator.model("acme/nested")
    def nested(text: str) -> dict[str, Any]:
        return {"words": [text]}

    with Client(backend=simulator) as client:
        first, second = client.map("acme/nested", [{"text": "a"}] * 2)
    first.output["words"].append("b")
    assert second.output == {"words": ["a"]}
