"""The shape of what ``merge push`` prints with ``--json``."""

from __future__ import annotations

from typing_extensions import TypedDict


class PushedFile(TypedDict):
    """One file of the commit."""

    name: str
    bytes: int


class PushDocument(TypedDict):
    """What ``merge push`` prints; ``commit`` and ``url`` are null where nothing was sent."""

    out: str
    repository: str
    revision: str
    private: bool
    message: str
    files: list[PushedFile]
    removed: list[str]
    left_out: list[str]
    local_paths_in_card: list[str]
    commit: str | None
    url: str | None
