"""A folder in the place of an architecture that holds a class of one's own: which name was meant?"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from .model_name import FORMS

MOST_BYTES = 1_000_000  # of a file that is looked into


def hint_for(folder: Path, label: str) -> str:
    """Return what to give in place of a folder without a configuration.

    Files of Python code are read and never run: a folder may be anybody's.

    Args:
        folder: Where it is.
        label: As the user wrote it.
    """
    found = next(_classes_in(folder), None) if folder.is_dir() else None
    return f"give {FORMS}" if found is None else f"did you mean {label.rstrip('/')}/{found}?"


def _classes_in(folder: Path) -> Iterator[str]:
    """Yield ``file.py:Class`` for every class of modules, by how it is written."""
    for path in sorted(folder.glob("*.py")):
        if path.is_file() and path.stat().st_size <= MOST_BYTES:
            yield from (f"{path.name}:{node.name}" for node in _classes(path) if _is_module(node))


def _classes(path: Path) -> list[ast.ClassDef]:
    try:
        return [node for node in ast.parse(path.read_bytes()).body if isinstance(node, ast.ClassDef)]
    except (OSError, SyntaxError, ValueError):  # no Python code, whatever its name says
        return []


def _is_module(node: ast.ClassDef) -> bool:
    return any(ast.unparse(base).endswith("Module") for base in node.bases)
