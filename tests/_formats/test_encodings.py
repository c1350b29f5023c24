"""Encodings are undone whole, in any chunking, and in pieces that fit into memory."""

from __future__ import annotations

import gzip
import zlib
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicate_kit._formats.encodings import EncodingError, decoder_of

CONTENT = bytes(range(256)) * 2000


def raw_deflate(content: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush()


def decoded(header: str, data: bytes, size: int = 65536) -> tuple[bytes, bool]:
    decoder = decoder_of(header)
    assert decoder is not None
    pieces = [piece for at in range(0, len(data), size) for piece in decoder.feed(data[at : at + size])]
    assert all(len(piece) <= 65536 for piece in pieces)
    return b"".join(pieces), decoder.finish()


ENCODED = {
    "gzip": gzip.compress(CONTENT),
    "x-gzip": gzip.compress(CONTENT),
    "GZIP": gzip.compress(CONTENT[:1000]) + gzip.compress(CONTENT[1000:]) + b"\0" * 20,
    "deflate": zlib.compress(CONTENT),
    "Deflate": raw_deflate(CONTENT) + b"what follows",
    "deflate, gzip": gzip.compress(zlib.compress(CONTENT)),
    "identity, gzip, ": gzip.compress(CONTENT),
}


@pytest.mark.parametrize("size", [1, 7, 65536, 10**9])
@pytest.mark.parametrize("header", ENCODED)
def test_what_was_encoded_comes_out_in_any_chunking(header: str, size: int) -> None:
    assert decoded(header, ENCODED[header], size) == (CONTENT, True)


@given(st.binary(), st.integers(1, 100))
def test_raw_deflate_is_told_from_that_with_a_header(content: bytes, size: int) -> None:
    assert decoded("deflate", raw_deflate(content), size) == (content, True)
    assert decoded("deflate", zlib.compress(content), size) == (content, True)


@pytest.mark.parametrize("header", ["gzip", "deflate", "deflate, gzip"])
def test_what_is_cut_short_is_not_whole(header: str) -> None:
    assert decoded(header, ENCODED[header][:-3])[1] is False


@pytest.mark.parametrize("header", ["gzip", "deflate"])
def test_nothing_at_all_is_whole(header: str) -> None:
    assert decoded(header, b"") == (b"", True)


@pytest.mark.parametrize(
    "header",
    ["", "identity", " Identity ,", ",", "utf-8", "none", "aws-chunked", "binary", "UTF-8, identity"],
)
def test_what_is_not_encoded_needs_no_decoder(header: str) -> None:
    assert decoder_of(header) is None


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("compress", "'compress' cannot be undone"),
        ("gzip, dcz", "'dcz' cannot be undone"),
        ("gzip, gzip, gzip, gzip", "encoded 4 times"),
    ],
)
def test_encodings_that_cannot_be_undone_are_refused(header: str, said: str) -> None:
    with pytest.raises(EncodingError, match=said):
        decoder_of(header)


@pytest.mark.parametrize("header", ["gzip", "deflate"])
def test_what_is_not_so_encoded_is_refused(header: str) -> None:
    with pytest.raises(EncodingError):
        decoded(header, b"\xff\xfe{}" * 10)


def bomb(times: int) -> bytes:
    content = gzip.compress(bytes(50_000_000))
    for _ in range(times - 1):
        content = gzip.compress(content)
    return content


@pytest.mark.parametrize("times", [1, 2, 3])
def test_what_expands_comes_in_pieces(times: int) -> None:
    decoder = decoder_of(", ".join(["gzip"] * times))
    assert decoder is not None
    pieces = decoder.feed(bomb(times))
    assert [len(next(pieces)) for _ in range(3)] == [65536] * 3


def test_what_is_large_only_in_between_ends_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("replicate_kit._formats.encodings._MOST_BETWEEN", 1_000_000)
    members = gzip.compress(gzip.compress(b"") * 100_000)
    with pytest.raises(EncodingError, match="in between"):
        decoded("gzip, gzip", members)


@pytest.mark.parametrize(("header", "package"), [("br", "brotli"), ("zstd", "zstandard")])
def test_others_are_undone_where_their_package_is_installed(header: str, package: str) -> None:
    try:
        library: Any = import_module(package)
    except ImportError:
        with pytest.raises(EncodingError, match=f"needs the package '{package}'"):
            decoder_of(header)
        return
    packed = library.compress(CONTENT) if header == "br" else library.ZstdCompressor().compress(CONTENT)
    for size in (1, 65536):
        assert decoded(header, packed, size)[0] == CONTENT
    if header == "zstd":
        assert decoded(header, packed + packed) == (CONTENT * 2, True)
        assert decoded(header, packed[:-5])[1] is False


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("rest", [b"\r\n", b"garbage", b"\x1f\x8b\x08 no", b"\0\0x"])
def test_what_follows_gzip_and_is_none_is_left_out(rest: bytes, size: int) -> None:
    data, decoder = (
        gzip.compress(b"hello") + gzip.compress(b" there") + rest + b"more" * 300,
        decoder_of("gzip"),
    )
    assert decoder is not None
    parts = [data[start : start + size] for start in range(0, len(data), size)]
    assert b"".join(piece for part in parts for piece in decoder.feed(part)) == b"hello there"
    assert decoder.finish()
