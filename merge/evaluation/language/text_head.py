"""Fixed heads over features of texts, from a file or from a model of the hub."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ...errors import UsageError
from ...section import Section
from ..heads import FixedHead, Head, read_head, read_head_name
from ..hub import fetch, is_hub_id

HUB = "hub:"


def read_text_head(section: Section, folder: Path) -> Head | None:
    """Read which head a benchmark names, if any: ``FILE#TENSOR``, or ``hub:ORG/NAME@REVISION#TENSOR``.

    Raises:
        UsageError: With the place of what is wrong.
    """
    if "head" not in section.mapping:
        return None
    label = section.text("head", "")
    if not label.startswith(HUB):
        head = read_head_name(section, folder)
        assert isinstance(head, Head)  # noqa: S101 -- a text names one
        return head
    place, _, name = label.removeprefix(HUB).rpartition("#")
    if not name or not is_hub_id(place):
        hint = "write hub:ORG/NAME#TENSOR"
        raise UsageError(f"head '{label}' names no tensor of a model", where=section.where("head"), hint=hint)
    return Head(path=Path(place), name=name, label=label, where=section.where("head"))


def load_text_head(head: Head, device: str) -> FixedHead:
    """Read a head as float32, fetching its model first where it is one of the hub.

    Raises:
        UsageError: There is no such tensor, or not one of a head's shape.
        MergeError: The model cannot be fetched.
    """
    if head.label.startswith(HUB):
        head = replace(head, path=fetch(str(head.path)))
    return read_head(head, None, device)
