"""Tables of text as programs write them: the encoding and the delimiter are found out, said, or refused."""

# ruff: noqa: RUF001
from __future__ import annotations

import codecs
import gzip
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from click.testing import Result

from replicate_kit.cli._tables.tables import read_rows
from replicate_kit.simulator import default

Invoke = Callable[..., Result]

packed = partial(gzip.compress, mtime=0)  # alike in each process that collects these tests

TEXT = "prompt;note\ncafé;a\nfox, red;b\n"
ROWS = [{"prompt": "café", "note": "a"}, {"prompt": "fox, red", "note": "b"}]
MARKED = f"sep=;\r\n{TEXT}"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.csv", TEXT.encode(), "with semicolons between its cells (or else --delimiter)"),
        ("t.csv", TEXT.replace(";", "\t").encode(), "with tabs"),
        ("t.csv", TEXT.replace(";", "|").encode(), "with pipes"),
        ("t.tsv", TEXT.encode(), "with semicolons"),
        ("t.csv", MARKED.encode(), "with semicolons"),
        ("t.csv", codecs.BOM_UTF8 + MARKED.encode(), "with semicolons"),
        ("t.csv", MARKED.replace(";", "^").encode(), "with '^'"),
        ("t.csv", TEXT.encode("utf-16"), "as utf-16 (or else --encoding) and with semicolons"),
        ("t.csv", codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"), "as utf-16"),
        ("t.csv", TEXT.encode("utf-16-le"), "as utf-16-le"),
        ("t.csv", TEXT.encode("utf-16-be"), "as utf-16-be"),
        ("t.csv", TEXT.encode("utf-32"), "as utf-32"),
        ("t.csv", TEXT.encode("latin-1"), "as cp1252"),
        ("t.tsv", TEXT.replace(";", "\t").encode("latin-1"), "as cp1252 (or else --encoding)\n"),
        (
            "t.csv.gz",
            packed(TEXT.encode("latin-1")),
            "as cp1252 (or else --encoding) and with semicolons",
        ),
        (
            "t.jsonl",
            '{"prompt": "café", "note": "a"}\n{"prompt": "fox, red", "note": "b"}'.encode("utf-16"),
            "utf-16",
        ),
        (
            "t.jsonl.gz",
            packed(b'{"prompt": "caf\xe9", "note": "a"}\n{"prompt": "fox, red", "note": "b"}'),
            "cp1252",
        ),
        ("t.csv", b'prompt,note\ncaf\xc3\xa9,a\n"fox, red",b\n', None),
        ("t.tsv", TEXT.replace(";", "\t").encode(), None),
    ],
)
def test_how_a_table_is_written_is_found_out_and_said(
    invoke: Invoke, tmp_path: Path, name: str, content: bytes, said: str | None
) -> None:
    (tmp_path / name).write_bytes(content)
    assert list(read_rows(tmp_path / name)) == ROWS
    result = invoke("map", "demo/poet", tmp_path / name, "--dry-run")
    assert result.exit_code == 0, result.stderr
    assert "2 rows of demo/poet" in result.stdout
    assert (said in result.stderr) if said else result.stderr == ""


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("prompt\na fox; red\n", [{"prompt": "a fox; red"}]),
        ("prompt; as text\na fox\nan owl\n", [{"prompt; as text": "a fox"}, {"prompt; as text": "an owl"}]),
        ("prompt,a|b\nfox,1\n", [{"prompt": "fox", "a|b": "1"}]),
        ("prompt;b\nfox;1,5\nowl;2,25\n", [{"prompt": "fox", "b": "1,5"}, {"prompt": "owl", "b": "2,25"}]),
        ('"a, b";c\n"1;2";3\n', [{"a, b": "1;2", "c": "3"}]),
        ("a;b;\n1;2;\n", [{"a": "1", "b": "2", "": None}]),
        ("sep=,\na,b\n1,2\n", [{"a": "1", "b": "2"}]),
        ("a;b\n" + "1;2\n" * 400_000, [{"a": "1", "b": "2"}] * 400_000),
    ],
    ids=["text", "header", "both", "decimals", "quotes", "last", "usual", "long"],
)
def test_what_only_looks_like_a_delimiter_is_text(tmp_path: Path, text: str, rows: object) -> None:
    (tmp_path / "t.csv").write_text(text)
    assert list(read_rows(tmp_path / "t.csv")) == rows


WESTERN = (
    "Noël à Besançon, où l’été «\xa0dure\xa0»",
    "Füße, Größe, „Äpfel“ – 5 €",
    "¿Qué año? El niño y la cigüeña…",
    "São Paulo: três corações e limões",
    "smørrebrød på Åland, Ærø",
    "L'ÉTÉ, ÇA VA",
    "œuvre · cœur · 20 °C · 5 m² · © 2020",
)
OTHERS = {
    "cp1250": ("příliš žluťoučký kůň", "zażółć gęślą jaźń", "erős tűz"),
    "cp1251": ("лиса в снегу",),
    "cp1253": ("αλεπού στο χιόνι",),
    "cp1254": ("kırmızı ağaç",),
    "shift-jis": ("雪の中の狐",),
    "gbk": ("雪中的红狐狸",),
    "mac-roman": ("Größe", "café", "déjà"),
    "cp437": ("Größe", "café"),
}


