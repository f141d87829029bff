"""Patterns of tensor names: globs, and regular expressions between slashes."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable

from ..errors import UsageError


def compile_pattern(pattern: str, where: str | None = None) -> Callable[[str], object]:
    """Turn a glob, or a regular expression between slashes, into a test of a tensor name.

    Raises:
        UsageError: When the expression is broken.
    """
    if len(pattern) > 1 and pattern[0] == pattern[-1] == "/":
        try:
            return re.compile(pattern[1:-1]).search
        except re.error as error:
            raise UsageError(f"'{pattern}' is no regular expression: {error}", where=where) from None
    return re.compile(fnmatch.translate(pattern)).match
