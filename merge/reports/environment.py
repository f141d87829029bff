"""The versions that numbers depend on."""

from __future__ import annotations

import platform
import sys
from importlib import metadata

from ..version import __version__

LIBRARIES = ("numpy", "torch", "transformers", "safetensors", "scikit-learn", "scipy")


def peak_memory() -> int | None:
    """Return the most bytes of memory that this process has held so far, or None where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


def describe_environment() -> dict[str, str]:
    """Return the versions of this tool, of Python and of the installed libraries that do the arithmetic."""
    versions = {"merge": __version__, "python": platform.python_version(), "platform": platform.system()}
    for library in LIBRARIES:
        try:
            versions[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    return versions
