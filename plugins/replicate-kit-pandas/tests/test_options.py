"""Options find their way: those of the accessors, those of `client.map`, and those that matter for a plan."""

from __future__ import annotations

from replicate_kit_pandas.options import for_plan


def test_a_plan_looks_at_the_store_with_its_options() -> None:
    store = {"save_to": "s3://bucket", "storage_options": {"endpoint_url": "http://127.0.0.1:9"}}
    assert for_plan({**store, "ordered": False, "files": "auto"}) == store
