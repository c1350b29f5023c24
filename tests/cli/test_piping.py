"""What is piped in: a prediction that templates are filled from, or inputs; and standard input that is neither."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import Result

from replicate_kit.cli import _piping
from replicate_kit.cli._piping import filled
from replicate_kit.serving import Server
from replicate_kit.simulator import default

Invoke = Callable[..., Result]

PREDICTION: dict[str, Any] = {
    "id": "abc",
    "status": "succeeded",
    "created_at": "2026-01-01T00:00:00Z",
    "input": {"lines": 2, "seed": 1},
    "output": ["a sea", {"x-y": 1.5}],
    "error": None,
    "logs": "",
}
POEM = ("run", "demo/poet")


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("{{.output}}", ["a sea", {"x-y": 1.5}]),
        ("{{ .output[0] }}", "a sea"),
        ("{{.output[-1].x-y}}", 1.5),
        ("{{.error}}", None),
        ("of {{.id}}: {{.output}}", 'of abc: ["a sea", {"x-y": 1.5}]'),
        ("{{.input.lines}}{{.input.lines}}", "22"),
        ({"a": ["{{.id}}", 1]}, {"a": ["abc", 1]}),
        ("{animal} {{animal}} {{}}", "{animal} {{animal}} {{}}"),
    ],
)
def test_templates_become_what_they_name(value: object, found: object) -> None:
    assert filled(value, PREDICTION) == found


@pytest.mark.parametrize("path", [".nope", ".output[2]", ".output.a", ".id[0]", ".id.x", ".output[0][0]"])
def test_what_is_not_there_is_told_with_what_is(path: str) -> None:
    with pytest.raises(click.UsageError) as caught:
        filled(f"a {{{{{path}}}}}", PREDICTION)
    assert (
        f"has no {path}. It has: .output, .output[0], .output[1], .output[1].x-y, .id,"
        in caught.value.message
    )


@pytest.mark.parametrize("path", [".", ".output[", ".output[a]", ".[0]", "..id", ".output | len"])
def test_what_is_no_path_is_told(path: str) -> None:
    with pytest.raises(click.UsageError, match="is no template"):
        filled(f"{{{{{path}}}}}", PREDICTION)


@pytest.mark.parametrize(
    "arguments",
    [
        ("prompt={{.output[0]}}", "lines={{.input.lines}}", "seed={{.input.seed}}"),
        ("prompt={{ .output[0] }}", "lines:={{.input.lines}}", "seed=1"),
        ("--input", '{"prompt": "{{.output[0]}}", "lines": "{{.input.lines}}", "seed": 1}'),
    ],
)
def test_inputs_are_filled_from_the_prediction_that_is_piped_in(
    invoke: Invoke, arguments: tuple[str, ...]
) -> None:
    piped = {**PREDICTION, "output": ["sea"]}
    expected = invoke(*POEM, "prompt=sea", "lines=2", "seed=1").stdout
    assert invoke(*POEM, *arguments, stdin=json.dumps(piped)).stdout == expected


def test_json_that_is_no_prediction_is_an_output(invoke: Invoke) -> None:
    expected = invoke(*POEM, "prompt=sea", "seed=1").stdout
    assert invoke(*POEM, "prompt={{.output}}", "seed=1", stdin='"sea"').stdout == expected
    assert invoke(*POEM, "prompt={{.output[0]}}", "seed=1", stdin='["sea"]').stdout == expected


def test_a_piped_text_names_no_file(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2")
    result = invoke(*POEM, "prompt={{.output}}", "lines=1", stdin=json.dumps(f"@{tmp_path}/secret"))
    assert (result.exit_code, "hunter2" in result.output) == (0, False)


@pytest.mark.parametrize(
    ("arguments", "stdin", "said"),
    [
        (("prompt={{.output}}",), "", "did the command before it fail?"),
        (("prompt={{.output}}",), "a poem", "Add --json to the command before it"),
        (("prompt={{.id}}",), '"sea"', "has no .id. It has: .output. `run --json` prints"),
        (("prompt={{.output}}",), '{"error": {"message": "no credit"}}', "The command before it failed: no credit"),
        (("prompt={{.output}}",), {"status": "failed"}, "is 'failed', and has no output"),
        (("prompt={{.id}}",), {"status": "starting"}, "`replicate-kit predictions wait abc --json`"),
        (("prompt={{.output}}",), {"output": None}, "has no output"),
        (("prompt={{.output}}",), "null", "has no output"),
        (("prompt={{.output}}", "--input", "-"), {}, "Standard input holds the prediction"),
        (("prompt={{.output}}", "lines=@-"), {}, "Standard input holds the prediction"),
        ((), {}, "A prediction is piped in, and no input is filled from it"),
        ((), "[1]", "is no JSON object. Pipe one"),
        ((), "prompt", "is no JSON object (Expecting value"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_creates_nothing(
    invoke: Invoke, arguments: tuple[str, ...], stdin: str | dict[str, Any], said: str
) -> None:
    before = default().created
    piped = stdin if isinstance(stdin, str) else json.dumps({**PREDICTION, **stdin})
    result = invoke(*POEM, *arguments, stdin=piped)
    assert (result.exit_code, default().created) == (2, before)
    assert said in result.stderr


def test_an_object_that_is_piped_in_is_the_input_below_what_is_typed(invoke: Invoke) -> None:
    expected = invoke(*POEM, "prompt=sea", "lines=2", "seed=1").stdout
    assert invoke(*POEM, stdin='{"prompt": "sea", "lines": 2, "seed": 1}').stdout == expected
    piped = '{"prompt": "sea", "lines": 3, "seed": 1}'
    assert invoke(*POEM, "--input", "-", "lines=2", stdin=piped).stdout == expected
    created = invoke("predictions", "create", "demo/poet", "--json", stdin='{"prompt": "sea", "lines": 2}')
    assert json.loads(created.stdout)["input"] == {"prompt": "sea", "lines": 2}


def test_a_training_takes_its_input_from_a_pipe(invoke: Invoke) -> None:
    invoke("models", "create", "local/mine", "--hardware", "cpu")
    arguments = ("train", "stability-ai/sdxl", "--destination", "local/mine", "--json")
    piped = {"input_images": "https://example.com/a.zip"}
    assert json.loads(invoke(*arguments, stdin=json.dumps(piped)).stdout)["input"] == piped
    templates = invoke(*arguments, "input_images={{.output[0]}}", stdin=json.dumps(list(piped.values())))
    assert json.loads(templates.stdout)["input"] == piped


# Real pipes.


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A service that programs of their own use."""
    with Server(https=False, port=0) as server:
        monkeypatch.setenv("REPLICATE_BASE_URL", server.url)
        monkeypatch.setenv("REPLICATE_API_TOKEN", "r8_any")
        monkeypatch.setenv("REPLICATE_KIT_BACKEND", "http")
        yield server


