"""A row whose create is refused has its error, like any other: no result is ever empty."""

from __future__ import annotations

from pathlib import Path

from replicate_kit import Client
from replicate_kit.errors import FileError, ReplicateError, ValidationError

from ..conftest import Service


def test_row_that_the_api_refuses_has_the_error(service: Service, client: Client) -> None:
    rows = [{"n": 1}, {"n": "many"}]
    good, bad = client.map("acme/double", rows, check_input=False)
    assert (good.output, good.error) == (2, None)
    assert (bad.status, type(bad.error)) == ("rejected", ValidationError)
    assert "input.n: Invalid type" in str(bad.error)
    assert service.creates == 1


def test_row_whose_file_vanishes_before_it_is_sent_has_the_error(
    service: Service, client: Client, tmp_path: Path
) -> None:
    @service.simulator.model("acme/size")
    def size(image: Path) -> int:
        return len(image.read_bytes())

    file = tmp_path / "a.bin"
    file.write_bytes(b"abc")
    (result,) = client.map("acme/size", [{"image": file}], on_plan=lambda plan: file.unlink())
    assert isinstance(result.error, ReplicateError | FileError)
    assert result.status == "rejected"
    assert service.creates == 0
