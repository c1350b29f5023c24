from __future__ import annotations

import base64
import re
import sys
from collections.abc import Hashable
from html import unescape
from pathlib import Path
from typing import Any

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


def html(frame: pd.DataFrame, *columns: Hashable, rows: int = 60) -> str:
    return replicate_kit_pandas.accessor_of(frame).show(*columns, rows=rows)._repr_html_()


def on_the_left(page: str, kind: str) -> list[str]:
    """The texts of the cells (td) or labels (th) that are on the left and keep their line breaks."""
    found = re.findall(
        f'<{kind}[^>]*><div style="text-align: left; white-space: pre-wrap">(.*?)</div></{kind}>',
        page,
        re.DOTALL,
    )
    return [unescape(each) for each in found]


def as_pandas_shows(page: str, kind: str) -> list[str]:
    """The texts of all other cells or labels."""
    return [unescape(each) for each in re.findall(f"<{kind}>([^<]*)</{kind}>", page)]


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
    for name in ("picture", ["picture"]):
        with pytest.raises(InputError, match=r"no column 'picture'.* The columns are: image"):
            pd.DataFrame({"image": []}).replicate.show(name)


def test_columns_are_named_one_by_one_or_in_a_list() -> None:
    frame = pd.DataFrame({"image": ["https://a.test/1.png"], "mask": ["https://a.test/2.png"], "text": ["a"]})
    page = html(frame, "image", "mask")
    assert len(sources(page)) == 2
    assert frame.replicate.show(["image", "mask"])._repr_html_() == page
    assert frame.replicate.show(["image"])._repr_html_() == html(frame, "image")
    assert frame.replicate.show([])._repr_html_() == html(frame)


@pytest.mark.parametrize(
    "columns",
    [(["image"], "mask"), ("image", ["mask"]), (["image", ["mask"]],), ({"image"},), (("image", ["mask"]),)],
    ids=str,
)
def test_what_names_no_column_is_refused_with_what_does(columns: tuple[Any, ...]) -> None:
    frame = pd.DataFrame({"image": ["a.png"], "mask": ["b.png"]})
    with pytest.raises(
        InputError, match=r'Name columns one by one or in one list: .* show\(\["image", "mask"\]\)'
    ):
        frame.replicate.show(*columns)


def test_tuple_is_the_name_of_one_column() -> None:
    frame = pd.DataFrame([["https://a.test/1.png", "https://a.test/2.png"]])
    frame.columns = pd.MultiIndex.from_tuples([("image", "first"), ("image", "second")])
    assert sources(html(frame, ("image", "second"))) == ["https://a.test/2.png"]
    assert len(sources(frame.replicate.show([("image", "first"), ("image", "second")])._repr_html_())) == 2
    with pytest.raises(InputError, match="'image' names 2 columns"):
        html(frame, "image")
    flat = pd.DataFrame({"image": ["a.png"], "mask": ["b.png"]})
    with pytest.raises(InputError, match=r"a tuple is the name of one column.* show\('image', 'mask'\)"):
        html(flat, ("image", "mask"))


def test_column_may_be_named_by_its_text_or_by_the_level_above_an_empty_one() -> None:
    assert sources(html(pd.DataFrame({7: ["https://a.test/1.png"]}), "7"))
    frame = pd.DataFrame([["a", "https://a.test/1.png"]])
    frame.columns = pd.MultiIndex.from_tuples([("text", "one"), ("image", "")])
    assert sources(html(frame, "image"))


def test_columns_of_one_name_are_shown_but_cannot_be_meant() -> None:
    frame = pd.DataFrame([["a\nb", 1, "https://a.test/1.png"]], columns=["text", "text", "image"])
    page = html(frame, "image")
    assert on_the_left(page, "td")[0] == "a\nb"
    assert as_pandas_shows(page, "td") == ["1"]
    assert sources(page)
    with pytest.raises(InputError, match="'text' names 2 columns"):
        html(frame, "text")


def test_series_answers_to_its_own_name_alone() -> None:
    series = pd.Series(["https://a.test/1.png"], name="image")
    page = series.replicate.show()._repr_html_()
    assert series.replicate.show("image")._repr_html_() == page
    assert series.replicate.show(["image"])._repr_html_() == page
    with pytest.raises(InputError, match=r"no column 'mask': its name is 'image'. Write show\(\)"):
        series.replicate.show(["image", "mask"])


