"""What a worker makes of a batch."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pytest

from replicate_kit import Client, col, template
from replicate_kit.errors import BatchError, InputError
from replicate_kit.partitions import Job
from replicate_kit_ray import sharing

BATCH = pa.table({"title": ["Sea", None, "Hills"], "n": [1, 2, 3]})


@pytest.fixture(autouse=True)
def stopped(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether Ray has canceled the task."""
    told: list[bool] = []
    context = SimpleNamespace(is_canceled=lambda: bool(told))
    monkeypatch.setattr(sharing.ray, "get_runtime_context", lambda: context)
    return told


def made(
    model: str, input: dict[str, Any], batch: Any = BATCH, *, details: bool = False, **options: Any
) -> Any:
    options = {"client": Client(backend="mock"), "journal": f"memory://{uuid4().hex}", **options}
    (result,) = sharing.Share(Job.of(model, input, options, "run", details=details))(batch)
    return result


def test_outputs_are_one_column_more() -> None:
    result = made("demo/poet", {"prompt": template("{title} {n}")})
    assert result.column_names == ["title", "n", "output"]
    assert result.schema.field("output").type == pa.string()
    assert [each is None for each in result.column("output").to_pylist()] == [False, True, False]
    assert result.column("title").to_pylist() == ["Sea", None, "Hills"]


def test_details_are_columns_with_types_that_no_batch_changes() -> None:
    whole = made("demo/poet", {"prompt": col("title")}, details=True)
    empty = made("demo/poet", {"prompt": col("title")}, BATCH.slice(1, 1), details=True)
    assert whole.schema == empty.schema
    assert whole.column("status").to_pylist() == ["succeeded", "null", "succeeded"]


def test_each_file_may_have_a_row() -> None:
    result = made("demo/painter", {"prompt": col("title"), "num_outputs": 2}, files="explode")
    assert result.column("n").to_pylist() == [1, 1, 2, 3, 3]


def test_files_are_saved_by_the_worker(tmp_path: Path) -> None:
    result = made("demo/painter", {"prompt": col("title")}, save_to=str(tmp_path))
    saved = [each for each in result.column("output").to_pylist() if each is not None]
    assert len(saved) == 2
    assert all(Path(each).parent == tmp_path and Path(each).exists() for each in saved)


def test_a_column_of_that_name_is_an_error_before_anything_is_created() -> None:
    with pytest.raises(InputError, match="columns output already"):
        made("demo/poet", {"prompt": col("title")}, BATCH.append_column("output", BATCH.column("n")))


def test_what_ray_has_canceled_creates_nothing(stopped: list[bool]) -> None:
    stopped.append(True)
    with pytest.raises(BatchError, match="0 of 2 rows done"):
        made("demo/poet", {"prompt": col("title")})
