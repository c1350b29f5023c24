"""Leaving the results when every row is done already, and nobody has asked for the last of them."""

from __future__ import annotations

import time

from replicate_kit import Client


def test_leaving_a_run_that_is_done_ends_it() -> None:
    client = Client(backend="mock")
    with client.map("demo/poet", [{"prompt": "sea"}, {"prompt": "hill"}]) as batch:
        while batch.progress.done < 2:
            time.sleep(0.01)
        next(batch)
    assert batch.progress.done == 2
