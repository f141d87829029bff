"""A progress bar on stderr when that is a terminal; nothing otherwise."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[[int, int], None]


@contextmanager
def progress_bar(total: int, tensors: int, label: str, *, quiet: bool = False) -> Iterator[Advance]:
    """Show how many tensors are done and bytes read, the speed and the time left.

    Args:
        total: Bytes that will be read.
        tensors: Tensors that will be written.
        label: What is being done.
        quiet: Show nothing.

    Yields:
        The function to call with every number of bytes read and tensors finished, from any thread.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda nbytes, finished: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total)
        done = 0

        def advance(nbytes: int, finished: int) -> None:
            nonlocal done
            done += finished
            bar.update(task, advance=nbytes, description=f"{label} {done:,}/{tensors:,} tensors")

        yield advance


@contextmanager
def items_bar(total: int | None, label: str, *, quiet: bool = False) -> Iterator[Callable[[int], None]]:
    """Show how many items are done, and the time left where their number is known.

    Yields the function to call with every number of items.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda items: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total)
        yield lambda items: bar.update(task, advance=items)
