"""Write a local file so that it is whole or not there at all; of a link, the file that it leads to."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from replicate_kit._files.targets import followed, is_written_into
from replicate_kit._formats.file_names import partial_name

__all__ = ["open_replacing", "replacing"]


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Give a path to write to, in the target's folder, which takes the target's place when all went well. Of what is no
    file, such as a device, nothing takes the place: it is the path to write to.

    >>> from pathlib import Path
    >>> with replacing(Path("greeting.txt")) as partial:
    ...     size = partial.write_text("hello")
    >>> Path("greeting.txt").read_text()
    'hello'
    """
    target = followed(target)
    if is_written_into(target):
        yield target
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(partial_name(target.name))
    try:
        yield partial
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def open_replacing(target: Path) -> Iterator[BinaryIO]:
    """Give a file to write to, open, which takes the target's place when all went well; or what is there, open, where
    that is no file.

    It may be written for hours: if somebody removes it or its folder meanwhile, what is in it is still there as long
    as it is open, and is written again.

    >>> from pathlib import Path
    >>> with open_replacing(Path("greeting.txt")) as file:
    ...     size = file.write(b"hello")
    >>> Path("greeting.txt").read_text()
    'hello'
    """
    target = followed(target)
    if is_written_into(target):
        with open(target, "ab") as file:
            yield file
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(partial_name(target.name))
    with open(partial, "w+b") as file:
        try:
            yield file
            file.flush()
            if partial.exists():
                file.close()  # Windows renames no file that is open
                os.replace(partial, target)
            else:
                _write_again(file, target)
        except BaseException:
            with contextlib.suppress(OSError):  # what is left to write must not hide what went wrong
                file.close()
            raise
        finally:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)


def _write_again(file: BinaryIO, target: Path) -> None:
    """Write what an open file holds that has no name any more."""
    import shutil  # which loads what compresses files

    file.seek(0)
    with replacing(target) as partial, open(partial, "wb") as copy:
        shutil.copyfileobj(file, copy)
