"""Messages of the package, which name options of Python, in the words of the command line."""

from __future__ import annotations

import re

__all__ = ["as_typed"]

_OPTION = re.compile(
    r"\b(base_url|budget|check|check_input|dedupe|journal|journal_inputs|on_interrupt|price|price_per_second|refresh_version|retry"
    r"|save_to|timeout)="
    r"(?:(?P<switch>True|False)|\('(?P<item>\w+)',\)|(?P<text>'[^']*'))?"
)
# What only Python can be told, and what is said differently. The first that fits counts.
_PHRASES = (
    ("passed as pathlib.Path(…), not as text", "passed as NAME=@FILE"),
    (", or pass Client(api_token=…)", ""),
    ("Client(backend='mock')", "--backend mock"),
    ("Client(backend=…)", "--backend"),
    ("storage_options", "--storage-options"),
    ("save_to=SaveTo(folder, manifest=True)", "--manifest"),
    (", or cancel_on_exit=False to let it run on", ""),
    ("; both as texts, since pathlib takes slashes away", ""),
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


# Commands that fill options of the package from another one of theirs.
_INSTEAD = {"demo": re.compile(r"--(journal|save-to)\b")}


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
    """
    for written, typed in _PHRASES:
        text = text.replace(written, typed)
    text = _OPTION.sub(_typed, text)
    text = re.sub(r"(?<!-)\bbase_url\b", "--base-url", text)
    return _INSTEAD[command].sub("--out", text) if command in _INSTEAD else text


def _typed(found: re.Match[str]) -> str:
    """Write one option."""
    prefix = "--no-" if found["switch"] == "False" else "--"
    value = found["item"] or found["text"]
    return prefix + found[1].replace("_", "-") + (f" {value}" if value else "")
