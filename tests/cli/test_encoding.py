"""What is printed arrives, whatever encoding the terminal or the pipe has. Each encoding has a process of its own."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from replicate_kit.cli._encoding import any_text, as_path, as_typed_text, says
from replicate_kit.simulator import default

pytestmark = pytest.mark.slow  # a large family

Invoke = Callable[..., Result]

WORDS = "日本größer𠮷"
COMMANDS: dict[str, tuple[str, ...]] = {
    "run": ("run", "demo/poet", f"prompt={WORDS}", "lines=1", "seed=1"),
    "run --json": ("run", "demo/poet", f"prompt={WORDS}", "lines=1", "seed=1", "--json"),
    "run --save-to": ("run", "demo/painter", f"prompt={WORDS}", "width=16", "height=16", "--save-to", "pics"),
    "stream": ("stream", "demo/poet", f"prompt={WORDS}", "lines=1", "seed=1"),
    "stream --json": ("stream", "demo/poet", f"prompt={WORDS}", "lines=1", "seed=1", "--json"),
    "map": ("map", "demo/poet", "t.csv", "-i", "prompt={prompt} {größe}", "--gallery", "g.html"),
    "map --json": ("map", "demo/poet", "t.csv", "-i", "prompt=größe", "--json", "--out", "größe.jsonl"),
    "map --dry-run": ("map", "demo/poet", "t.csv", "-i", f"prompt={{prompt}} {WORDS}", "--dry-run"),
    "a bad table": ("map", "demo/poet", "bad.csv"),
    "a bad plan": ("map", "demo/poet", "bad.csv", "--dry-run", "--json"),
    "journal list": ("journal", "list", "t.journal.sqlite"),
    "journal export": ("journal", "export", "t.journal.sqlite", "größer.csv"),
    "predictions list": ("predictions", "list"),
    "predictions get": ("predictions", "get", WORDS),
    "models list": ("models", "list"),
    "models get --json": ("models", "get", "demo/painter", "--json"),
    "models inputs": ("models", "inputs", "demo/painter"),
    "plugins": ("plugins",),
    "demo": ("demo", "--fast", "--out", "größer"),
    "help": ("--help",),
    "help of map": ("map", "--help"),
    "help of serve": ("serve", "--help"),
    "no such command": (WORDS,),
    "no such input": ("run", "demo/poet", "größe=1"),
    "no such column": ("map", "demo/poet", "t.csv", "-i", "prompt=größte"),
    "no such model": ("run", f"demo/{WORDS}"),
    "no such file": ("run", "demo/poet", f"prompt=@{WORDS}.txt"),
}
CODES = {
    "a bad table": 2,
    "a bad plan": 2,
    "predictions get": 1,
    "no such command": 2,
    "no such input": 2,
    "no such column": 2,
    "no such model": 1,
    "no such file": 2,
}
ENCODINGS: dict[str, dict[str, str]] = {
    "cp1252": {"PYTHONIOENCODING": "cp1252"},
    "cp437": {"PYTHONIOENCODING": "cp437:strict"},
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "koi8-r": {"PYTHONIOENCODING": "koi8-r"},
    "shift_jis": {"PYTHONIOENCODING": "shift_jis"},
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "utf-8": {"PYTHONIOENCODING": "utf-8"},
    "C": {"LC_ALL": "C"},
    "POSIX": {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0"},
}
CHILD = """
import json, os, sys
from replicate_kit.cli import cli
for name, arguments in json.load(open("commands.json", encoding="utf-8")).items():
    # As the system hands them over: where the locale knows ASCII alone, other bytes are no text.
    typed = [os.fsdecode(each.encode()) for each in arguments]
    for stream in (sys.stdout, sys.stderr):
        stream.buffer.write(f"\\n<{name}>\\n".encode("ascii")); stream.flush()
    try:
        cli(typed, prog_name="replicate-kit")
    except SystemExit as end:
        sys.stderr.buffer.write(f"\\nexit {end.code}\\n".encode("ascii")); sys.stderr.flush()
"""


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_command_can_say_what_it_has_in_every_encoding(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "t.csv").write_text(f"prompt,größe\n{WORDS},ü\nsea,日\n", "utf-8")
    (tmp_path / "bad.csv").write_text(f"prompt,lines\n{WORDS},zwölf\n", "utf-8")
    (tmp_path / "commands.json").write_text(json.dumps(COMMANDS), "utf-8")
    ran = subprocess.run(
        [sys.executable, "-c", CHILD],
        cwd=tmp_path,
        env=environment(encoding),
        capture_output=True,
        timeout=120,
    )
    codec = "utf-8" if encoding in ("C", "POSIX", "ascii") else encoding
    out, err = parted(ran.stdout.decode(codec)), parted(ran.stderr.decode(codec))
    assert "Traceback" not in ran.stderr.decode(codec), ran.stderr.decode(codec)
    codes = {name: int(text.rpartition("exit ")[2]) for name, text in err.items()}
    # A name with bytes that the locale cannot read is refused before anything is asked for it.
    refused = {"predictions get": 2, "no such model": 2} if encoding in ("C", "POSIX") else {}
    assert codes == dict.fromkeys(COMMANDS, 0) | CODES | refused
    for name in ("run", "stream"):
        assert WORDS.encode(codec, "backslashreplace").decode(codec) in out[name], name
    assert WORDS in json.loads(out["run --json"])["output"]
    assert WORDS in "".join(json.loads(line)["data"] for line in out["stream --json"].splitlines() if line)
    assert json.loads(out["map --json"])["succeeded"] == 2
    # Whoever reads it learns what became of characters.
    told = "PYTHONIOENCODING=utf-8" in err["run"]
    assert told == (codec != "utf-8"), err["run"]


def environment(encoding: str) -> dict[str, str]:
    """The environment of a process that is said to have this encoding, and no UTF-8 of its own accord."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LC_", "LANG"))
    }
    own = {"PYTHONUTF8": "0", "REPLICATE_KIT_BACKEND": "mock", "COLUMNS": "80"}
    return {**inherited, "LC_ALL": "C.UTF-8", **own, **ENCODINGS[encoding]}


