"""The names of types in mergekit's recipes."""

from __future__ import annotations

from ..errors import UsageError, suggest
from ..section import Section

TYPES = {"bfloat16": "BF16", "float16": "F16", "float32": "F32", "float64": "F64"}
_SHORT = {"bf16": "bfloat16", "fp16": "float16", "half": "float16", "fp32": "float32", "float": "float32"}


def read_type(section: Section) -> str | None:
    """Return the format code of the output's type: that of ``out_dtype``, or else of ``dtype``; None without either.

    Raises:
        UsageError: mergekit has no such type, or it is one of whole numbers.
    """
    codes = {key: _code(section, key) for key in ("dtype", "out_dtype") if section.mapping.get(key) is not None}
    return codes.get("out_dtype") or codes.get("dtype")


def _code(section: Section, key: str) -> str:
    name = section.text(key, "").removeprefix("torch.")
    if name in TYPES:
        return TYPES[name]
    where = section.where(key)
    if name == "int64":
        what = f"'{key}' must be a floating type, not whole numbers"
        raise UsageError(what, where=where, hint=f"one of {', '.join(TYPES)}")
    hint = f"did you mean '{_SHORT[name]}'?" if name in _SHORT else suggest(name, TYPES)
    raise UsageError(f"mergekit has no type '{name}'", where=where, hint=hint or f"one of {', '.join(TYPES)}")
