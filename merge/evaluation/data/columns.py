"""Which columns of a table hold the images and the labels, and in which form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from ...errors import UsageError, suggest

Form = Literal["feature", "bytes", "arrays"]
USUAL = ("images", "labels")  # what columns are called unless the benchmark says otherwise
BYTES = ("binary", "large_binary")


def find_column(features: Mapping[str, Any], name: str, others: Sequence[str], where: str) -> str:
    """Return the column of a name; the usual names stand for their singulars too.

    Raises:
        UsageError: There is none.
    """
    for known in (name, *others) if name in USUAL else (name,):
        if known in features:
            return known
    hint = suggest(name, features) or f"columns: {', '.join(features)}"
    raise UsageError(f"no column '{name}'", where=where, hint=hint)


def image_form(feature: Any, name: str, where: str) -> Form:
    """Tell in which form a column holds images.

    Returns:
        ``feature``: Image of the library datasets; ``bytes``: bytes of files, or mappings that have them under
        ``bytes``; ``arrays``: pixels.

    Raises:
        UsageError: It holds something else.
    """
    if type(feature).__name__ == "Image":
        return "feature"
    holder = feature.get("bytes") if isinstance(feature, Mapping) else feature
    if getattr(holder, "dtype", None) in BYTES:
        return "bytes"
    if inner_type(feature) != getattr(feature, "dtype", None) and inner_type(feature) is not None:
        return "arrays"
    what = f"the column '{name}' holds {_short(feature)}; encoded images or arrays of pixels are expected"
    raise UsageError(what, where=where)


def classes_of(feature: Any, name: str, where: str) -> tuple[str, ...] | None:
    """Return the names of the classes that a column of labels has, if any.

    Raises:
        UsageError: The column holds no whole numbers.
    """
    names = getattr(feature, "names", None)
    if names is None and "int" not in str(getattr(feature, "dtype", "")):
        hint = "store class numbers from 0, or cast the column to ClassLabel"
        raise UsageError(f"the column '{name}' holds {_short(feature)}, not class numbers", where=where, hint=hint)
    return tuple(names) if names else None


def inner_type(feature: Any) -> str | None:
    """Return the type of the numbers in a column of lists or arrays, or None where it holds no numbers."""
    while (inside := getattr(feature, "feature", None)) is not None:
        feature = inside
    dtype = str(getattr(feature, "dtype", ""))
    return dtype if dtype.startswith(("uint", "int", "float")) else None


def _short(feature: Any) -> str:
    dtype = getattr(feature, "dtype", None)
    return f"values of type {dtype}" if dtype and not isinstance(feature, Mapping) else type(feature).__name__
