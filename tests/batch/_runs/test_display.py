"""What is seen of a run: a bar, lines in a log, or nothing; and never at the expense of the run."""

from __future__ import annotations

import gc
import io
import subprocess
import sys
import threading
import time
import types
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from replicate_kit import BatchError, Client, Progress
from replicate_kit.batch._runs import display
from replicate_kit.batch._runs.display import shower
from replicate_kit.errors import MissingExtraError
from tests.notebooks import execute, nbformat
from tests.waiting import until

from ..conftest import Service, numbers

BEGUN = Progress(total=200, in_flight=8, created=8, seconds=0.2, cost=0.0)
HALF = Progress(*(200, 50), failed=1, cached=20, in_flight=8, created=38, seconds=5.0, rate=10.0, cost=0.25)
DONE = Progress(*(200, 200), failed=1, cached=20, created=180, seconds=20.0, rate=9.0, cost=45.0)


class Terminal(io.StringIO):
    """What is written to a terminal, which may break or be interrupted while it is written to."""

    encoding = "utf-8"
    trouble: BaseException | None = None
    patience = 0  # writes until the trouble begins

    def isatty(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        self.patience -= 1
        if self.trouble is not None and self.patience <= 0:
            raise self.trouble
        return super().write(text)

    @property
    def seen(self) -> list[str]:
        """One after another, what stood in a line."""
        return [each.strip() for each in self.getvalue().splitlines() if each.strip()]

    @property
    def is_left_in_order(self) -> bool:
        """Whether a bar was shown, and what comes next begins a line of its own."""
        return "%" in self.getvalue() and self.getvalue().endswith("\n")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Somebody looks."""
    terminal = Terminal()
    # pytest puts its own sys.stderr in place after the fixtures.
    seen = types.SimpleNamespace(stderr=terminal, stdout=sys.stdout, modules=sys.modules)
    monkeypatch.setattr(display, "sys", seen)
    monkeypatch.setenv("COLUMNS", "120")
    return terminal


@pytest.fixture
def _without_tqdm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", None)


def show(wanted: bool | None, *moments: Progress) -> None:
    """Show a run to its end."""
    shown = shower(wanted)
    assert shown is not None
    for moment in moments[:-1]:
        shown(moment, False)
    shown(moments[-1], True)


def test_nothing_is_shown_where_nobody_looks(capsys: pytest.CaptureFixture[str], client: Client) -> None:
    list(client.map("acme/double", numbers(2)))
    assert capsys.readouterr().err == ""
    assert shower(False) is None
    assert shower(None) is None


def test_a_terminal_shows_one_bar_with_all_counts(terminal: Terminal) -> None:
    show(True, BEGUN, HALF, DONE)
    assert "0/200 [00:00<?, ?row/s, cost 0, 8 in flight]" in terminal.getvalue()
    assert (
        "50/200 [00:05<00:15, 10.00row/s, 1 failed, cost 0.25, 8 in flight, 20 cached]" in terminal.getvalue()
    )
    assert terminal.seen[-1].endswith("200/200 [00:20<00:00,  9.00row/s, 1 failed, cost 45.00, 20 cached]")
    assert terminal.getvalue().count("\n") == 1
    assert terminal.is_left_in_order


def test_a_bar_fits_into_its_terminal(monkeypatch: pytest.MonkeyPatch, terminal: Terminal) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    show(True, HALF, DONE)
    assert max(len(each) for each in terminal.seen) == 59
    assert all("1 failed" in each for each in terminal.seen)


def test_a_run_that_is_over_at_once_shows_nothing_on_its_own(terminal: Terminal) -> None:
    show(None, BEGUN, Progress(total=200, done=200, seconds=1.5))
    assert terminal.getvalue() == ""
    show(None, BEGUN, HALF, DONE)
    assert terminal.is_left_in_order


def test_a_run_without_rows_shows_nothing(terminal: Terminal, client: Client) -> None:
    list(client.map("acme/double", [], progress=True))
    assert terminal.getvalue() == ""


@pytest.mark.usefixtures("_without_tqdm")
def test_without_tqdm_nothing_is_shown_unless_it_is_asked_for(
    service: Service, client: Client, terminal: Terminal
) -> None:
    assert [each.output for each in client.map("acme/double", numbers(2))] == [0, 2]
    assert shower(None) is None
    with pytest.raises(MissingExtraError, match=r'pip install "replicate-kit\[progress\]"'):
        client.map("acme/double", numbers(5), progress=True)
    assert service.creates == 2


@pytest.mark.usefixtures("_without_tqdm")
def test_a_function_is_told_without_tqdm(client: Client) -> None:
    seen: list[Progress] = []
    list(client.map("acme/double", numbers(2), progress=seen.append))
    assert seen[-1].finished


def test_a_log_gets_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = shower(True)
    assert shown is not None
    for _ in range(100):
        shown(BEGUN, False)
    monkeypatch.setattr(display, "_NOW_AND_THEN", 0.0)
    show(True, HALF, DONE)
    assert capsys.readouterr().err == (
        "0% 0/200 [00:00<?, ?row/s, cost 0, 8 in flight]\n"
        "25% 50/200 [00:05<00:15, 10.00row/s, 1 failed, cost 0.25, 8 in flight, 20 cached]\n"
        "100% 200/200 [00:20<00:00,  9.00row/s, 1 failed, cost 45.00, 20 cached]\n"
    )


def test_a_log_says_how_it_ended(capsys: pytest.CaptureFixture[str], client: Client) -> None:
    list(client.map("acme/double", numbers(2), progress=True))
    assert capsys.readouterr().err.splitlines()[-1].startswith("100% 2/2 [")


# How it ends: the final state stays, and what is printed next begins a line of its own.


def test_an_error_leaves_the_terminal_in_order(client: Client, terminal: Terminal) -> None:
    with pytest.raises(BatchError):
        list(client.map("acme/picky", numbers(10, 30), progress=True, errors="raise"))
    assert terminal.is_left_in_order


def test_leaving_the_loop_leaves_the_terminal_in_order(client: Client, terminal: Terminal) -> None:
    for _ in client.map("acme/double", numbers(50), progress=True):
        break
    gc.collect()
    assert terminal.is_left_in_order


def test_closing_from_another_thread_leaves_the_terminal_in_order(client: Client, terminal: Terminal) -> None:
    batch = client.map("acme/patient", numbers(5), progress=True)

    def close() -> None:
        while batch.progress.in_flight < 5:
            time.sleep(0.01)
        batch.close()

    thread = threading.Thread(target=close)
    thread.start()
    assert list(batch) == []
    thread.join()
    assert terminal.is_left_in_order


def test_ctrl_c_in_the_middle_of_drawing_stops_the_run_in_order(
    service: Service, client: Client, terminal: Terminal
) -> None:
    terminal.trouble, terminal.patience = KeyboardInterrupt(), 3
    with pytest.raises(KeyboardInterrupt):
        list(client.map("acme/patient", numbers(5), progress=True))
    assert service.cancels == 5
    terminal.trouble = None
    in_another_thread(lambda: show(True, HALF, DONE))  # nothing is left locked
    assert terminal.is_left_in_order


@pytest.mark.parametrize("named", [True, False])
def test_leaving_an_async_loop_leaves_the_terminal_in_order(
    client: Client, terminal: Terminal, *, named: bool
) -> None:
    async def take_one() -> None:
        batch = client.async_map("acme/double", numbers(50), progress=True)
        if named:
            async with batch:
                await anext(batch)
        else:
            await anext(batch)

    trio.run(take_one)
    gc.collect()
    until(lambda: terminal.is_left_in_order)  # a run that nobody has any more ends on its own thread


# What goes wrong with it.


def test_a_terminal_that_breaks_does_not_stop_the_run(client: Client, terminal: Terminal) -> None:
    for patience in range(6):
        terminal.trouble, terminal.patience = BrokenPipeError(32, "no more paper"), patience
        assert len(list(client.map("acme/double", numbers(3), progress=True))) == 3
    terminal.trouble = None
    in_another_thread(lambda: show(True, HALF, DONE))
    assert terminal.is_left_in_order


def test_a_log_that_breaks_does_not_stop_the_run(monkeypatch: pytest.MonkeyPatch, client: Client) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    assert len(list(client.map("acme/double", numbers(3), progress=True))) == 3


def test_a_tqdm_that_cannot_be_loaded_does_not_stop_the_run(
    monkeypatch: pytest.MonkeyPatch, client: Client, terminal: Terminal
) -> None:
    def fail() -> None:
        raise AttributeError("made for another version")

    monkeypatch.setattr(display, "_bar_type", fail)
    assert len(list(client.map("acme/double", numbers(3), progress=True))) == 3
    assert terminal.getvalue() == ""


def in_another_thread(work: Callable[[], None]) -> None:
    """Do it in a thread that does not hold what this one may have left locked."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()


def test_a_run_that_is_not_shown_loads_no_tqdm(tmp_path: Path) -> None:
    code = """
import sys
from replicate_kit import Client
list(Client(backend="mock").map("demo/poet", [{"prompt": "sea"}]))
print("tqdm" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert (done.stdout, done.stderr) == ("False\n", "")


CELL = """
from replicate_kit import Client
rows = [{"prompt": prompt} for prompt in ("sea", "hill", "sea")]
outputs = [each.status async for each in Client(backend="mock").async_map("demo/poet", rows, progress=True)]
"""


def outputs_of(folder: Path, *sources: str) -> tuple[str, list[str]]:
    """Run cells; give what they print, and the kinds of the other outputs. Nothing may go to stderr."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(each) for each in sources])
    outputs = [each for cell in execute(notebook, folder) for each in cell]
    assert {each["name"] for each in outputs if each.output_type == "stream"} <= {"stdout"}
    kinds = [kind for each in outputs for kind in each.get("data", ())]
    return "".join(each.get("text", "") for each in outputs), kinds


@pytest.mark.slow
def test_a_notebook_shows_a_bar(tmp_path: Path) -> None:
    printed, kinds = outputs_of(tmp_path, CELL)
    assert kinds == ["text/plain", "application/vnd.jupyter.widget-view+json"]
    assert printed == ""


@pytest.mark.slow
def test_a_notebook_without_widgets_shows_a_bar_of_text_and_no_warning(tmp_path: Path) -> None:
    printed, kinds = outputs_of(tmp_path, "import sys; sys.modules['ipywidgets'] = None", CELL)
    assert printed.splitlines()[-1].startswith("100%|█")
    assert "| 3/3 [" in printed.splitlines()[-1]
    assert kinds == []