@pytest.mark.parametrize("text", WESTERN)
def test_western_european_text_is_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.tsv").write_bytes(f"prompt\n{text}\n".encode("cp1252"))
    assert list(read_rows(tmp_path / "t.tsv")) == [{"prompt": text}]


@pytest.mark.parametrize("bad", [b"caf\xe9\n", b"\xc3", b"M\xfcller\n"], ids=["latin-1", "cut", "cp1252"])
@pytest.mark.parametrize("good", ["Café — été", "Müller — Äpfel\nMüller", "Grüße", "雪"])
@pytest.mark.parametrize("first", [True, False], ids=["good first", "bad first"])
def test_a_table_of_which_a_part_is_utf8_is_refused(
    invoke: Invoke, tmp_path: Path, good: str, bad: bytes, first: bool
) -> None:
    table, before = tmp_path / "t.csv", default().created
    text, bad = f"{good}\n".encode(), bad if first else bad.removesuffix(b"\n") + b"\n"
    table.write_bytes(b"prompt\n" + (text + bad if first else bad + text))
    refused = invoke("map", "demo/poet", table)
    assert (refused.exit_code, default().created) == (2, before)
    line = 2 + good.count("\n") + 1 if first else 2
    assert f"line {line}: not in UTF-8" in refused.stderr


@pytest.mark.parametrize(
    ("encoding", "text"), [(name, each) for name, texts in OTHERS.items() for each in texts]
)
def test_text_of_another_encoding_is_refused_until_it_is_named(
    invoke: Invoke, tmp_path: Path, encoding: str, text: str
) -> None:
    table, before = tmp_path / "t.csv", default().created
    table.write_bytes(f"prompt\n{text}\n".encode(encoding))
    refused = invoke("map", "demo/poet", table)
    assert (refused.exit_code, default().created) == (2, before)
    assert "--encoding" in refused.stderr
    assert (
        invoke("map", "demo/poet", table, "--encoding", encoding, "--out", tmp_path / "r.csv").exit_code == 0
    )
    assert [row["prompt"] for row in read_rows(tmp_path / "r.csv")] == [text]


@pytest.mark.parametrize(
    ("content", "options"),
    [
        (TEXT.encode("mac-roman"), ("--encoding", "macroman")),
        (codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le"), ("--encoding", "utf-16-le", "--delimiter", ";")),
        (TEXT.replace(";", "\t").encode(), ("--delimiter", "tab")),
        (TEXT.replace(";", "\t").encode(), ("--delimiter", r"\t")),
        (TEXT.replace(";", "~").encode(), ("--delimiter", "~")),
        (MARKED.encode(), ("--delimiter", ";")),
        (TEXT.encode(), ("--delimiter", "semicolons", "--encoding", "UTF8")),
    ],
)
def test_what_is_said_counts_and_is_not_said_again(
    invoke: Invoke, tmp_path: Path, content: bytes, options: tuple[str, ...]
) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    result = invoke("map", "demo/poet", tmp_path / "t.csv", *options, "--out", tmp_path / "r.csv")
    assert result.exit_code == 0, result.stderr
    assert "or else " + options[0] not in result.stderr
    assert [row["prompt"] for row in read_rows(tmp_path / "r.csv")] == [row["prompt"] for row in ROWS]


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("t.csv", ("--delimiter", ";;"), "is not one character that can stand between cells"),
        ("t.csv", ("--delimiter", '"'), "is not one character"),
        ("t.csv", ("--delimiter", ""), "is not one character"),
        ("t.csv", ("--encoding", "utf-9"), "is no encoding of text"),
        ("t.csv", ("--encoding", "base64"), "is no encoding of text"),
        ("t.csv", ("--encoding", "ascii"), "is not in ascii"),
        ("t.jsonl", ("--delimiter", ";"), "--delimiter is for tables with cells of text (.csv, .tsv)"),
        ("t.parquet", ("--encoding", "utf-8"), "--encoding is for tables of text"),
        ("t.csv.gz", ("--sheet", "A"), "--sheet is for spreadsheets"),
    ],
)
def test_an_option_that_cannot_be_meant_is_wrong_usage(
    invoke: Invoke, tmp_path: Path, name: str, options: tuple[str, ...], said: str
) -> None:
    (tmp_path / name).write_bytes(TEXT.encode())
    result = invoke("map", "demo/poet", tmp_path / name, *options)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())


def test_results_of_a_compressed_table_are_compressed_and_its_journal_has_its_name(
    invoke: Invoke, tmp_path: Path
) -> None:
    (tmp_path / "t.csv.gz").write_bytes(packed(b"prompt\nsea\n"))
    assert invoke("map", "demo/poet", tmp_path / "t.csv.gz").exit_code == 0
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        "t-results.csv.gz",
        "t.csv.gz",
        "t.journal.sqlite",
    ]
    (row,) = read_rows(tmp_path / "t-results.csv.gz")
    assert row["status"] == "succeeded"
