"""What becomes of the files beside the weights of a wide network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..checkpoints.beside import AS_IT_IS, Beside
from ..checkpoints.components.declared import CONFIG
from .loader import OwnClass, loader_files
from .wide_config import GroupWidth, joined_classes, widened_config

if TYPE_CHECKING:
    from ..checkpoints.checkpoint import Source
    from .joint_file import Joint
    from .widths import Layout

OPEN_CLIP_CONFIG = "open_clip_config.json"
OWN_CLASS = "own_class"  # what joint statistics record of a class of the user's own


def group_widths(joint: Joint, layout: Layout) -> list[GroupWidth]:
    """Return the width of every group that no other one holds."""
    return [
        GroupWidth(group.kind, group.size, layout.splits[name].size if name in layout.splits else group.size)
        for name, group in joint.groups.groups.items()
        if group.parent is None
    ]


def beside_wide(
    first: Source,
    second: Source,
    joint: Joint,
    layout: Layout,
    outputs: Sequence[Sequence[int]],
    *,
    is_single_file: bool,
) -> Beside:
    """Return the changes: numbers of config.json, or files that load the network where those do not say enough.

    Args:
        first: The model whose files are copied.
        second: The other one.
        joint: What is known of both.
        layout: Where their units come to lie.
        outputs: First and last output of each model, where they lie side by side.
        is_single_file: Whether the output has no files beside its weights.
    """
    if is_single_file:
        return AS_IT_IS
    numbers = widened_config(first.config, group_widths(joint, layout))
    counts = [last - begin + 1 for begin, last in outputs]
    classes = joined_classes(first.config, second.config, counts) if counts else {}
    changes = (numbers or {}) | classes
    edits = {CONFIG: (lambda config: _changed(config, changes),)} if changes and first.config else {}
    return Beside(edits=edits, files={} if _describes(first.config, numbers) else _loader(first, joint))


def _describes(config: Mapping[str, Any], numbers: Mapping[str, int] | None) -> bool:
    """Tell whether a configuration, mended, is all that a library needs to load the network."""
    return numbers is not None and bool(config.get("model_type") or config.get("architecture")) and not _is_demo(config)


def _is_demo(config: Mapping[str, Any]) -> bool:
    return not (config.get("architectures") or config.get("architecture"))


def _changed(config: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in config.items() if key != "num_labels"}
    return (config if "id2label" not in changes else kept) | dict(changes)


def _loader(first: Source, joint: Joint) -> dict[str, bytes]:
    folder: Path | None = getattr(first, "folder", None)
    given = joint.facts.about.get(OWN_CLASS)
    own = OwnClass(**given) if isinstance(given, Mapping) else None
    is_open_clip = folder is not None and (folder / OPEN_CLIP_CONFIG).is_file()
    is_open_clip = is_open_clip and not first.config.get("architectures")
    return loader_files(first.config, own, is_open_clip=is_open_clip)
