"""Tables and JSON that cannot be read: the message names the line and what to do, and nothing is created."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from click.testing import Result

from replicate_kit.simulator import default

Invoke = Callable[..., Result]

packed = partial(gzip.compress, mtime=0)  # alike in each process that collects these tests

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\1\0\0\0\1\0\x08\x06\0\0\0"
BROKEN = {
    "late.csv": (
        b"prompt\n" + b"sea\n" * 5000 + b"\xff\n",
        "late.csv, line 5002: not in UTF-8",
        "Name it with --encoding",
    ),
    "mac.csv": ("prompt\ncaf\u00e9\n".encode("mac-roman"), "mac.csv, line 2: not in UTF-8", "--encoding"),
    "kana.jsonl": (
        '{"prompt": "\u304d\u3064\u306d"}\n'.encode("shift-jis"),
        "kana.jsonl, line 1: not in UTF-8",
        "--encoding",
    ),
    "packed.csv": (packed(b"prompt\nsea\n"), "is compressed by gzip", "Rename it to packed.csv.gz"),
    "plain.csv.gz": (b"prompt\nsea\n", "it is not compressed by gzip, or damaged", "Rename it"),
    "cut.csv.gz": (packed(b"prompt\nsea\n")[:-9], "it is not compressed by gzip, or damaged", "anew"),
    "both.csv": (
        b"prompt;b,c\nsea;1,2\n",
        "may be separated by commas or semicolons",
        "such as --delimiter ','",
    ),
    "short-semicolons.csv": (b"prompt;b\na;b\na;b\nc\n", "line 4: the row has not as many", "1 instead of 2"),
    "sep.csv": (b"sep=;\n", "line 2: there is no header", ""),
    "sep-short.csv": (b"sep=;\nprompt;b\na\n", "line 3: the row has not", "1 instead of 2"),
    "picture.csv": (PNG, "is no text", "CSV, TSV, JSON lines or Parquet"),
    "empty.csv": (b"", "line 1: there is no header", "first line"),
    "blank.csv": (b"\n\n", "line 1: there is no header", "first line"),
    "double.csv": (b"prompt,b,prompt\na,b,c\n", "several columns named 'prompt' (1, 3 of 3)", "Rename"),
    "short.csv": (
        b"prompt,b\na,b\nc\n",
        "line 3: the row has not as many cells as the header: 1 instead of 2",
        "quotes",
    ),
    "long.csv": (
        b"prompt,b\na,b\nc,d,e\n",
        "line 3: the row has not as many cells as the header: 3 instead of 2",
        "quotes",
    ),
    "quote.csv": (b'prompt\nfox\n"sea\nhill\n', "line 3: a cell begins with a quote", 'write ""'),
    "quote-only.csv": (b'prompt\n"sea\nhill\n', "line 2: a cell begins with a quote", 'write ""'),
    "quote-last.csv": (b'prompt\nfox\n"sea\n', "line 3: a cell begins with a quote", 'write ""'),
    "quote-empty.csv": (b'prompt\nfox\n\n\n"sea\nhill\n', "line 5: a cell begins with a quote", 'write ""'),
    "quote-lines.csv": (b'prompt,"a\nb"\nfox,"sea\n', "line 3: a cell begins with a quote", 'write ""'),
    "quote-first.csv": (b'prompt,b\na,"1\nb,2\nc,3\n', "line 2: a cell begins with a quote", 'write ""'),
    "quote-blank.csv": (b'prompt\n\n\n"sea\nhill\n', "line 4: a cell begins with a quote", 'write ""'),
    "quote-inches.csv": (b'b,prompt\n5" disk,"sea\nhill\n', "line 2: a cell begins with a quote", 'write ""'),
    "quote-header.csv": (b'"prompt,b\nsea,1\n', "line 1: a cell begins with a quote", 'write ""'),
    "quote.tsv": (b'prompt\tb\nsea\t"1\nhill\t2\n', "line 2: a cell begins with a quote", 'write ""'),
    "half.jsonl": (
        b'{"prompt": "sea"}\n{"prompt": \n',
        "half.jsonl, line 2: not JSON",
        "Each line is to be one object",
    ),
    "list.jsonl": (b'[{"prompt": "sea"}]\n', "line 1: not a JSON object", "Each line is to be one object"),
    "pretty.jsonl": (b'{\n "prompt": "sea"\n}\n', "line 1: not JSON", "Each line is to be one object"),
    "twice.jsonl": (
        b'{"prompt": "sea", "prompt": "b"}\n',
        "line 1: not JSON (the name 'prompt' comes twice",
        "keep one",
    ),
    "deep.ndjson": (
        b'{"prompt": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n",
        "line 1: not JSON (it is nested too deeply",
        "",
    ),
    "digits.jsonl": (
        b'{"prompt": ' + b"9" * 5000 + b"}\n",
        "line 1: not JSON (a number has too many digits",
        "in quotes",
    ),
    "empty.jsonl": (b"", "has no rows", "Name another table"),
    "none.parquet": (b"nope", "cannot be read as Parquet", "Write it anew"),
    "cut.parquet": (b"PAR1xxxxPAR1", "cannot be read as Parquet", "Write it anew"),
    "empty.parquet": (b"", "cannot be read as Parquet", "Write it anew"),
    "book.xlsx": (b"PK", "cannot be read as a spreadsheet", "Save it anew"),
    "book.numbers": (b"PK", "tables end in .csv", ".xlsx"),
    "all.parquet.gz": (b"", "tables end in .csv", "in .gz after .csv"),
    "all.json": (b"[]", "tables end in .csv", ".jsonl"),
}


@pytest.mark.parametrize("dry", [(), ("--dry-run",)], ids=["run", "dry"])
@pytest.mark.parametrize("name", BROKEN)
def test_a_table_that_cannot_be_read_is_wrong_usage(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, dry: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    content, *said = BROKEN[name]
    Path(name).write_bytes(content)
    before = default().created
    result = invoke("map", "demo/poet", name, *dry)
    assert (result.exit_code, default().created) == (2, before), result.output
    assert all(words in result.stderr for words in said), result.stderr
    assert "set_int_max_str_digits" not in result.stderr


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("mark.csv", b"\xef\xbb\xbfprompt\nsea\n"),
        ("lines.csv", b'prompt,b\n"sea\nand ""sand""",x\n'),
        ("inches.csv", b'prompt\n5" of snow\n'),
        ("inches-lines.csv", b'prompt,b\n"sea\nsand",5" wide'),
        ("lines-header.csv", b'prompt,"b\nc"\nsea,1\n\n\n'),
        ("old.csv", b"prompt\rsea\r"),
        ("nul.csv", b"prompt\ns\0ea\n"),
        ("index.csv", b",prompt\n0,sea\n"),
        ("mark.jsonl", b'\xef\xbb\xbf{"prompt": "sea"}\n\n'),
    ],
)
def test_what_is_unusual_and_right_is_read(invoke: Invoke, tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    result = invoke("map", "demo/poet", tmp_path / name, "--dry-run")
    assert result.exit_code == 0, result.output
    assert "1 row of demo/poet" in result.stdout


@pytest.mark.parametrize("dry", [(), ("--dry-run",)], ids=["run", "dry"])
def test_a_table_without_rows_is_told_and_no_error(
    invoke: Invoke, tmp_path: Path, dry: tuple[str, ...]
) -> None:
    (tmp_path / "t.csv").write_text("prompt\n")
    result = invoke("map", "demo/poet", tmp_path / "t.csv", *dry)
    assert result.exit_code == 0
    assert "t.csv has no rows below its header, so there is nothing to run." in result.stderr


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{}", "has empty braces. Name a column in them, such as {prompt}"),
        ("a {} b {prompt}", "has empty braces"),
        ("{0}", "There is no column '0'. The columns are: prompt."),
        ("{promt}", "Did you mean 'prompt'?"),
        ("{prompt", "cannot be read"),
        ("}", "cannot be read"),
        ("{prompt.x}", "There is no column 'prompt.x'"),
        ("{prompt!z}", "does not fit the format of {prompt!z}"),
        ("{prompt:>q}", "does not fit the format of {prompt:>q}"),
        ("nothing", "There is no column 'nothing'"),
        ("", "write INPUT=COLUMN"),
    ],
)
def test_what_cannot_fill_an_input_is_told(invoke: Invoke, tmp_path: Path, template: str, said: str) -> None:
    (tmp_path / "t.csv").write_text("prompt\nsea\n")
    result = invoke("map", "demo/poet", tmp_path / "t.csv", "--dry-run", "--input", f"prompt={template}")
    assert result.exit_code == 2
    assert said in result.stderr


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        (("prompt",), "write INPUT=COLUMN"),
        (("=prompt",), "write INPUT=COLUMN"),
        (("=",), "write INPUT=COLUMN"),
        (("",), "write INPUT=COLUMN"),
        (
            ("promt=prompt",),
            "has no input 'promt', so nothing was created. Did you mean 'prompt'? Its inputs are: prompt",
        ),
        (("promt=prompt",), "To send it all the same, pass --no-check-input."),
        (("prompt=prompt", "prompt=prompt"), "by another --input"),
    ],
)
def test_what_names_no_input_is_told(
    invoke: Invoke, tmp_path: Path, pairs: tuple[str, ...], said: str
) -> None:
    (tmp_path / "t.csv").write_text("prompt\nsea\n")
    options = [each for pair in pairs for each in ("--input", pair)]
    result = invoke("map", "demo/poet", tmp_path / "t.csv", "--dry-run", *options)
    assert result.exit_code == 2
    assert said in result.stderr


