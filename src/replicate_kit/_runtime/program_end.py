"""Telling a program that is to end from somebody's code that would end it."""

from __future__ import annotations

import threading
from types import CodeType
from typing import Any

__all__ = ["ends_program"]


def ends_program(error: BaseException) -> bool:
    """Whether somebody else than the code that raised an error wants the program to end.

    That is a Ctrl-C, and what a handler of signals raises that is no `Exception`, such as `SystemExit`: it comes up
    wherever the main thread is. A plugin or a file of models that calls `sys.exit` has failed, like one that raises
    anything else.

    >>> ends_program(KeyboardInterrupt()), ends_program(SystemExit(1))
    (True, False)
    """
    if isinstance(error, KeyboardInterrupt):
        return True
    if isinstance(error, Exception) or threading.current_thread() is not threading.main_thread():
        return False
    if (
        isinstance(error, SystemExit) and type(error) is not SystemExit
    ):  # somebody's own, which is for them to catch
        return True
    import signal
    import traceback

    handlers = {_code(signal.getsignal(each)) for each in signal.valid_signals()} - {None}
    return any(frame.f_code in handlers for frame, _ in traceback.walk_tb(error.__traceback__))


def _code(handler: Any) -> CodeType | None:
    """The code of a handler: a function, a method, or an object that can be called."""
    for each in (handler, getattr(handler, "__func__", None), vars(type(handler)).get("__call__")):
        if isinstance(code := getattr(each, "__code__", None), CodeType):
            return code
    return None
