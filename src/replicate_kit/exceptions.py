"""The errors by the names that the package `replicate` has them under; `replicate_kit.errors` has all of them.

>>> from replicate_kit import errors, exceptions
>>> exceptions.ReplicateError is errors.ReplicateError
True
"""

from __future__ import annotations

from replicate_kit.errors import ModelError, ReplicateError

__all__ = ["ModelError", "ReplicateError", "ReplicateException"]

ReplicateException = ReplicateError
"""There it is the base of `ReplicateError` and `ModelError`; here `ReplicateError` is that of all errors."""
