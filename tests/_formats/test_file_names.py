"""Names of files are safe everywhere, and their extensions fit what is in them."""

from __future__ import annotations

import mimetypes
import posixpath
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from replicate_kit._formats import file_names
from replicate_kit._formats.file_names import (
    LONGEST,
    extension,
    inline_type,
    media_type,
    safe_name,
    shortened,
)
from replicate_kit._formats.templates import Template


@given(st.text())
def test_safe_name_is_one_name_on_every_system(text: str) -> None:
    name = safe_name(text)
    assert name == posixpath.basename(name)
    assert not re.search(r"[\\/:*?\"<>|\x00-\x1f#%{}]", name)
    assert name.strip(". ") == name != ""
    assert not is_kept_by_windows(name)


def is_kept_by_windows(name: str) -> bool:
    """What Windows does: it cuts at the first dot or colon, drops blanks at the end, and looks up the rest."""
    stem = re.split(r"[.:]", name)[0].rstrip(" ").upper()
    devices = {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"}
    return stem in devices | {f"{port}{digit}" for port in ("COM", "LPT") for digit in "0123456789¹²³"}


DEVICES = [
    "con",
    "PRN",
    "Aux",
    "nUl",
    "conin$",
    "CONOUT$",
    *(f"{a}{b}" for a in ("com", "LPT") for b in "0123456789¹²³"),
]
BESIDE = [
    "",
    ".txt",
    ".tar.gz",
    " ",
    " .txt",
    ". ",
    "...",
    ":stream",
    ".",
    " . .txt",
    "\u200b",
    "\uff0etxt",
    "\u2024txt",
    "\u00a0.txt",
]


@pytest.mark.parametrize("beside", BESIDE)
@pytest.mark.parametrize(
    "device",
    [*DEVICES, "\uff23\uff2f\uff2e", "\u24d2\u24de\u24dd", "com\uff11", "\U0001d41a\U0001d42e\U0001d431"],
)
def test_no_name_is_a_device_of_windows(device: str, beside: str) -> None:
    for text in (device + beside, f"../{device}{beside}", f"-{device}{beside}", f"{device}{beside}-"):
        name = safe_name(text)
        assert not is_kept_by_windows(name)
        for added in ("", ".png", "-1", "-1.png", ".tar.gz"):
            assert not is_kept_by_windows(name + added)
        assert name.rstrip(". ") == name


@example("con", "", "\U0001bec0", 3)  # of which nothing fits
@given(st.sampled_from(DEVICES), st.text(max_size=8), st.text(max_size=3), st.integers(3, LONGEST))
def test_nor_whatever_stands_beside_it(device: str, after: str, before: str, longest: int) -> None:
    name = safe_name(before + device + after, longest)
    assert not is_kept_by_windows(name)
    assert len(name.encode()) <= longest + 1
    assert name == posixpath.basename(name) == name.strip(". ")


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    "template",
    [
        "{a}{b}/{row}",
        "{row}-x/{a}{b}/{row}",
        "{a}{b}{ext}",
        "{device}/{row}",
        "{a}{b}.v2/{row}.png",
        "{a}{b} /{row}",
        "{a}{b}. /{row}",
        "{a}{b}.x.png",
    ],
)
def test_nor_any_part_of_a_template(template: str, device: str) -> None:
    values = {"row": 7, "a": device[:1], "b": device[1:], "device": device, "index": 1}
    for several in (False, True):
        name, _ = Template(template).render(values, several=several)
        for part in name.split("/"):
            assert not is_kept_by_windows(part)
            assert part.rstrip(". ") == part


@pytest.mark.parametrize("part", ["con", "CON.v2", "nul ", "aux. ", "com1", "wombats.", "prn"])
def test_nor_what_a_template_says_itself(part: str) -> None:
    name, _ = Template(f"{part}/{{row}}-{{prompt}}").render({"row": 1, "prompt": "x"})
    folder = name.partition("/")[0]
    assert not is_kept_by_windows(folder)
    assert folder.rstrip(". ") == folder


def test_a_name_and_all_that_is_added_fits_file_systems() -> None:
    values = {
        "row": 10**18,
        "prompt": "ж" * 500,
        "index": 999_999,
        "b": "ж" * 500,
        "prediction_id": "p" * 100,
    }
    for text in (
        "{prompt}",
        "{prompt}-{b}",
        "{prompt}/{b}-{row}",
        "a" * 170 + "{prompt}",
        "{prompt}-{sha256}",
    ):
        name, _ = Template(text).render(values, several=True)
        longest = max(len(part.encode()) for part in name.split("/"))
        assert longest + len(".safetensors") + len(".tar") <= 255


