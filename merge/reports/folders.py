"""The folders beside a report that hold results in other tools' own forms: gathered elsewhere, put in place whole."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath

PARTIAL = ".partial"
HARNESS = "lm-eval"  # the files that lm-evaluation-harness writes itself
CLIP_BENCHMARK = "clip_benchmark"  # results in CLIP_benchmark's own form
FILES = {
    HARNESS: ("*/results_*.json", "*/samples_*.jsonl"),
    CLIP_BENCHMARK: ("*_zeroshot_classification*.json",),
}


@contextmanager
def gathering(report: Path | None) -> Iterator[Path | None]:
    """Lend a folder for files that are made before it is known whether there will be a report.

    Args:
        report: The report's folder; None: there will be no report, and no folder is lent.
    """
    if report is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="merge-report-") as folder:
        yield Path(folder)


def foreign_files(directory: Path) -> list[str]:
    """Return what lies in these folders of a report's folder and is not of their tools, relative to it."""
    folders = {directory / (name + end): forms for name, forms in FILES.items() for end in ("", PARTIAL)}
    found = [path for folder, forms in folders.items() for path in _foreign(folder, forms)]
    return sorted(path.relative_to(directory).as_posix() for path in found)


def stage_folders(directory: Path, made: Path | None) -> None:
    """Copy the gathered folders next to where they belong. Raises OSError.

    Args:
        directory: The report's folder.
        made: What ``gathering`` lent; None: there are no such files.
    """
    for name in FILES:
        partial = directory / (name + PARTIAL)
        _remove(partial)
        if made is not None and (made / name).is_dir():
            shutil.copytree(made / name, partial)


def drop_staged(directory: Path) -> None:
    """Remove the folders that were staged, as far as that is possible."""
    for name in FILES:
        shutil.rmtree(directory / (name + PARTIAL), ignore_errors=True)


def exchange_folders(directory: Path) -> None:
    """Replace the folders of a former report by those that were staged, or by nothing. Raises OSError."""
    for name in FILES:
        partial = directory / (name + PARTIAL)
        _remove(directory / name)
        if partial.exists():
            partial.rename(directory / name)


def _foreign(folder: Path, forms: tuple[str, ...]) -> Iterator[Path]:
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        yield folder
        return
    for path in folder.rglob("*"):
        if path.is_symlink() or (not path.is_dir() and not _has_form(path.relative_to(folder), forms)):
            yield path


def _has_form(path: PurePath, forms: tuple[str, ...]) -> bool:
    ours = [form for form in forms if len(PurePath(form).parts) == len(path.parts)]
    return any(path.match(form) or path.match(form + PARTIAL) for form in ours)


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
