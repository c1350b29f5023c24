"""The labels of jobs over partitions, which tell one job from another in the journal."""

from __future__ import annotations

import re
from uuid import uuid4

__all__ = ["job_label", "user_label"]

_JOB = re.compile(r"(?:(?P<given>.*)/)?[0-9a-f]{12}", re.DOTALL)


def job_label(given: str | None) -> str:
    """Make the label of a job: the user's, if there is one, and a part of the job's own."""
    own = uuid4().hex[:12]
    return own if given is None else f"{given}/{own}"


def user_label(label: str | None) -> str | None:
    """Give the label that the user has chosen, without the part that tells a job over partitions from others.

    It is None where there was none. Each job has a label of its own, so that metrics would have a series for each.

    >>> user_label("nightly/0c5a91d2e7f4"), user_label("0c5a91d2e7f4"), user_label("nightly")
    ('nightly', None, 'nightly')
    """
    found = None if label is None else _JOB.fullmatch(label)
    return label if found is None else found["given"]
