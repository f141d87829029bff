"""Names of models and benchmarks as names of files."""

from __future__ import annotations

from ..content_id import digest

LONGEST = 180  # bytes; file systems take 255, and endings and dates come on top


def file_name(text: str) -> str:
    """Return a text as it is, or where it is too long its beginning with a digest of the whole."""
    encoded = text.encode(errors="surrogateescape")
    if len(encoded) <= LONGEST:
        return text
    ending = digest(encoded).hex()[:16]
    return f"{encoded[: LONGEST - len(ending) - 1].decode(errors='ignore')}-{ending}"