def parted(text: str) -> dict[str, str]:
    """What was printed, by command."""
    parts = re.split(r"\r?\n<([^<>\n]+)>\r?\n", text)
    return dict(zip(parts[1::2], (part.strip("\r\n") for part in parts[2::2]), strict=True))


HALF = "half of \ud83d"


@pytest.fixture
def halved(invoke: Invoke) -> None:
    """Models of the mock whose outputs and errors end within a character."""

    @default().model("acme/halved")
    def halved(n: int = 0) -> Any:
        return {"said": [HALF], HALF: n}

    @default().model("acme/cut")
    def cut(n: int = 0) -> str:
        return HALF

    @default().model("acme/broken")
    def broken(n: int = 0) -> str:
        raise ValueError(HALF)


@pytest.mark.usefixtures("halved")
@pytest.mark.parametrize("model", ["acme/halved", "acme/cut"])
@pytest.mark.parametrize("as_json", [False, True])
def test_half_a_character_is_printed_as_an_escape_with_a_remark(
    invoke: Invoke, model: str, as_json: bool
) -> None:
    result = invoke("run", model, *["--json"] * as_json)
    assert result.exit_code == 0, result.stderr
    assert "half of \\ud83d" in result.stdout
    assert result.stderr.count("half of a surrogate pair") == 1
    if as_json:
        said = json.loads(result.stdout)["output"]
        assert said == ({"said": [HALF], HALF: 0} if model == "acme/halved" else HALF)


@pytest.mark.usefixtures("halved")
def test_predictions_with_half_a_character_are_listed_and_shown(invoke: Invoke) -> None:
    assert invoke("run", "acme/broken").exit_code == 1
    for model in ("acme/halved", "acme/cut"):
        invoke("run", model)
    for arguments in ((), ("--json",)):
        assert invoke("predictions", "list", *arguments).exit_code == 0
    for line in invoke("predictions", "list", "--limit", "3").stdout.splitlines():
        id = line.partition("\t")[0]
        assert "\\ud83d" in invoke("predictions", "get", id).stdout
        assert HALF in json.dumps(
            json.loads(invoke("predictions", "get", id, "--json").stdout), ensure_ascii=False
        )


@pytest.mark.parametrize("input", ["prompt:=", "--input"])
@pytest.mark.parametrize("command", ["run", "stream"])
def test_half_a_character_in_an_input_is_refused_before_it_is_paid(
    invoke: Invoke, command: str, input: str
) -> None:
    before = default().created
    given = ['prompt:="cut \\ud83d"'] if input == "prompt:=" else ["--input", '{"prompt": "cut \\ud83d"}']
    result = invoke(command, "demo/poet", *given)
    assert (result.exit_code, default().created) == (2, before)
    assert "input.prompt has half of a surrogate pair, \\ud83d" in result.stderr


def test_json_on_standard_input_is_utf_8_whatever_the_terminal_has(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "replicate_kit", "run", "demo/poet", "--input", "-", "--json"],
        input=json.dumps({"prompt": WORDS, "lines": 1, "seed": 1}, ensure_ascii=False).encode(),
        env=environment("cp1252"),
        cwd=tmp_path,
        capture_output=True,
    )
    assert ran.returncode == 0, ran.stderr
    assert WORDS in json.loads(ran.stdout)["output"]


def test_what_was_typed_is_text_again_and_what_the_system_named_stays_its_name() -> None:
    typed = WORDS.encode().decode("ascii", "surrogateescape")
    assert as_typed_text(typed) == WORDS
    assert as_typed_text(WORDS) == WORDS
    assert as_typed_text("caf\udce9") == "caf\udce9"  # bytes of another encoding
    assert os.fsencode(as_path(WORDS)) == WORDS.encode()


def test_streams_are_afterwards_what_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="cp1252", errors="strict"))
    with any_text():
        assert not says("日")
        print("日", flush=True)
    assert (raw.getvalue().strip(), sys.stdout.encoding, sys.stdout.errors) == (
        b"\\u65e5",
        "cp1252",
        "strict",
    )
