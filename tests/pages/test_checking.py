"""The checker of the pages: whatever helps a page behind the reader's back, it finds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pages.commands import commands, runnable, why_not
from tests.pages.reading import parse
from tests.pages.running import complaints, environment, run_alone, run_page

MOCK = "Set `REPLICATE_KIT_BACKEND=mock`.\n\n"
CODE = "```python\nprint('hello')\n```\n"


def test_a_plain_page_is_fine(tmp_path: Path) -> None:
    page = parse("page.md", f"# Title\n\n{CODE}")
    assert not page.hidden
    assert [block.line for block in page.python] == [4]
    assert not complaints(page, run_page(page, tmp_path))


@pytest.mark.parametrize(
    "hidden",
    [
        "<!-- invisible-code-block: python\nx = 1\n-->\n",
        "<!--- invisible-code-block: python\nx = 1\n-->\n",
        "<!-- skip: next -->\n",
        "<!-- skip: start -->\n",
        "<!-- pytest-codeblocks: skip -->\n",
        "<!-- any other comment -->\n",
        "A line <!-- skip: next --> of text.\n",
        "- a list\n\n  <!-- clear-namespace -->\n",
        "> <!-- quoted -->\n",
        "<div style='display:none'>\n\n```python\nx = 1\n```\n\n</div>\n",
        "<details hidden>\n\n```python\nx = 1\n```\n\n</details>\n",
        "<script>x = 1</script>\n",
        "[//]: # (skip: next)\n",
        "[comment]: <> (x = 1)\n",
        '```python title="test.py"\nx = 1\n```\n',
        "```python {.hidden}\nx = 1\n```\n",
        "```python skip\nx = 1\n```\n",
        "```sh skip\nls\n```\n",
        "```py\nx = 1\n```\n",
        "```pycon\n>>> x = 1\n```\n",
        "```python3\nx = 1\n```\n",
        "```ipython\nx = 1\n```\n",
        "```bash\nls\n```\n",
        "```console\n$ ls\n```\n",
        "```python\n>>> x = 1\n```\n",
        "```\nimport os\n```\n",
        "```text\nx = 1\n```\n",
        "```output\nrun('a')\n```\n",
        "```python-skip\nrun('a')\n```\n",
        "    import os\n    os.getcwd()\n",
        "~~~text\ndef f():\n    pass\n~~~\n",
    ],
)
def test_what_is_hidden_or_disguised_is_found(hidden: str) -> None:
    assert parse("page.md", f"# Title\n\n{hidden}\n{CODE}").hidden


@pytest.mark.parametrize(
    "shown",
    [
        "`<id>` and `<!-- a comment -->` in code\n",
        "```html\n<!-- a comment -->\n```\n",
        "```\n3 rows of demo/painter: 2 predictions\n```\n",
        "    replicate_commands(cli: click.Group) -> None\n",
        '```toml\nname = "boards"\n```\n',
        "See [here][a].\n\n[a]: https://example.com\n",
    ],
)
def test_what_readers_see_is_not(shown: str) -> None:
    assert not parse("page.md", shown + CODE).hidden


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        (MOCK + CODE, True),
        (CODE + MOCK, False),
        (CODE, False),
        ("Use the mock.\n\n" + CODE, False),
    ],
)
def test_the_mock_is_there_only_for_who_is_told_before(text: str, asks: bool, tmp_path: Path) -> None:
    page = parse("page.md", text)
    assert page.asks_for_mock is asks
    assert ("REPLICATE_KIT_BACKEND" in environment(page, tmp_path)) is asks


def test_nothing_of_this_environment_helps_a_page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REPLICATE_API_TOKEN", "r8_secret")
    monkeypatch.setenv("REPLICATE_KIT_BACKEND", "mock")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    told = environment(parse("page.md", CODE), tmp_path)
    assert not {"REPLICATE_API_TOKEN", "REPLICATE_KIT_BACKEND", "PYTHONPATH"} & set(told)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("undefined", "NameError"),
        ("import replicate_kit\nreplicate_kit.run('demo/poet', {'prompt': 'sea'})", "MissingToken"),
        ("await something", "SyntaxError"),
        ("open('not-made-here.csv')", "FileNotFoundError"),
        ("assert 1 == 2", "AssertionError"),
        ("raise SystemExit(0)", "SystemExit"),
        ("import urllib.request as u\nu.urlopen('http://192.0.2.1/')", "must not need the network"),
        ("import socket\ntry: socket.getaddrinfo('example.com', 80)\nexcept OSError: pass", "other machines"),
        ("import threading\nthreading.Thread(target=lambda: 1 / 0).start()", "ZeroDivisionError"),
        ("print('other')  # → hello", "is not in"),
        ("import os\nos._exit(0)", "did not run"),
        ("from tests import notebooks", "ModuleNotFoundError"),
    ],
)
def test_a_block_that_does_not_run_is_told(code: str, said: str, tmp_path: Path) -> None:
    page = parse("page.md", f"```python\n{code}\n```\n")
    (told,) = complaints(page, run_page(page, tmp_path))
    assert said in told


def test_a_block_that_needs_another_is_told_by_itself_only(tmp_path: Path) -> None:
    page = parse("page.md", "```python\nx = 1\n```\n\n```python\nprint(x)  # → 1\n```\n")
    together, apart = tmp_path / "together", tmp_path / "apart"
    together.mkdir()
    apart.mkdir()
    assert not complaints(page, run_page(page, together))
    first, second = run_alone(page, apart)
    assert first.error is None
    assert "NameError" in (second.error or "")


def test_blocks_by_themselves_share_no_files(tmp_path: Path) -> None:
    page = parse("page.md", "```python\nopen('a', 'x').close()\n```\n" * 2)
    assert [outcome.error for outcome in run_alone(page, tmp_path)] == [None, None]


@pytest.mark.parametrize(
    ("shown", "good"),
    [
        ("one\ntwo", True),
        ("two", True),
        ("o…\ntwo", True),
        ("one", True),
        ("one\nthree", False),
        ("on", False),
        ("two\none", False),
    ],
)
def test_output_that_is_shown_is_what_is_printed(shown: str, good: bool, tmp_path: Path) -> None:
    page = parse("page.md", f"```python\nprint('one')\nprint('two')\n```\n\n```output\n{shown}\n```\n")
    assert bool(complaints(page, run_page(page, tmp_path))) is not good


def test_commands_run_in_the_folder_of_the_page(tmp_path: Path) -> None:
    text = "```sh\ncat > a.txt <<'END'\nhello\nEND\n# a remark\ncat a.txt \\\n    a.txt\n```\n"
    page = parse(
        "page.md",
        text + "```python\nfrom pathlib import Path\nassert Path('a.txt').read_text() == 'hello\\n'\n```\n",
    )
    results = run_page(page, tmp_path)
    assert not complaints(page, results)
    assert results[0].printed == "hello\nhello\n"


@pytest.mark.parametrize("command", ["replicate-kit no-such-command", "false", "cat missing | cat - missing"])
def test_a_command_that_fails_is_told(command: str, tmp_path: Path) -> None:
    page = parse("page.md", f"```sh\n{command}\n```\n")
    (told,) = complaints(page, run_page(page, tmp_path))
    assert "status" in told


@pytest.mark.parametrize(
    "command", ["pip install replicate-kit", "uv run tox", "curl http://127.0.0.1:8000/"]
)
def test_commands_that_are_not_run_have_a_reason(command: str) -> None:
    assert why_not(command)
    assert not list(runnable(command))


def test_lines_that_belong_together_are_one_command() -> None:
    assert list(commands("a \\\n  b\n\n# no\ncat <<END\nx\nEND\nc")) == ["a b", "cat <<END\nx\nEND", "c"]
