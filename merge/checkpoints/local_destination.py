"""An output on this machine: built in a hidden folder beside its place, and put there by a rename."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UsageError
from .checkpoint import FileCheckpoint, Source
from .components.part import parts_of
from .destination import Intended
from .resolve import local_path
from .space import check_space
from .staging import Staging
from .target import check_ours_text, check_target
from .writer import FileSink, is_continuable

if TYPE_CHECKING:
    from ..planning.layout import OutputFile


class LocalDestination:
    """A path on this machine.

    Args:
        out: The path.
        is_folder: Whether a folder goes there.
    """

    def __init__(self, out: Path, *, is_folder: bool) -> None:
        self._out, self._is_folder = out, is_folder

    def check(self, intended: Intended) -> None:
        """Refuse what is in the way, an input, or a disk that is too small.

        Raises:
            UsageError: The output is in the way or an input.
            MergeError: The disk is too small.
        """
        inputs = [path for source in intended.sources if isinstance(source, FileCheckpoint) for path in source.files]
        check_target(self._out, inputs, is_folder=intended.is_folder, force=intended.force)
        if not intended.is_folder:
            self._refuse_in_model(intended.sources, intended.folder)
        if isinstance(intended.card, Path) and os.path.lexists(intended.card):
            check_ours_text(intended.card, intended.mark)
        check_space(self._out, intended.nbytes)

    def _refuse_in_model(self, sources: Sequence[Source], relative_to: Path | None) -> None:
        """Refuse a file in the folder of an input that was named as a folder: it would then hold two models."""
        for source in sources:
            folder = local_path(source.location, relative_to)
            within = [folder / part.folder for part in parts_of(source)]
            if folder.is_dir() and self._out.parent.resolve() in [one.resolve() for one in (folder, *within)]:
                what = "the output would lie in the folder of an input, beside its weights"
                raise UsageError(what, where=str(self._out), hint="choose another --out")

    def building(self) -> LocalBuilding:
        """Return the output on its way, not begun."""
        return LocalBuilding(self._out, is_folder=self._is_folder)


class LocalBuilding(Staging):
    """An output of tensors on its way to a path on this machine."""

    can_resume = True

    def is_continuable(self, files: Sequence[OutputFile], metadata: dict[str, str]) -> bool:
        """Tell whether every file of an earlier run is still there in its full size."""
        return is_continuable(files, self.path, metadata)

    def sink(self, files: Sequence[OutputFile], metadata: dict[str, str], *, keep: bool) -> FileSink:
        """Return what takes the tensors."""
        return FileSink(files, self.path, metadata, keep=keep)
