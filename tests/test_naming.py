"""Names of files are safe everywhere, and their extensions fit what is in them."""

from __future__ import annotations

import mimetypes
import posixpath
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicate_kit.naming import LONGEST, extension, media_type, safe_name, shortened


@given(st.text())
def test_safe_name_is_one_name_on_every_system(text: str) -> None:
    name = safe_name(text)
    assert name == posixpath.basename(name)
    assert not re.search(r"[\\/:*?\"<>|\x00-\x1f#%{}]", name)
    assert name.strip(". ") == name != ""
    assert not re.fullmatch(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?", name)


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
        ("nul.txt", "nul.txt_"),
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