def shell(script: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a script of the shell, in which `kit` is the command line."""
    kit = f'kit() {{ "{sys.executable}" -m replicate_kit "$@"; }}; '
    return subprocess.run(["sh", "-c", kit + script], capture_output=True, text=True, check=False, **options)


def test_one_model_draws_what_the_other_one_wrote(served: Server) -> None:
    done = shell(
        "kit run demo/poet prompt=sea lines=1 --json </dev/null |"
        ' kit run demo/painter "prompt=a picture of {{.output}}" width=16 height=16 --json |'
        ' kit run demo/poet "prompt={{.id}} {{.status}}" lines=1 --no-wait --json'
    )
    assert json.loads(done.stdout)["input"]["prompt"].endswith(" succeeded"), done.stderr


@pytest.mark.parametrize("before", ["", "\n \n", "\ufeff"])
@pytest.mark.parametrize("stdin", ['{"num_outputs": 4, "bogus": 1}', '{"prompt": "x"}\n{"prompt": "y"}', "{"])
@pytest.mark.parametrize("arguments", [("demo/painter", "prompt=q"), ("stability-ai/sdxl", "width=512")])
def test_an_object_beside_typed_inputs_is_never_dropped(
    invoke: Invoke, arguments: tuple[str, ...], stdin: str, before: str
) -> None:
    created = default().created
    result = invoke("predictions", "create", *arguments, stdin=before + stdin)
    assert (result.exit_code, default().created) == (2, created)
    assert "`--input -` takes it" in result.stderr
    assert "`</dev/null`" in result.stderr


@pytest.mark.parametrize(
    "command",
    ["kit run demo/poet --input - lines=2", "kit run demo/poet", "kit predictions create demo/poet --wait"],
)
def test_a_pipe_and_a_file_are_read_where_no_inputs_are_typed(
    served: Server, command: str, tmp_path: Path
) -> None:
    (tmp_path / "input.json").write_text('{"prompt": "sea", "lines": 1}')
    for script in (f"cat input.json | {command}", f"{command} < input.json"):
        done = shell(script, cwd=tmp_path)
        assert done.returncode == 0, done.stderr


LINES = "printf '%s\\n' one two three"
LOOP = "while read -r line; do kit predictions create stability-ai/sdxl {}; echo did $line; done"


@pytest.mark.parametrize(
    ("lines", "script", "created"),
    [
        (LINES, f"{LINES} | {LOOP.format('prompt=$line')}", 3),
        (LINES, f"{LOOP.format('prompt=$line')} < lines", 3),
        (LINES, f"{LOOP.format('')} < lines", 3),
        (LINES, f"{LINES} | {LOOP.format('')}", 0),  # nothing is typed, and these lines are no input
        ("echo '{}'", f"cat lines lines lines | {LOOP.format('prompt=$line')}", 1),  # of the last, nothing is left
        ("echo '{}'", f"cat lines lines lines | {LOOP.format('--input $line')}", 3),
        ("echo '{}'", f"cat lines lines lines | {LOOP.format('prompt=$line')}".replace("; e", " </dev/null; e"), 3),
    ],
)  # fmt: skip
def test_a_loop_of_the_shell_keeps_its_lines(
    served: Server, lines: str, script: str, created: int, tmp_path: Path
) -> None:
    done = shell(f"{lines} > lines; {script}", cwd=tmp_path)
    assert done.stdout.count("did ") == 3, done.stderr
    assert served.simulator.created == created, done.stderr


@pytest.mark.parametrize("reader", ["sh -s < script", "bash -s < script", "cat script | bash -s"])
@pytest.mark.parametrize("inputs", ["", "prompt=sea"])
def test_a_script_on_standard_input_runs_to_its_end(
    served: Server, reader: str, inputs: str, tmp_path: Path
) -> None:
    command = f"'{sys.executable}' -m replicate_kit predictions create stability-ai/sdxl {inputs}"
    (tmp_path / "script").write_text(f"{command}\n{command}\necho done\n")
    assert shell(reader, cwd=tmp_path).stdout.endswith("done\n")


@pytest.mark.parametrize(
    ("inputs", "stdin", "said"),
    [
        ([], b"", "did the command before it fail?"),
        ([], b'{"prompt": "x"}', None),
        (["--input", "-", "width=512"], b'{"prompt": "x"}', None),
    ],
)
def test_a_slow_pipe_is_waited_for_and_named(
    served: Server, inputs: list[str], stdin: bytes, said: str | None
) -> None:
    command = [sys.executable, "-m", "replicate_kit", "predictions", "create", "stability-ai/sdxl", "--json"]
    with subprocess.Popen(
        [*command, *inputs], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as program:
        assert program.stderr is not None
        waiting = b"" if "-" in inputs else program.stderr.readline()
        assert served.simulator.created == 0
        out, errors = program.communicate(stdin, timeout=120)
    assert b"</dev/null" in waiting or "-" in inputs
    if said is None:
        assert program.returncode == 0, errors
        assert ("prompt" in json.loads(out)["input"]) == ("width=512" not in inputs or "-" in inputs)
    else:
        assert (program.returncode, served.simulator.created) == (2, 0)
        assert said in json.loads(out)["error"]["message"]


def test_a_pipe_into_which_nothing_comes_holds_up_no_command_with_inputs(served: Server) -> None:
    command = [sys.executable, "-m", "replicate_kit", "run", "demo/poet", "prompt=sea", "lines=1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        assert program.stderr is not None
        assert b"Nothing has come from standard input, so it is left alone" in program.stderr.read()
        assert program.wait(60) == 0


@pytest.mark.parametrize(("stdin", "refused"), [(b"a\n", True), (b"{", True), (b"", False)])
def test_where_no_pipe_can_be_looked_at_any_text_is_refused(
    monkeypatch: pytest.MonkeyPatch, stdin: bytes, refused: bool
) -> None:
    monkeypatch.setattr(_piping.sys, "platform", "darwin")
    ours, theirs = os.pipe()
    os.write(theirs, stdin)
    os.close(theirs)
    with open(ours, "rb") as pipe:
        assert (_piping._in_pipe(pipe.fileno()) is None) == refused
        assert pipe.read() == stdin


@pytest.mark.parametrize("closed", ["</dev/null", "<&-", "< empty"])
@pytest.mark.parametrize(("inputs", "code"), [("prompt=sea", 0), ("", 2)])
def test_nothing_on_standard_input_changes_nothing(
    served: Server, closed: str, inputs: str, code: int, tmp_path: Path
) -> None:
    (tmp_path / "empty").touch()
    done = shell(f"kit run demo/poet {inputs} lines=1 {closed}", cwd=tmp_path)
    assert (done.returncode, "prompt is required" in done.stderr) == (code, code == 2), done.stderr


def test_a_terminal_is_not_read() -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "replicate_kit", "run", "demo/poet", "--backend", "mock"]
    try:
        for template, said in ((["prompt={{.output}}"], "Nothing is piped in"), ([], "prompt is required")):
            done = subprocess.run(
                [*command, *template], stdin=theirs, capture_output=True, text=True, check=False, timeout=120
            )
            assert said in done.stderr
    finally:
        os.close(ours)
        os.close(theirs)
