"""The place of an output in a file system that takes whole files only."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ....errors import UsageError
from ...address import Address
from ...destination import Intended
from ...space import check_space
from .filesystem_objects import FilesystemObjects
from .inputs import refuse_inputs
from .object_names import ObjectNames
from .sent_building import SentBuilding
from .standing import check_card, check_free, check_ours


class SentDestination:
    """An address in a file system of fsspec.

    Args:
        out: The address.
        is_folder: Whether a folder goes there.
    """

    def __init__(self, out: Address, *, is_folder: bool) -> None:
        self._out, self._is_folder = out, is_folder

    def building(self) -> SentBuilding:
        """Return the output on its way, not begun."""
        return SentBuilding(self._out, is_folder=self._is_folder)

    def check(self, intended: Intended) -> None:
        """Refuse what is in the way or an input. Whether the place can be written shows when the lock is taken.

        Raises:
            UsageError: The output is in the way or an input.
            MergeError: There is no room for building it here, or the place cannot be reached.
        """
        where = str(self._out)
        if intended.resume:
            what = "an unfinished output cannot be continued there"
            raise UsageError(what, where=where, hint="leave --resume out: the merge begins anew")
        refuse_inputs(self._out, intended)
        place = FilesystemObjects(where)
        if not place.key.strip("/"):
            raise UsageError("this names no file or folder", where=where, hint=f"name one in it: {where}/merged")
        self._check_standing(place, intended)
        if isinstance(intended.card, Address):
            key = ObjectNames(place.key, is_folder=False).beside(intended.card.name)
            check_card(place.get(key), intended.mark, place.address(key))
        check_space(Path(tempfile.gettempdir()) / "merged", intended.nbytes)

    def _check_standing(self, place: FilesystemObjects, intended: Intended) -> None:
        where, kind = str(self._out), place.kind(place.key)
        below = place.keys(f"{place.key}/") if kind == "directory" else []
        stands = check_free(
            where, is_file=kind == "file", holds=bool(below), is_folder=intended.is_folder, force=intended.force
        )
        if stands and intended.is_folder:
            folder = f"{place.key}/"
            check_ours(place.filesystem, place.key, [key.removeprefix(folder) for key in below], where)
