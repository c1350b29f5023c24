"""Messages of the package, which name options of Python, in the words of the command line."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["as_typed", "logs_as_typed"]

_OPTION = re.compile(
    r"(?<![\w.?&/])(?<!\w\()(base_url|budget|cancel_after|check|check_input|concurrency|created_after|created_before|dedupe|journal|journal_inputs|label|most|on_interrupt"
    r"|price|price_per_second|refresh_version|retries|retry|save_to|since|storage_options|timeout|until)="
    r"(?:(?P<switch>True|False)|\('(?P<item>\w+)',\)|(?P<text>'[^']*'|-?\d+(?:\.\d+)?|nan|inf))?"
)
# What only Python can be told, and what is said differently. The first that fits counts.
_PHRASES = (
    ("passed as pathlib.Path(…), not as text", "passed as NAME=@FILE"),
    (", or pass Client(api_token=…)", ""),
    ("Client(backend='mock')", "--backend mock"),
    ("Client(backend=…)", "--backend"),
    ("save_to=SaveTo(folder, manifest=True)", "--manifest"),
    (", or cancel_on_exit=False to let it run on", ""),
    (". Pass it as a text: pathlib.Path makes one slash of two", ""),
    ("as save_to", "as --save-to"),
    ("Pass save_to ", "Pass --save-to "),
    ("pass manifest=False", "leave out its manifest"),
    ("free: with `replicate-kit", "free, with `replicate-kit"),
    (", or in Python with replicate_kit.batch.journals.settle", ""),
    (
        "Pass the 'key' of one of `entries(path, ['unknown'])`",
        "Pass one that `replicate-kit journal settle JOURNAL` lists",
    ),
    ("`entries(path, ['unknown'])` gives the keys", "`replicate-kit journal settle JOURNAL` lists the keys"),
    ("prediction_id=", "--prediction "),
    ("Pass sample= as well", "Pass --sample as well"),
)


# Calls that commands stand for.
_CALLS = (
    (
        re.compile(
            r"\bThe (prediction|training) (\w+) (is still .*?) It runs on: wait\(\) again, or cancel\(\) it\."
        ),
        r"The \1 \2 \3 It runs on: `replicate-kit \1s wait \2` waits again, `replicate-kit \1s cancel \2` stops it.",
    ),
    (re.compile(r"client\.predictions\.get\('([^']+)'\)\.wait\(\)"), r"`replicate-kit predictions wait \1`"),
    (re.compile(r"client\.predictions\.get\('([^']+)'\)"), r"`replicate-kit predictions get \1`"),
    (re.compile(r"client\.predictions\.list\(\)"), "`replicate-kit predictions list`"),
    (re.compile(r"\bclient\.map\b(?!\()"), "`replicate-kit map`"),
)
# Names of options that stand alone; what is quoted, or part of a path or of another name, is somebody else's.
_NAMES = re.compile(
    r"(?<![-\w.'\"/{])(base_url|cancel_after|check_input|journal_inputs|on_interrupt|price_per_second|refresh_version"
    r"|save_to|storage_options)\b(?![\w'\"/}=]|\.\w)"
)
# What can only be set in Python is left out where there is something else to do, and named as such where there is not.
_IN_PYTHON = (
    (re.compile(r" Raise Client\(timeout=…\) if the service is slow\."), ""),
    (re.compile(r"Raise Client\(timeout=…\), or send"), "Send"),
    (re.compile(r"; raise Client\(timeout=…\) if the connection is slow"), ""),
    (re.compile(r"\(HTTP_PROXY, or proxy=\)"), "(HTTP_PROXY)"),
    (re.compile(r" and verify=(?=\.)"), ""),
    (re.compile(r"pass it as (Client\(cert=)"), r"only Python can send it, with \1"),
    (re.compile(r"\b([Rr]aise|name it in) (Client\((?:max_\w+|trusted_hosts)=)"), r"\1, in Python, \2"),
    (re.compile(r"pass save_to=… to run or map"), "pass --save-to FOLDER to run or map"),
    (re.compile(r", or replace it with text\.encode\([^)]*\)\.decode\([^)]*\)"), ""),
    (
        re.compile(r", such as prediction\.id\."),
        ": `replicate-kit predictions list` shows those of predictions.",
    ),
    (re.compile(r"\n?Raised by the inputs \(a generator\)\."), ""),
)


# Amounts of metrics.
_AMOUNTS = re.compile(r"(?<![\w.])(price|most)=\{'(\w+)': ([^{}]*)\}")

# Commands that fill options of the package from another one of theirs: a folder, in which they have their own names.
_INSTEAD = {"demo": re.compile(r"--(?:journal|save-to)\b(?: '(?P<path>[^']*)')?")}
_INSIDE = re.compile(r"[/\\]+(?:\.replicate-kit[/\\]+journal\.sqlite|pictures)$")


def as_typed(text: str, command: str | None = None) -> str:
    """Write options as they are typed in a terminal, for a command that may have others.

    >>> as_typed("To send it all the same, pass check_input=False.")
    'To send it all the same, pass --no-check-input.'
    >>> as_typed("Pass retry=('unknown',) to pay for it again, with journal='a b.sqlite'.")
    "Pass --retry unknown to pay for it again, with --journal 'a b.sqlite'."
    >>> as_typed("Check the URL and its storage_options.")
    'Check the URL and its --storage-options.'
    >>> as_typed("Pass another one as save_to.", "demo")
    'Pass another one as --out.'
    >>> as_typed("Pass most={'output_token_count': 512}, too.")
    'Pass --most output_token_count=512, too.'
    >>> as_typed("Run it again with journal='out/.replicate-kit/journal.sqlite'.", "demo")
    "Run it again with --out 'out'."
    """
    for written, typed in _PHRASES:
        text = text.replace(written, typed)
    for pattern, typed in (*_IN_PYTHON, *_CALLS):
        text = pattern.sub(typed, text)
    text = _OPTION.sub(_typed, _AMOUNTS.sub(r"--\1 \2=\3", text))
    text = _NAMES.sub(lambda found: "--" + found[1].replace("_", "-"), text)
    return _INSTEAD[command].sub(_folder, text) if command in _INSTEAD else text


def _folder(found: re.Match[str]) -> str:
    """Write the option of a folder, for one of what is in it."""
    path = found["path"]
    return "--out" if path is None else f"--out '{_INSIDE.sub('', path)}'"


def _typed(found: re.Match[str]) -> str:
    """Write one option."""
    prefix = "--no-" if found["switch"] == "False" else "--"
    value = found["item"] or found["text"]
    return prefix + found[1].replace("_", "-") + (f" {value}" if value else "")


@contextmanager
def logs_as_typed(command: Callable[[], str | None]) -> Iterator[None]:
    """While the block runs, have the package's warnings name options as they are typed, too.

    `command` gives the command that runs, once it does.
    """
    logger = logging.getLogger("replicate_kit")

    def translate(record: logging.LogRecord) -> bool:
        record.msg, record.args = as_typed(record.getMessage(), command()), None
        return True

    logger.addFilter(translate)
    try:
        yield
    finally:
        logger.removeFilter(translate)
