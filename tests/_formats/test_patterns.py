"""Patterns that are compiled at their first use: a mistake in one would be met no earlier."""

from __future__ import annotations

import copy
import importlib
import pickle
import pkgutil
import re

import pytest

import replicate_kit
from replicate_kit._formats.patterns import _Late, pattern

LATE = {
    f"{module.name}.{name}": value
    for module in pkgutil.walk_packages(replicate_kit.__path__, "replicate_kit.")
    if module.name.startswith(("replicate_kit._", "replicate_kit.resources", "replicate_kit.records"))
    for name, value in vars(importlib.import_module(module.name)).items()
    if isinstance(value, _Late)
}


def test_there_are_some() -> None:
    assert len(LATE) > 20


@pytest.mark.parametrize("late", LATE.values(), ids=LATE)
def test_each_can_be_compiled(late: re.Pattern[str]) -> None:
    assert re.compile(late.pattern, late.flags)


@pytest.mark.parametrize("travel", [copy.copy, copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))])
@pytest.mark.parametrize("used", [True, False])
def test_one_travels(travel: object, used: bool) -> None:
    late = pattern("[a-z]+", re.IGNORECASE)
    assert not used or late.fullmatch("Sea")
    there = travel(late)  # type: ignore[operator]
    assert there.fullmatch("Sea")
    assert not there.fullmatch("7")
