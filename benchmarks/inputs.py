"""The folder that the benchmarks work in: hands out checkpoints, made when they are first asked for."""

from __future__ import annotations

import multiprocessing
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from checkpoints import Layout, llama_layout, write_tuned


class Inputs:
    """Makes, keeps in the page cache and removes the inputs of the cases."""

    def __init__(self, folder: Path, gigabytes: float) -> None:
        self.folder = folder
        self.folder.mkdir()
        self.gigabytes = gigabytes
        self.layout = llama_layout(gigabytes)

    def tuned(self, variant: int, dtype: str = "BF16") -> Path:
        """Return a Llama-like checkpoint: the base (0) or one of its fine-tunes."""
        return self.file(f"{'tuned' if variant else 'base'}-{variant}-{dtype.lower()}.st", self.layout, dtype, variant)

    def file(self, name: str, layout: Layout, dtype: str, variant: int) -> Path:
        """Return the checkpoint of this name, written by a process of its own the first time."""
        path = self.folder / name
        if not path.exists():
            writer = multiprocessing.get_context("spawn").Process(
                target=write_tuned, args=(path, layout, dtype, variant)
            )
            writer.start()
            writer.join()
            if writer.exitcode:
                raise RuntimeError(f"{name} could not be written: exit code {writer.exitcode}")
        return path

    def output(self, name: str) -> Path:
        """Return where a row may write."""
        return self.folder / f"out-{name}"

    def forget(self) -> None:
        """Remove what no other case uses: all but the bfloat16 family."""
        kept = {*self.folder.glob("tuned-*-bf16.st"), *self.folder.glob("base-*-bf16.st")}
        for path in set(self.folder.iterdir()) - kept:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def warm(paths: Iterable[Path]) -> None:
    """Read files once, so that they lie in the page cache."""
    buffer = bytearray(1 << 20)
    for path in paths:
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


def memory_gigabytes() -> float:
    """Return how much memory the machine has."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
