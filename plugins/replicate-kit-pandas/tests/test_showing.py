from __future__ import annotations

import base64
import re
import sys
from pathlib import Path

import pandas as pd
import pytest

import replicate_kit_pandas
from replicate_kit.errors import InputError

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "a&b.png"
    path.write_bytes(PNG)
    return path


def html(frame: pd.DataFrame, *columns: str, rows: int = 60) -> str:
    return replicate_kit_pandas.accessor_of(frame).show(*columns, rows=rows)._repr_html_()


def sources(page: str) -> list[str]:
    return re.findall(r'<img src="([^"]*)"', page)


@pytest.mark.parametrize("pillow", [True, False])
def test_local_picture_becomes_part_of_the_page(
    picture: Path, pillow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not pillow:
        monkeypatch.setitem(sys.modules, "PIL", None)
    for address in (str(picture), picture.as_uri()):
        (source,) = sources(html(pd.DataFrame({"image": [address]}), "image"))
        assert source.startswith("data:image/png;base64,")
        content = base64.b64decode(source.partition(",")[2])
        assert content.startswith(b"\x89PNG")
        assert pillow or content == PNG


def test_addresses_are_linked_and_lists_are_rows_of_pictures() -> None:
    frame = pd.DataFrame(
        {"image": [["https://a.test/1.png", "https://a.test/2.png?a=1&b=2"], None]}, index=[1, 1]
    )
    assert sources(html(frame, "image")) == ["https://a.test/1.png", "https://a.test/2.png?a=1&amp;b=2"]


def test_text_is_never_markup() -> None:
    evil = '<script>alert("x")</script>'
    frame = pd.DataFrame({evil: [evil], "image": [evil]}, index=[evil])
    page = html(frame, "image")
    assert "<script>" not in page
    assert page.count("&lt;script&gt;") == 4


def test_address_cannot_leave_its_attribute() -> None:
    page = html(pd.DataFrame({"image": ['https://a.test/"onerror="x']}), "image")
    assert 'onerror="' not in page


@pytest.mark.parametrize("name", ["notes.txt", "missing.png"])
def test_files_that_are_no_pictures_stay_text(name: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("secret")
    page = html(pd.DataFrame({"image": [str(tmp_path / name)]}), "image")
    assert name in page
    assert not sources(page)


def test_picture_that_is_broken_is_left_to_the_browser(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"none")
    (source,) = sources(html(pd.DataFrame({"image": [str(tmp_path / "broken.png")]}), "image"))
    assert source == "data:image/png;base64,bm9uZQ=="


def test_other_columns_stay_text(picture: Path) -> None:
    assert not sources(html(pd.DataFrame({"image": [str(picture)]})))


def test_long_tables_are_cut() -> None:
    page = html(pd.DataFrame({"image": ["https://a.test/1.png"] * 5}), "image", rows=2)
    assert len(sources(page)) == 2
    assert "and 3 more rows" in page


def test_series_of_pictures_needs_no_name(picture: Path) -> None:
    table = replicate_kit_pandas.accessor_of(pd.Series([str(picture), None])).show()
    assert len(sources(table._repr_html_())) == 1
    assert "picture" in repr(table)


def test_column_that_is_missing_is_named() -> None:
    with pytest.raises(InputError, match="no column 'picture'"):
        html(pd.DataFrame({"image": []}), "picture")


@pytest.mark.parametrize(
    "text",
    ["half \ud83d.png", "a\0b.png", "x" * 5000 + ".png", "file://[", "file:///\ud83d.png", "http://[\ud83d"],
)
def test_a_text_that_is_no_path_is_shown_as_a_text_that_a_notebook_can_send(text: str) -> None:
    frame = pd.DataFrame({"picture": pd.Series([text, "half \ud83d"], dtype=object)})
    frame.replicate.show("picture")._repr_html_().encode()
