"""A report's folder: three files, each there whole or not at all, and nobody else's files touched."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..checkpoints.address import meant_address
from ..errors import MergeError, UsageError
from ..interrupts import uninterrupted
from .document import document
from .folders import FILES, PARTIAL, drop_staged, exchange_folders, foreign_files, stage_folders
from .render import html, markdown

NAMES = ("results.json", "report.md", "report.html")


def write_report(directory: Path, report: Mapping[str, Any], made: Path | None = None) -> list[Path]:
    """Write ``results.json``, ``report.md`` and ``report.html``, replacing an earlier report.

    Args:
        directory: Made if it is not there.
        report: As ``mapping.ReportDocument`` has it; every part may be absent. JSON values only.
        made: Folder with the folders of other tools' files, as ``folders.gathering`` lends it. Those of an earlier
            report are replaced, by nothing where there are none.

    Returns:
        The three files.

    Raises:
        UsageError: The folder holds files that are not a report's.
        MergeError: It cannot be written, or a number is nan or infinite.
    """
    check_directory(directory)
    text = _json(report, directory)
    arranged = document(json.loads(text))  # what is shown is what a reader of the file finds in it
    texts = (text, markdown(arranged), html(arranged))
    files = {directory / name: text for name, text in zip(NAMES, texts, strict=True)}
    try:
        with _made(directory):
            stage_folders(directory, made)
            _replace(files)
            exchange_folders(directory)
    except OSError as error:
        raise MergeError(f"the report cannot be written: {_reason(error)}", where=str(directory)) from None
    return list(files)


def write_folder(directory: Path, documents: Mapping[str, Mapping[str, Any]]) -> None:
    """Write JSON files into a folder, which is made if it is not there.

    Raises:
        MergeError: The folder cannot be written.
    """
    texts = {directory / name: _json(document, directory) for name, document in documents.items()}
    try:
        with _made(directory):
            _replace(texts)
    except OSError as error:
        raise MergeError(f"the report cannot be written: {error.strerror}", where=str(directory)) from None


def check_directory(directory: Path) -> None:
    """Raise UsageError when a report cannot go to this folder: it is elsewhere, a file, or holds something else."""
    if (address := meant_address(directory)) is not None:
        raise UsageError("a report is written on this machine", where=address, hint="then copy its folder")
    if not directory.exists():
        return
    if not directory.is_dir():
        raise UsageError("a folder is needed for the report, this is a file", where=str(directory))
    ours = {name + ending for name in (*NAMES, *FILES) for ending in ("", PARTIAL)}
    foreign = sorted(path.name for path in directory.iterdir() if path.name not in ours)
    foreign += foreign_files(directory)
    if foreign:
        hint = "choose a new or empty folder"
        raise UsageError(f"the folder holds other files, such as {foreign[0]}", where=str(directory), hint=hint)


def _reason(error: OSError) -> str:
    """Return what the system says; ``shutil`` gathers several such errors in one."""
    return error.strerror or str(error.args[0][0][-1])


def _json(report: Mapping[str, Any], directory: Path) -> str:
    try:
        return json.dumps(report, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    except ValueError:
        raise MergeError("a number of the report is nan or infinite", where=str(directory)) from None


@contextmanager
def _made(directory: Path) -> Iterator[None]:
    """Make a folder where it is not there; when what follows fails, nothing unfinished stays, nor an empty folder."""
    is_new = not directory.exists()
    try:  # an interrupt may come as soon as the folder is there
        directory.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        drop_staged(directory)
        if is_new:
            with suppress(OSError):
                directory.rmdir()
        raise


def _replace(texts: Mapping[Path, str]) -> None:
    """Write all files beside their places, then rename them. Raises OSError; then nothing stays beside them."""
    partial = {path: path.with_name(path.name + PARTIAL) for path in texts}
    try:
        for path, text in texts.items():
            partial[path].write_text(text, encoding="utf-8", newline="\n")
        with uninterrupted():
            for path in texts:
                partial[path].replace(path)
    finally:
        for path in partial.values():
            path.unlink(missing_ok=True)
