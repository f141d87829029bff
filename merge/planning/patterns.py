"""Patterns of tensor names: globs, regular expressions between slashes, and named blocks of diffusion models."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable

from ..errors import UsageError

BLOCK_PREFIX = "block:"
Test = Callable[[str], object]


def compile_pattern(pattern: str, where: str | None = None) -> Test:
    """Turn a glob, a regular expression between slashes, or ``block:IN04`` into a test of a tensor name.

    What the names of blocks mean depends on the model, so that `within` must be asked for the test proper.

    Raises:
        UsageError: When the expression is broken, or there is no such block.
    """
    if len(pattern) > 1 and pattern[0] == pattern[-1] == "/":
        try:
            return re.compile(pattern[1:-1]).search
        except re.error as error:
            raise UsageError(f"'{pattern}' is no regular expression: {error}", where=where) from None
    if pattern.startswith(BLOCK_PREFIX):
        from ..diffusion.block_patterns import BlockPattern

        return BlockPattern(pattern, where)
    return re.compile(fnmatch.translate(pattern)).match


def within(test: Test, names: Iterable[str]) -> Test:
    """Return a compiled pattern as it is meant among the names of one model.

    Raises:
        UsageError: It names blocks that the model does not have.
    """
    narrowed: Callable[[Iterable[str]], Test] | None = getattr(test, "within", None)
    return test if narrowed is None else narrowed(names)
