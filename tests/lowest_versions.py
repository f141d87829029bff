"""Print the lowest versions that pyproject.toml allows, as constraints.

``python tests/lowest_versions.py > lowest.txt`` and then ``uv pip install -e '.[dev]' -c lowest.txt`` make the oldest
environment that is promised to work; pip would find it too, after very long. Tools of development alone are left free:
nobody runs them but us.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Any

PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"
_NOT_FOR_USERS = {"dev", "docs"}


def requirements(project: dict[str, Any]) -> list[str]:
    """Return what users install: the dependencies and those of every extra."""
    extras = project["optional-dependencies"]
    return project["dependencies"] + [one for name in extras if name not in _NOT_FOR_USERS for one in extras[name]]


def lowest(requirement: str) -> str:
    """Turn ``numpy>=2.0`` into ``numpy==2.0``."""
    name, _, version = requirement.partition(">=")
    if not version or any(sign in version for sign in ",;<=!~ "):
        raise ValueError(f"'{requirement}' in pyproject.toml is not NAME>=VERSION")
    return f"{name}=={version}"


def constraints() -> list[str]:
    """Return one line for pip for each requirement."""
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    return sorted({lowest(requirement) for requirement in requirements(project)}, key=str.lower)


if __name__ == "__main__":
    sys.stdout.write("\n".join(constraints()) + "\n")
