"""What an answer says of the version of a file, and whether two answers speak of the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Version(NamedTuple):
    """What tells one version of a file from another; empty where the server does not say.

    Attributes:
        tag: The ETag.
        date: When the file was last modified, to a second.
        number: Of the version, in a store that keeps several.
    """

    tag: str = ""
    date: str = ""
    number: str = ""

    @property
    def is_strong(self) -> bool:
        """Whether the same ETag means the same bytes (RFC 9110, section 8.8.1)."""
        return bool(self.number or (self.tag and not self.tag.startswith("W/")))

    @property
    def name(self) -> str:
        """What stands for the version."""
        if self.is_strong:
            return f"{self.number} {self.tag}".strip()
        return f"{self.tag} {self.date}".strip()

    @property
    def doubt(self) -> str | None:
        """What cannot be told by it, in words for a note; None where every change shows."""
        if self.is_strong:
            return None
        if self.date or self.tag:
            by = "a date" if self.date else "a weak ETag"
            return f"the server tells versions apart by {by} alone, so a quick change while it is read may pass unseen"
        return "the server sends neither ETag nor date, so a change while it is read shows only by another size"

    def agrees(self, other: Version) -> bool:
        """Tell whether both may be of the same bytes.

        With a strong ETag that alone counts, since servers of one address may differ in their dates. What only one of
        the two answers says tells nothing.
        """
        if self.is_strong and other.is_strong:
            return self.name == other.name
        pairs = zip(self, other, strict=True)
        return all(own == its for own, its in pairs if own and its)

    def with_more(self, other: Version) -> Version:
        """Return this, with what only another answer says."""
        return Version(*(own or its for own, its in zip(self, other, strict=True)))


def version_of(headers: Mapping[str, str]) -> Version:
    """Return the version that an answer names; the mapping must not care for the case of names."""
    number = headers.get("x-amz-version-id") or headers.get("x-goog-generation") or ""
    return Version(headers.get("ETag", ""), headers.get("Last-Modified", ""), "" if number == "null" else number)
