"""Where the output will go: through what, and whether there is room."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

from ..checkpoints.address import Address, settled
from ..checkpoints.links import link_of_address, link_of_file
from ..plan import Plan


class Room(NamedTuple):
    """Room for the output.

    Attributes:
        needed: Bytes.
        free: Bytes free; None where it does not go to a disk of this machine.
        folder: The folder whose disk that is.
    """

    needed: int
    free: int | None = None
    folder: str | None = None


def room_of(plan: Plan) -> Room:
    """Return how much room the output needs, and how much there is."""
    folder = _folder(plan)
    if folder is None:
        return Room(plan.bytes_written)
    try:
        return Room(plan.bytes_written, shutil.disk_usage(folder).free, str(folder))
    except OSError:
        return Room(plan.bytes_written)


def link_of_output(plan: Plan) -> str:
    """Return through what the output goes; empty where that is not known."""
    folder = _folder(plan)
    if folder is not None:
        return link_of_file(folder)
    out = plan.recipe.output.path
    return link_of_address(str(out)) if isinstance(out, Address) else ""


def _folder(plan: Plan) -> Path | None:
    """Return the folder on this machine nearest to the output that exists."""
    out = plan.recipe.output.path
    path = settled(out, plan.recipe.folder).absolute() if out is not None else None
    if path is None or isinstance(path, Address):
        return None
    return next((parent for parent in path.parents if parent.exists()), None)