@pytest.mark.parametrize("command", ["run", "stream"])
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("{", "--input is not JSON"),
        ("prompt=sea", "NAME=VALUE"),
        ("", "There is nothing in the text"),
        ("[1]", "must be a JSON object"),
        ("null", "must be a JSON object"),
        ('{"prompt": "a", "prompt": "b"}', "the name 'prompt' comes twice"),
        ('{"a": {"b": 1, "b": 2}}', "the name 'b' comes twice"),
        ("[" * 100_000, "nested too deeply"),
        ("9" * 5000, "too many digits"),
        ("-", "There is nothing in standard input"),
        ("@", "no file is named"),
        ("@missing", "there is no such file"),
        ("@folder", "this is a folder"),
        ("@a\0b", "NUL"),
        ("@" + "x" * 5000, "cannot be read (File name too long)"),
        ("@empty", "There is nothing in the file empty"),
        ("@bytes", "it is not in UTF-8"),
    ],
)
def test_an_input_that_is_no_json_is_told(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, given: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("empty").touch()
    Path("bytes").write_bytes(b'{"a": "\xff"}')
    result = invoke(command, "demo/poet", "--input", given, stdin="")
    assert result.exit_code == 2
    assert said in result.stderr


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        ("prompt", "is not an input"),
        ("=sea", "is not an input"),
        (":=1", "is not an input"),
        ("prompt:={", "is not JSON"),
        ("prompt:=" + "[" * 100_000, "nested too deeply"),
        ("lines:=" + "9" * 5000, "too many digits"),
        ('options:={"a": 1, "a": 2}', "comes twice"),
        ("prompt=@", "no file is named"),
        ("prompt=@missing", "there is no such file"),
        ("prompt=@folder", "this is a folder"),
        ("prompt=@a\0b", "NUL"),
        ("prompt=@" + "x" * 5000, "File name too long"),
        ("prompt=@a.png", "takes text, and this file is no text"),
    ],
)
@pytest.mark.parametrize("command", ["run", "stream", "map"])
def test_an_argument_that_cannot_be_read_is_told(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, pair: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("a.png").write_bytes(PNG)
    Path("t.csv").write_text("lines\n2\n")
    arguments = ("t.csv", "--set", pair) if command == "map" else (pair,)
    result = invoke(command, "demo/poet", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
