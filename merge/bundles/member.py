"""A checkpoint of a bundle: where it is, and reading it with the tensors that it shares with others."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..checkpoints.resolve import open_checkpoint
from ..errors import MergeError

if TYPE_CHECKING:
    from ..checkpoints.checkpoint import FileCheckpoint
    from ..checkpoints.header import TensorInfo
    from ..evaluation.candidate import Candidate


@dataclass(frozen=True)
class Member:
    """One checkpoint of a bundle.

    Attributes:
        bundle: Which it belongs to, as the user gave it.
        role: ``pretrained``, ``expert 2`` …
        name: For messages and tables.
        path: File or folder.
        content_id: What it had when the bundle was made.
        shared: File with tensors that it has in common with other members, and their names.
    """

    bundle: str
    role: str
    name: str
    path: Path
    content_id: str
    shared: tuple[Path, tuple[str, ...]] | None = None

    def open(self) -> FileCheckpoint:
        """Open what is the member's own. Raises MergeError when it is not there, or no sound checkpoint."""
        if not os.path.exists(self.path):  # noqa: PTH110 - which takes a name that is too long for what is not there
            what = f"its member '{self.role}' is missing: {self.path}"
            hint = "bring it back, or make the bundle anew; --copy keeps members"
            raise MergeError(what, where=self.bundle, hint=hint)
        return open_checkpoint(str(self.path))

    @contextmanager
    def common(self) -> Iterator[tuple[FileCheckpoint | None, list[TensorInfo]]]:
        """Open what it has in common with others: the file, if any, and the tensors in it that are the member's.

        Raises:
            MergeError: The file is damaged, or lacks one of them.
        """
        if self.shared is None:
            yield None, []
            return
        file, names = self.shared
        source = open_checkpoint(str(file))
        try:
            for name in names:
                if name not in source.tensors:
                    raise MergeError(f"lacks '{name}'", where=str(file), hint="make the bundle anew")
            yield source, [source.tensors[name] for name in names]
        finally:
            source.close()

    def load(self) -> Candidate:
        """Bring it into memory.

        Raises:
            MergeError: It is missing, cannot be read, or is another one than when the bundle was made.
        """
        from ..evaluation.candidate import identify, read_candidate, read_tensor

        source = self.open()
        try:
            candidate = replace(read_candidate(source, self.name), folder=self.folder)
        finally:
            source.close()
        with self.common() as (common, wanted):
            if common is not None:
                tensors = {**candidate.tensors, **{info.name: read_tensor(common, info) for info in wanted}}
                infos = [*source.tensors.values(), *wanted]
                candidate = replace(candidate, tensors=tensors, identity=identify(tensors, infos))
        if candidate.identity != self.content_id:
            what = f"its member '{self.role}' is not what it was when the bundle was made: {self.path}"
            raise MergeError(what, where=self.bundle, hint="make the bundle anew")
        return candidate

    @property
    def folder(self) -> Path | None:
        """Where its configuration and tokenizer lie."""
        folder = self.path if self.path.is_dir() else self.path.parent
        return folder if self.path.is_dir() or (folder / "config.json").is_file() else None