# Texts.


@pytest.mark.parametrize("dtype", [object, "string", "category", "string[pyarrow]"])
def test_texts_are_on_the_left_and_keep_their_line_breaks(dtype: Any) -> None:
    poem = "The sea is wide,\n    the hills <b>are</b> high,\r\n\tand $5 is nigh."
    frame = pd.DataFrame({"poem": pd.Series([poem], dtype=dtype), "year": [1900], "rate": [1.5]})
    page = html(frame)
    assert on_the_left(page, "td") == [poem]
    assert on_the_left(page, "th") == ["poem"]
    assert as_pandas_shows(page, "td") == ["1900", "1.5"]
    assert as_pandas_shows(page, "th") == ["", "year", "rate", "0"]
    assert frame["poem"].tolist() == [poem]


def test_labels_of_rows_are_texts_too() -> None:
    frame = pd.DataFrame({"year": [1, 2, 3]}, index=pd.Index(["a\nb", 7, None], dtype=object, name="title"))
    assert on_the_left(html(frame), "th") == ["a\nb"]
    # Names that are numbers do not lead to another level.
    frame.index = pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b\nc", 3)], names=[1, 0])
    page = html(frame)
    assert on_the_left(page, "th") == ["a", "b\nc"]
    assert as_pandas_shows(page, "th")[-3:] == ["1", "2", "3"]
    assert 'rowspan="2"' in page


def test_headers_of_several_levels_stay_together() -> None:
    frame = pd.DataFrame([["a", 1, "b"]])
    frame.columns = pd.MultiIndex.from_tuples([("one", "text"), ("one", "year"), ("two", "text")])
    page = html(frame)
    assert on_the_left(page, "th") == ["text", "text"]
    assert 'colspan="2"' in page
    assert "year" in as_pandas_shows(page, "th")


@pytest.mark.parametrize(
    ("columns", "headers"),
    [
        (pd.RangeIndex(2), ["0"]),
        (pd.date_range("2020-01-01", periods=2), ["2020-01-01"]),
        (pd.CategoricalIndex(["a", "b"]), ["a"]),
        (pd.Index([None, pd.NA], dtype=object), ["None"]),
        (pd.Index([("a", 1), ("b", 2)], tupleize_cols=False), ["('a', 1)"]),
    ],
    ids=["numbers", "days", "categories", "nulls", "tuples"],
)
def test_headers_need_not_be_texts(columns: pd.Index[Any], headers: list[str]) -> None:
    frame = pd.DataFrame([["text", 1]]).set_axis(columns, axis=1)
    assert on_the_left(html(frame), "th") == headers


def test_long_texts_are_cut() -> None:
    (text,) = on_the_left(html(pd.DataFrame({"text": ["<" * 300]})), "td")
    assert text == "<" * 199 + "…"


def test_dollars_are_no_formula() -> None:
    page = html(pd.DataFrame({"text": ["$5 or $6"]}))
    assert '<table class="dataframe mathjax_ignore tex2jax_ignore">' in page


@pytest.mark.parametrize("text", ["\ue0000\ue001", "\ue000999\ue001", "0;", "{}", "{0}", r"\1"])
def test_no_text_is_taken_for_another_cell(text: str) -> None:
    frame = pd.DataFrame({"list": [[text]], "text": [text], "image": ["https://a.test/1.png"]}, index=[text])
    page = html(frame, "image")
    assert len(sources(page)) == 1
    assert page.count(text) == 3


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame(),
        pd.DataFrame(index=["a"]),
        pd.DataFrame({"a": []}),
        pd.DataFrame({"a": [None]}, index=[None]),
    ],
    ids=["empty", "no columns", "no rows", "nulls"],
)
def test_table_may_have_nothing_in_it(frame: pd.DataFrame) -> None:
    assert "<table" in html(frame)


@pytest.mark.parametrize(
    "text",
    ["half \ud83d.png", "a\0b.png", "x" * 5000 + ".png", "file://[", "file:///\ud83d.png", "http://[\ud83d"],
)
def test_a_text_that_is_no_path_is_shown_as_a_text_that_a_notebook_can_send(text: str) -> None:
    frame = pd.DataFrame({"picture": pd.Series([text, "half \ud83d"], dtype=object)})
    frame.replicate.show("picture")._repr_html_().encode()
