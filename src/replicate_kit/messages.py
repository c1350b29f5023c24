"""What a plugin needs to say things well: suggestions, numbers that are checked, secrets that stay hidden.

>>> from replicate_kit.messages import did_you_mean, redacted
>>> print("There is no column 'promt'." + did_you_mean("promt", ["prompt", "seed"]))
There is no column 'promt'. Did you mean 'prompt'?
>>> redacted("https://anna:hunter2@example.test/")
'https://anna@example.test/'
"""

from __future__ import annotations

from replicate_kit._formats.arguments import whole
from replicate_kit._formats.redacting import redacted, without_secrets
from replicate_kit._formats.wording import brace_advice, did_you_mean, shown_label, shown_names
from replicate_kit._http.hiding import hidden_in_errors, quoted

__all__ = [
    "brace_advice",
    "did_you_mean",
    "hidden_in_errors",
    "quoted",
    "redacted",
    "shown_label",
    "shown_names",
    "whole",
    "without_secrets",
]
