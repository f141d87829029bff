"""The versions that numbers depend on."""

from __future__ import annotations

import platform
from importlib import metadata

from ..version import __version__

LIBRARIES = ("numpy", "torch", "transformers", "safetensors", "scikit-learn", "scipy")


def describe_environment() -> dict[str, str]:
    """Return the versions of this tool, of Python and of the installed libraries that do the arithmetic."""
    versions = {"merge": __version__, "python": platform.python_version(), "platform": platform.system()}
    for library in LIBRARIES:
        try:
            versions[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    return versions
