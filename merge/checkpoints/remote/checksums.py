"""Checksums of whole files that stores state, and how they are computed here."""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from ..files import Buffer

SHA256 = "sha256"
_OF_S3 = {"ChecksumSHA256": SHA256, "ChecksumSHA1": "sha1", "ChecksumCRC32": "crc32"} | {
    f"Checksum{name.upper()}": name for name in ("crc32c", "crc64nvme")
}


class Stated(NamedTuple):
    """A checksum as a store states it.

    Attributes:
        algorithm: Its name in lower case.
        value: In hexadecimal digits.
    """

    algorithm: str
    value: str


class Hasher(Protocol):
    """Takes a file's bytes in order."""

    def update(self, data: Buffer, /) -> None:
        """Take the bytes that follow."""

    def hexdigest(self) -> str:
        """Return the checksum of what was taken, in hexadecimal digits."""


class _Cyclic:
    """A cyclic redundancy check as a hasher.

    Args:
        step: Returns the check of bytes that follow others, by the check of these.
        digits: Hexadecimal digits of its value.
    """

    def __init__(self, step: Callable[[Any, int], int], digits: int) -> None:
        self._step, self._digits, self._value = step, digits, 0

    def update(self, data: Buffer, /) -> None:
        """Take the bytes that follow."""
        self._value = self._step(data, self._value)

    def hexdigest(self) -> str:
        """Return the check of what was taken."""
        return f"{self._value:0{self._digits}x}"


def hasher(algorithm: str) -> Hasher | None:
    """Return what computes a checksum, or None where nothing installed does so at a bearable speed."""
    if algorithm in (SHA256, "sha1", "md5"):
        return hashlib.new(algorithm, usedforsecurity=algorithm == SHA256)
    if algorithm == "crc32":
        return _Cyclic(zlib.crc32, 8)
    try:
        from awscrt import checksums  # type: ignore[import-not-found,unused-ignore]  # comes with botocore[crt]
    except ImportError:
        return None
    steps = {"crc32c": (checksums.crc32c, 8), "crc64nvme": (getattr(checksums, "crc64nvme", None), 16)}
    step, digits = steps.get(algorithm, (None, 0))
    return _Cyclic(lambda data, value: step(bytes(data), value), digits) if step else None


def stated_by_s3(described: Mapping[str, Any]) -> Stated | None:
    """Return the checksum of the whole object that S3 states, or None where it states none, or one of parts.

    An ETag is not taken for one: what it is depends on the store, on encryption and on how the object was uploaded.
    """
    if described.get("ChecksumType") == "COMPOSITE":
        return None
    for key, algorithm in _OF_S3.items():
        value = described.get(key)
        if value and "-" not in value and hasher(algorithm) is not None:
            return Stated(algorithm, base64.b64decode(value).hex())
    return None


def stated_by_google(described: Mapping[str, Any]) -> Stated | None:
    """Return the MD5 that Google's store states, or None for an object that was composed of others."""
    value = described.get("md5Hash")
    return Stated("md5", base64.b64decode(value).hex()) if value else None
