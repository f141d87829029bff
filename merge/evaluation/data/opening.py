"""Tables opened by the library ``datasets``: memory-mapped from its cache, so that they need not fit in memory."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import MergeError, UsageError, suggest
from ...json_text import parse_json

if TYPE_CHECKING:
    from ..data_source import DataSource

SAFE_DATASETS = 4  # the first version without scripts that come with a data set


def check_installed(where: str) -> None:
    """Raise MergeError where the library is missing, or is one that runs scripts of data sets."""
    if find_spec("datasets") is None:
        hint = "pip install 'merge-checkpoints[data]'"
        raise MergeError("parquet files and data sets of the hub need the library datasets", where=where, hint=hint)
    found = version("datasets")
    if int(found.partition(".")[0]) < SAFE_DATASETS:
        what = f"datasets {found} runs code that comes with a data set, so it is not used"
        raise MergeError(what, where=where, hint=f"pip install 'datasets>={SAFE_DATASETS}'")


def open_table(source: DataSource) -> tuple[Any, tuple[str, ...]]:
    """Return one split as a ``datasets.Dataset``, and notes on it.

    Raises:
        UsageError: There is no such split.
        MergeError: The data cannot be read, or not be fetched.
    """
    with quiet_datasets():
        if source.form == "hub":
            from .hub import open_hub

            table, commit = open_hub(source)
            return table, (f"the data is {source.text}, commit {commit}",)
        try:
            return (_open_saved if source.form == "saved" else _open_parquet)(source), ()
        except MergeError:
            raise
        except Exception as error:  # the library lets through whatever pyarrow raises
            reason = str(error.__cause__ or error).strip().partition("\n")[0]
            raise MergeError(f"{source.text} cannot be read: {reason}", where=source.where) from None


def check_split(source: DataSource, splits: Iterable[object]) -> None:
    """Raise UsageError unless the split is one of those that there are."""
    names = [str(name) for name in splits]
    if source.split not in names:
        hint = suggest(source.split, names) or f"there are: {', '.join(names) or 'none'}"
        raise UsageError(f"{source.text} has no split '{source.split}'", where=source.where, hint=hint)


def saved_split(folder: Path) -> str | None:
    """Return which split a folder of ``save_to_disk`` is, if it is a single one and says so."""
    try:
        state = parse_json((folder / "state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    split = state.get("_split") if isinstance(state, dict) else None
    return str(split) if split else None


def _open_saved(source: DataSource) -> Any:
    from datasets import DatasetDict, load_from_disk

    found = load_from_disk(str(source.path))
    if isinstance(found, DatasetDict):
        check_split(source, found)
        return found[source.split]
    if found.split is not None:
        check_split(source, [found.split])
    return found


def _open_parquet(source: DataSource) -> Any:
    from datasets import load_dataset_builder

    path = source.path
    assert path is not None  # noqa: S101 -- parquet files have a path
    if path.is_dir():
        by_split = load_dataset_builder("parquet", data_dir=str(path)).config.data_files or {}
        check_split(source, by_split)
        files = list(by_split[source.split])
    else:
        files = [str(path)] if path.is_file() else sorted(map(str, path.parent.glob(path.name)))
    return read_parquet(files)


def read_parquet(files: Sequence[str]) -> Any:
    """Return the rows of parquet files; files that are not asked for are not copied into the library's cache."""
    from datasets import load_dataset

    return load_dataset("parquet", data_files={"rows": list(files)}, split="rows")


@contextmanager
def quiet_datasets() -> Iterator[None]:
    """Hold back the libraries' remarks, and their progress bars unless there is a terminal to show them on."""
    import datasets
    import huggingface_hub.utils

    remarks = [datasets.logging, huggingface_hub.utils.logging]
    verbosities = [one.get_verbosity() for one in remarks]
    with_bars = [one for one in (datasets, huggingface_hub.utils) if not one.are_progress_bars_disabled()]
    for one in remarks:
        one.set_verbosity(logging.CRITICAL)
    for library in () if sys.stderr.isatty() else with_bars:
        library.disable_progress_bars()
    try:
        yield
    finally:
        for one, verbosity in zip(remarks, verbosities, strict=True):
            one.set_verbosity(verbosity)
        for library in with_bars:
            library.enable_progress_bars()
