"""What is said at Ctrl-C."""

from __future__ import annotations

import signal
import sys
import threading

import pytest

from replicate_kit.cli._interrupting import announced

pytestmark = pytest.mark.usefixtures("interruptible")


def interrupt() -> None:
    """Press Ctrl-C."""
    signal.raise_signal(signal.SIGINT)


def test_each_interrupt_says_what_becomes_of_the_predictions(capsys: pytest.CaptureFixture[str]) -> None:
    with announced(lambda: 3, detach=False):
        with pytest.raises(KeyboardInterrupt):
            interrupt()
        assert capsys.readouterr().err == (
            "Canceling 3 predictions. Press Ctrl-C again to leave them running for the next run.\n"
        )
        with pytest.raises(KeyboardInterrupt):
            interrupt()
        assert (
            capsys.readouterr().err == "Leaving 3 predictions running; run it again to have what they give.\n"
        )
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_on_a_terminal_it_stands_below_the_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with announced(lambda: 3, detach=False), pytest.raises(KeyboardInterrupt):
        interrupt()
    assert capsys.readouterr().err.startswith("\nCanceling 3 predictions.")


@pytest.mark.parametrize(("count", "said"), [(0, ""), (1, "Leaving 1 prediction running;")])
def test_what_is_detached_is_left_at_once(capsys: pytest.CaptureFixture[str], count: int, said: str) -> None:
    with announced(lambda: count, detach=True), pytest.raises(KeyboardInterrupt):
        interrupt()
    assert capsys.readouterr().err.startswith(said)


def test_a_program_that_ignores_interrupts_goes_on_to(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with announced(lambda: 3, detach=False):
            interrupt()
    finally:
        signal.signal(signal.SIGINT, before)
    assert capsys.readouterr().err == ""


def test_other_threads_are_let_alone() -> None:
    def use() -> None:
        with announced(lambda: 3, detach=False):
            handlers.append(signal.getsignal(signal.SIGINT))

    handlers: list[object] = []
    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert handlers == [signal.default_int_handler]