@given(st.text(min_size=50), st.integers(8, LONGEST))
def test_safe_name_keeps_to_its_length_in_bytes(text: str, longest: int) -> None:
    assert len(safe_name(text, longest).encode()) <= longest + 1


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("a wombat", "a-wombat"),
        ("../../etc/passwd", "etc-passwd"),
        ("..", "output"),
        ("\ud800\x00\u2028", "output"),
        ("Öl — 日本", "Öl-日本"),
        ("nul.txt", "nul_.txt"),
        ("~root", "root"),
        ("s3://bucket/key?versionId=1", "s3-bucket-key-versionId=1"),
    ],
)
def test_safe_name_stays_readable(text: str, name: str) -> None:
    assert safe_name(text) == name


def test_shortened_cuts_between_characters() -> None:
    assert shortened("äöü", 3) == "ä"


@pytest.mark.parametrize(
    ("content_type", "url", "head", "expected"),
    [
        ("image/png", "https://x.test/a.webp", b"", ".png"),
        ("image/jpeg", "https://x.test/a.jpeg", b"", ".jpeg"),
        ("image/jpeg; charset=binary", "https://x.test/a", b"", ".jpg"),
        ("application/octet-stream", "https://x.test/a.safetensors", b"", ".safetensors"),
        ("application/octet-stream", "https://x.test/a", b"\x89PNG\r\n\x1a\n", ".png"),
        ("text/plain", "https://x.test/a.srt", b"", ".srt"),
        ("text/plain", "https://x.test/a", b"hello", ".txt"),
        (None, "https://x.test/a%2Ftar.gz?x=/y.exe", b"", ".gz"),
        (None, "https://x.test/weights.tar.gz", b"", ".tar.gz"),
        (None, "https://x.test/.png", b"", ""),
        (None, "https://x.test/v1.5", b"", ""),
        (None, "data:image/png;base64,AAAA", b"RIFF\0\0\0\0WAVE", ".wav"),
        (None, "https://x.test/a", b"\0\0\0\x20ftypisom", ".mp4"),
        ("application/x-unheard-of", "https://x.test/a", b"", ""),
    ],
)
def test_extension_is_by_type_then_url_then_content(
    content_type: str | None, url: str, head: bytes, expected: str
) -> None:
    assert extension(content_type, url, head) == expected


@given(st.one_of(st.none(), st.text()), st.text(), st.binary(max_size=300))
def test_extension_is_safe_whatever_a_server_says(content_type: str | None, url: str, head: bytes) -> None:
    try:
        found = extension(content_type, url, head)
    except ValueError:  # what is no URL at all
        return
    assert re.fullmatch(r"|(\.tar)?\.[A-Za-z0-9]{1,12}", found)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("out-0.webp", "image/webp"),
        ("OUT.WAV", "audio/wav"),
        ("song.m4a", "audio/mp4"),
        ("model.glb", "model/gltf-binary"),
        ("photo.jpeg", "image/jpeg"),
        ("weights.tar.gz", "application/x-tar"),
        ("webp", None),
        ("", None),
    ],
)
def test_the_type_of_a_name_does_not_depend_on_the_tables_of_the_system(
    name: str, kind: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mimetypes, "_db", mimetypes.MimeTypes())
    assert media_type(name) == kind


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("rows.csv", "text/csv"),
        ("IMG_1.JPG", "image/jpeg"),
        ("scan.jpeg", "image/jpeg"),
        ("page.htm", "text/html"),
        ("plate.tif", "image/tiff"),
        ("speech.wav", "audio/x-wav"),
        ("a.b.json", "application/json"),
        ("größe.txt", "text/plain"),
        ("data:x.csv", "text/csv"),
        ("weights.bin", "application/octet-stream"),
        ("README", "application/octet-stream"),
        (".jsonl", "application/octet-stream"),
        ("file", "application/octet-stream"),
        *(
            (name, None)
            for name in (
                "events.jsonl",
                "EVENTS.JSONL",
                "film.srt",
                "film.vtt",
                "notes.md",
                "a.yaml",
                "a.yml",
                "lora.safetensors",
                "llm.gguf",
                "w.tar.gz",
                "w.tgz",
                "a.opus",
                "a.m4a",
                "a.webp",
                "a.heic",
                "a.glb",
                "a.parquet",
                "a.npy",
                "a.so",
                "a.größe",
                "a.",
                "a.b c",
                "rows.csv.gz",
                "a.png?x=1",
            )
        ),
    ],
)
def test_a_type_stands_for_a_suffix_only_where_every_model_makes_the_suffix_of_it(
    name: str, kind: str | None
) -> None:
    assert inline_type(name) == kind


def test_python_itself_makes_the_suffix_of_each_type() -> None:
    for suffix, kind in file_names._INLINE.items():
        assert mimetypes.guess_extension(kind) == suffix
    for same, suffix in file_names._SAME.items():
        assert file_names.inline_type(f"a{same}") == file_names._INLINE[suffix]
