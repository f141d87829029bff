"""The configuration of a network that is wider than the one whose configuration it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

# What configurations of transformers call the width of the layers between two of the residual stream.
WIDTHS = (
    *("intermediate_size", "n_inner", "ffn_dim", "encoder_ffn_dim", "decoder_ffn_dim", "ffn_hidden_size"),
    *("mlp_dim", "d_ff", "hidden_dim", "ffn_embed_dim"),
)
_FOUR_TIMES = "n_inner"  # GPT-2's, which is four times n_embd where nothing is said
_PARTS = ("text_config", "vision_config", "audio_config", "encoder", "decoder")


class GroupWidth(NamedTuple):
    """How wide one group of units is: in a model, and in the wide network."""

    kind: str
    before: int
    after: int


def widened_config(config: Mapping[str, Any], widths: Sequence[GroupWidth]) -> dict[str, int] | None:
    """Return the numbers of a configuration that say how wide the network is; None where no number does.

    That is so where the widths of its layers differ, or other than its inner layers are widened.

    Args:
        config: The first model's config.json.
        widths: Of all groups.
    """
    changed = [width for width in widths if width.before != width.after]
    if not changed:
        return {}
    inner = {(width.before, width.after) for width in widths if width.kind == "mlp"}
    if len(inner) != 1 or any(width.kind != "mlp" for width in changed) or any(part in config for part in _PARTS):
        return None
    ((before, after),) = inner
    names = [name for name in WIDTHS if name in config and _stated(config, name) == before]
    return dict.fromkeys(names, after) or None


def _stated(config: Mapping[str, Any], name: str) -> object:
    if name == _FOUR_TIMES and config[name] is None and isinstance(config.get("n_embd"), int):
        return 4 * config["n_embd"]
    return config[name]


def joined_classes(first: Mapping[str, Any], second: Mapping[str, Any], counts: Sequence[int]) -> dict[str, Any]:
    """Return what a configuration says of its classes where the second model's follow the first's.

    Args:
        first: The first model's config.json.
        second: The second's.
        counts: How many classes each has.
    """
    if "architecture" in first:  # timm's
        names = [name for config in (first, second) for name in config.get("label_names") or ()]
        found: dict[str, Any] = {"num_classes": sum(counts)}
        return found | ({"label_names": names} if len(names) == sum(counts) else {})
    if not any(key in first for key in ("id2label", "num_labels", "architectures")):
        return {}
    labels = _distinct([_labels(config, count) for config, count in zip((first, second), counts, strict=True)])
    return {
        "id2label": {str(number): name for number, name in enumerate(labels)},
        "label2id": {name: number for number, name in enumerate(labels)},
    } | ({"num_labels": len(labels)} if "num_labels" in first else {})


def _labels(config: Mapping[str, Any], count: int) -> list[str | None]:
    """Return the names of a model's classes; None for one that has no name of its own."""
    given = config.get("id2label")
    names = [given.get(str(number)) for number in range(count)] if isinstance(given, Mapping) else [None] * count
    return [None if name == f"LABEL_{number}" else name for number, name in enumerate(names)]


def _distinct(both: Sequence[Sequence[str | None]]) -> list[str]:
    found: list[str] = []
    for model, names in enumerate(both, start=1):
        for name in names:
            plain = name or f"LABEL_{len(found)}"
            found.append(f"{plain} ({model})" if plain in found else plain)
    return found
