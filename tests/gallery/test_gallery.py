"""The page of results."""

from __future__ import annotations

from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicate_kit import FileOutput, gallery
from replicate_kit.errors import FileExpired
from replicate_kit.gallery._media import find_media

VOID = {"meta", "img", "input"}


@dataclass
class Row:
    input: Any = None
    output: Any = None
    error: Any = None
    status: str = "succeeded"
    prediction_id: str | None = None
    seconds: float | None = None
    cached: bool = False
    files: Any = ()


class Page(HTMLParser):
    """Collects the elements of a page, and checks that they are nested as they should be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] not in ("style", "script"):
            self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return " ".join(self.words)


def page_of(*rows: Row, folder: Path = Path("/pages"), **options: Any) -> Page:
    return Page("".join(gallery.render({"Results": rows}, folder=folder, **options)))


def test_files_are_shown_as_what_they_are() -> None:
    urls = [f"https://example.com/out.{suffix}" for suffix in ("webp", "wav", "mp4", "zip")]
    page = page_of(Row(output=urls))
    assert page.all("img")[0]["src"] == urls[0]
    assert page.all("audio")[0]["src"] == urls[1]
    assert page.all("video")[0]["src"] == urls[2]
    assert urls[3] in [each.get("href") for each in page.all("a")]


def test_saved_files_are_linked_relatively_so_that_the_folder_can_move(tmp_path: Path) -> None:
    inside, outside = tmp_path / "pages" / "a b#1.png", tmp_path / "c.png"
    rows = [Row(output=str(each), files=[str(each)]) for each in (inside, outside)]
    rows += [Row(output=inside.as_uri())]
    found = [each["src"] for each in page_of(*rows, folder=tmp_path / "pages").all("img") if "src" in each]
    assert found == ["a%20b%231.png", outside.as_uri(), "a%20b%231.png"]


def test_text_is_text_even_if_it_names_a_file_or_begins_like_a_url() -> None:
    page = page_of(Row(output="out.png"), Row(output="https://example.com/a.png is a picture"))
    assert [each for each in page.all("img") if each.get("src")] == []
    assert "out.png" in page.text


def test_places_that_no_browser_reads_are_named_without_a_link() -> None:
    url = "s3://bucket/wombat.png"
    page = page_of(Row(output=url, files=[url]))
    assert "wombat.png" in page.text
    assert url not in [each.get("href") for each in page.all("a")]


def test_data_urls_are_shown_where_they_stand() -> None:
    url = "data:image/png;base64,iVBORw0KGgo="
    assert page_of(Row(output=FileOutput(url))).all("img")[0]["src"] == url


def test_errors_and_structured_outputs_are_readable() -> None:
    page = page_of(Row(error=FileExpired("It is gone."), status="failed"), Row(output={"score": [0.5]}))
    for words in ("FileExpired", "It is gone.", '"score"'):
        assert words in page.text
    assert [each["data-kinds"] for each in page.all("article")] == ["failed", "text"]


def test_the_input_is_the_caption_and_settings_stand_below() -> None:
    page = page_of(
        Row(input={"seed": 7, "prompt": "a wombat", "mask": None}, output="x", cached=True, seconds=1.25)
    )
    for words in ("a wombat", "seed", "7", "cached", "1.2 s"):
        assert words in page.text
    assert "mask" not in page.text


def test_what_all_results_share_is_said_once() -> None:
    rows = [
        Row(input={"prompt": prompt, "width": 448, "seed": seed}) for seed, prompt in enumerate(("a", "a"))
    ]
    assert page_of(*rows).text.count("width") == 1
    assert page_of(*rows).text.count("seed") == 2
    assert page_of(rows[0]).text.count("width") == 1


def test_the_page_loads_nothing_from_elsewhere_and_allows_its_own_script_only() -> None:
    page = page_of(Row(output="hello"), title="A & B", note="<note>")
    policy = next(each["content"] for each in page.all("meta") if "http-equiv" in each)
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert page.all("link") == []
    assert [each for each in page.all("script") if "src" in each] == []
    assert "A & B" in page.text
    assert "<note>" in page.text


@given(
    st.text()
    | st.sampled_from(["</script><script>alert(1)</script>", '"><img src=x>', "javascript:alert(1)"])
)
def test_whatever_a_model_says_stays_text(text: str) -> None:
    row = Row(input={text: text, "prompt": text}, output=[text], error=text, status=text, prediction_id=text)
    page, plain = (
        page_of(row),
        page_of(Row(input={"a": "b", "prompt": "c"}, output="d", error="e", prediction_id="f")),
    )
    assert len(page.all("script")) == len(plain.all("script"))
    assert not [each for each in page.all("a") if (each.get("href") or "").lower().startswith("javascript")]
    assert not [each for _, each in page.elements if any(name.startswith("on") for name in each)]


def test_writing_replaces_the_page_as_a_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "index.html"
    gallery.write(target, {"One": [Row(output="first")]})

    def failing() -> Any:
        yield Row(output="second")
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        gallery.write(target, {"One": failing()})
    assert "first" in target.read_text("utf-8")
    assert [each.name for each in target.parent.iterdir()] == ["index.html"]


@pytest.mark.parametrize("value", [None, 3, "", "text", "http:// a", {"a": 1}])
def test_what_is_no_file_is_none(value: object) -> None:
    assert find_media(value, Path("/pages")) is None


HALF = "half of \ud83d"


def _nested(depth: int) -> list[Any]:
    inner: list[Any] = []
    for _ in range(depth):
        inner = [inner]
    return inner


ANY: dict[str, Any] = {
    "half a character": HALF,
    "a list of halves": [HALF, "\ude00"],
    "a structure of halves": {HALF: {HALF: [HALF]}},
    "NUL and controls": "\0\x1b[31m",
    "a long text": "x" * 100_000,
    "no number": float("nan"),
    "infinity": [float("inf")],
    "a number that Python does not write": {"n": 10**5000},
    "bytes": b"\xff",
    "odd keys": {(1, 2): {3: 4}},
    "a deep structure": _nested(5000),
    "no URL": "http://[",
    "no address": "https://[::1/x.png",
    "a URL with a half": "https://example.com/\ud83d.png",
    "a file with a half": "file:///pictures/\ud83d.png",
    "a file with NUL": "file:///a\0b.png",
    "data with a half": "data:image/png;base64,\ud83d",
}


@pytest.mark.parametrize("value", ANY)
def test_any_value_has_a_card(tmp_path: Path, value: str) -> None:
    thing = ANY[value]
    texts = (thing,) if isinstance(thing, str) else ()
    rows = [
        Row({"prompt": "x"}, thing),
        Row({"prompt": thing, "seed": thing}, "ok"),
        Row(thing, "ok"),
        Row({}, thing, files=texts),
        Row({}, None, ValueError(HALF), status=HALF, prediction_id=HALF),
    ]
    for each in rows:
        path = gallery.write(tmp_path / "page.html", {HALF: [each, each]}, title=HALF, note=HALF)
        assert path.read_text("utf-8").count("<article") == 2
        "".join(gallery.render({HALF: [each]}, title=HALF)).encode()
