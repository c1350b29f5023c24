"""The package says what each of its modules is for."""

from __future__ import annotations

import re
from pathlib import Path

from replicate_kit import batch


def test_each_module_has_its_line_in_the_docstring_of_the_package() -> None:
    assert batch.__doc__ is not None
    (folder,) = batch.__path__
    modules = {each.stem for each in Path(folder).iterdir()} - {"__init__", "__pycache__"}
    assert sorted(re.findall(r"^\| `(\w+)` \|", batch.__doc__, re.MULTILINE)) == sorted(modules)
