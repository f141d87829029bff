"""The last step of a run: renames that lose nothing, whatever stands there and whenever they fail."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator
from pathlib import Path

_EXCHANGE, _AT_CURRENT = 2, -100  # RENAME_EXCHANGE and AT_FDCWD of Linux


@contextlib.contextmanager
def placed(built: Path | None, folder: Path) -> Iterator[None]:
    """Put a built file into a folder, and what stood there back when what follows fails."""
    if built is None:
        yield
        return
    place, former = folder / built.name, built.with_name(built.name + ".former")
    if os.path.lexists(place):
        _keep(place, former)
    try:
        built.replace(place)
        yield
    except BaseException:
        if os.path.lexists(former):
            former.replace(place)
        else:
            place.unlink(missing_ok=True)
        raise


def _keep(place: Path, former: Path) -> None:
    """Give a file a second name, so that no moment lacks it; where there are no hard links, another name."""
    former.unlink(missing_ok=True)  # of a run that was killed
    try:
        os.link(place, former, follow_symlinks=False)
    except (OSError, NotImplementedError):
        place.replace(former)


def move(built: Path, target: Path) -> None:
    """Rename without replacing anything: a hard link fails where a rename would overwrite a file."""
    if built.is_dir():
        built.rename(target)  # fails on its own unless the target is an empty folder
        return
    try:
        os.link(built, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if os.path.lexists(target):
            raise FileExistsError from None
        built.replace(target)


def exchange(built: Path, target: Path) -> None:
    """Swap two folders in one step where the system can, so that no moment has neither."""
    if sys.platform == "linux":
        library = ctypes.CDLL(None, use_errno=True)
        rename = getattr(library, "renameat2", None)
        names = os.fsencode(built), os.fsencode(target)
        if rename and rename(_AT_CURRENT, names[0], _AT_CURRENT, names[1], _EXCHANGE) == 0:
            return
    old = built.with_name("replaced")
    target.rename(old)
    built.rename(target)
