"""What the package says of its options in Python is told on the command line as it is typed there."""

from __future__ import annotations

import ast
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result

import replicate_kit
from replicate_kit.cli._wording import as_typed
from replicate_kit.simulator import default

Invoke = Callable[..., Result]

# What is said by parts of the package that no command uses, or of what only Python can be told.
_ELSEWHERE = (
    "cli",
    "simulator",
    "serving",
    "testing",
    "compat",
    "gallery",
    "schema",
    "hookspecs.py",
    "wording.py",
    "_moved.py",
)
_OPTIONS = (
    *(
        "base_url",
        "budget",
        "cancel_after",
        "check_input",
        "concurrency",
        "dedupe",
        "journal",
        "journal_inputs",
        "label",
        "most",
    ),
    *(
        "on_interrupt",
        "price",
        "price_per_second",
        "refresh_version",
        "retries",
        "retry",
        "save_to",
        "storage_options",
    ),
    "timeout",
)


def messages() -> Iterator[tuple[str, str]]:
    """The texts of the package that are no docstrings, each with where it stands."""
    root = Path(replicate_kit.__file__).parent
    for path in sorted(root.rglob("*.py")):
        if path.relative_to(root).parts[0] in _ELSEWHERE:
            continue
        tree = ast.parse(path.read_text("utf-8"))
        documented = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        documented |= {
            id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values
        }
        for node in ast.walk(tree):
            text = _text(node)
            if text and " " in text and id(node) not in documented:
                yield f"{path.relative_to(root)}:{getattr(node, 'lineno', 0)}", text


def _text(node: ast.AST) -> str | None:
    """The text of a literal, with … in the place of what is put into it."""
    if isinstance(node, ast.FormattedValue):
        return "'…'" if node.conversion == ord("r") else "…"
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(each) or "…" for each in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def test_no_message_names_an_option_of_the_command_line_as_python_has_it() -> None:
    left = re.compile(rf"(?<![\w.(-])({'|'.join(_OPTIONS)})=|client\.(predictions|map)\b(?!\()")
    found = [f"{where}: {as_typed(text)}" for where, text in messages() if left.search(as_typed(text))]
    assert found == []


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("so save_to='pictures' stored nothing for it", "so --save-to 'pictures' stored nothing for it"),
        ("Check save_to and storage_options.", "Check --save-to and --storage-options."),
        ("To send it all the same, pass check_input=False.", "To send it all the same, pass --no-check-input."),
        ("cancel_after=3 cannot be used.", "--cancel-after 3 cannot be used."),
        ("a newer version (refresh_version=True uses it)", "a newer version (--refresh-version uses it)"),
        ("looked up with client.predictions.list().", "looked up with `replicate-kit predictions list`."),
        ("client.predictions.get('ab').wait() waits", "`replicate-kit predictions wait ab` waits"),
        ("no answer in time. Raise Client(timeout=…) if the service is slow.", "no answer in time."),
        ("Read it again later; raise Client(timeout=…) if the connection is slow.", "Read it again later."),
        ("URL (HTTP_PROXY, or proxy=).", "URL (HTTP_PROXY)."),
        ("Check base_url and verify=.", "Check --base-url."),
        ("Raise Client(max_file_bytes=…) if so.", "Raise, in Python, Client(max_file_bytes=…) if so."),
        ("or pass save_to=… to run or map", "or pass --save-to FOLDER to run or map"),
        ("such as prediction.id.", "such as prediction.id."),
        (
            "The prediction ab is still 'starting' after 2.5 s. It runs on: wait() again, or cancel() it.",
            "The prediction ab is still 'starting' after 2.5 s. It runs on: `replicate-kit predictions wait ab` waits "
            "again, `replicate-kit predictions cancel ab` stops it.",
        ),
        ("client.map keeps to the limits", "`replicate-kit map` keeps to the limits"),
        # What is somebody else's stays.
        ("The folder 'save_to' cannot be made", "The folder 'save_to' cannot be made"),
        ("a/save_to/b.png and my_save_to", "a/save_to/b.png and my_save_to"),
        ("the field {save_to}", "the field {save_to}"),
        ("https://a.example/?timeout=5", "https://a.example/?timeout=5"),
    ],
)  # fmt: skip
def test_options_are_named_as_they_are_typed(said: str, told: str) -> None:
    assert as_typed(said) == told


@pytest.fixture
def writer() -> None:
    @default().model("acme/pages")
    def pages(prompt: str) -> list[str]:
        return [f"https://pages.example:8443/{prompt}", "http://other.example/a?b"]

    @default().model("acme/words")
    def words(prompt: str) -> str:
        return prompt.upper()


@pytest.mark.parametrize(
    ("model", "rows", "said", "not_said"),
    [
        ("acme/words", 1, "stored nothing for it.", "stay as they are"),
        ("acme/words", 3, "3 of the 3 outputs of this run had no file, so --save-to 'p' "
         "stored nothing for them.", "for it"),
        ("acme/pages", 2, "URLs of other.example, pages.example:8443 stay as they are: fetch them yourself.", "for it"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("writer")
def test_outputs_without_files_are_told_with_their_number_and_hosts(
    invoke: Invoke,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    model: str,
    rows: int,
    said: str,
    not_said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text("prompt\n" + "".join(f"{number}\n" for number in range(rows)))
    with caplog.at_level(logging.WARNING, "replicate_kit"):
        assert invoke("map", model, "t.csv", "--save-to", "p").exit_code == 0
    (warning,) = (each.getMessage() for each in caplog.records if "no file" in each.getMessage())
    assert said in warning
    assert not_said not in warning
    assert "save_to" not in warning


@pytest.mark.usefixtures("writer")
def test_an_output_of_one_run_without_files_names_what_was_typed(
    invoke: Invoke, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "replicate_kit"):
        assert invoke("run", "acme/pages", "prompt=sea", "--save-to", tmp_path / "p").exit_code == 0
    before, after = (each.getMessage() for each in caplog.records)
    assert "--save-to" in before
    assert "--save-to" in after
    assert "pages.example:8443" in after


def test_warnings_are_as_they_were_once_a_command_has_ended(
    invoke: Invoke, caplog: pytest.LogCaptureFixture
) -> None:
    invoke("models", "get", "demo/poet")
    logging.getLogger("replicate_kit").warning("so save_to=%r", "p")
    assert caplog.messages == ["so save_to='p'"]
