"""The tensors of an adapter, sorted by what they are and freed of what PEFT puts around their names."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from ..checkpoints.header import TensorInfo
from ..errors import MergeError

_PREFIX = "base_model.model."
_FACTOR = re.compile(
    r"(?P<module>.+)\.(?P<part>lora_A|lora_B|lora_embedding_A|lora_embedding_B|lora_magnitude_vector"
    r"|hada_(?:w[12]_[ab]|t[12])|lokr_(?:w[12](?:_[ab])?|t2))"
    r"(?:\.(?P<name>(?!weight$|bias$)[^.]+))?(?:\.(?P<leaf>weight|bias))?"
)
_TOKENS = re.compile(r"(?P<module>.+?)(?:\.token_adapter)?\.trainable_tokens_delta(?:\.(?P<name>[^.]+))?")
_SAVED = re.compile(r"(?P<module>.+)\.modules_to_save(?:\.(?P<name>[^.]+))?\.(?P<leaf>[^.]+)")


@dataclass
class Contents:
    """What an adapter holds.

    Attributes:
        factors: By module, its ``lora_A``, ``lora_B`` … and ``lora_B.bias``.
        tokens: By module, rows of an embedding that were trained.
        whole: By name in the model, tensors that were trained whole.
    """

    factors: dict[str, dict[str, TensorInfo]] = field(default_factory=dict)
    tokens: dict[str, TensorInfo] = field(default_factory=dict)
    whole: dict[str, TensorInfo] = field(default_factory=dict)


def sort_contents(tensors: Mapping[str, TensorInfo], where: str) -> Contents:
    """Sort an adapter's tensors by their names, with or without ``base_model.model.`` and an adapter's name.

    Raises:
        MergeError: It holds several adapters, or one tensor under two names.
    """
    names = {key: key.removeprefix(_PREFIX) for key in tensors}
    names = {key: name for key, name in names.items() if not _is_copy(name, names.values())}
    matches = {
        key: _FACTOR.fullmatch(name) or _TOKENS.fullmatch(name) or _SAVED.fullmatch(name) for key, name in names.items()
    }
    _check_one_adapter({match["name"] for match in matches.values() if match}, where)
    found = Contents()
    for key, match in matches.items():
        tensor = tensors[key]
        place, short = _place(match, found) if match else (found.whole, _freed(names[key]))
        if short in place:
            raise MergeError(f"holds the tensor '{key}' twice, once under another name", where=where)
        place[short] = tensor
    return found


def _is_copy(name: str, names: Collection[str]) -> bool:
    """Tell whether a tensor is the base's own, or there under its own name too: PEFT saves both with ``bias: all``."""
    if ".original_module." in name:
        return True
    module, _, rest = name.partition(".modules_to_save.")  # then the adapter's name in some versions, then a tensor's
    return bool(rest) and any(f"{module}.{end}" in names for end in (rest, rest.partition(".")[2]))


def _place(match: re.Match[str], found: Contents) -> tuple[dict[str, TensorInfo], str]:
    """Return the mapping that a tensor belongs into, and its name there."""
    module = _freed(match["module"])
    if match.re is _TOKENS:
        return found.tokens, module
    if match.re is _SAVED:
        return found.whole, f"{module}.{match['leaf']}"
    leaf = ".bias" if match["leaf"] == "bias" else ""
    return found.factors.setdefault(module, {}), match["part"] + leaf


def _freed(name: str) -> str:
    """Return a name without the parts that stand for PEFT's wrappers."""
    return ".".join(part for part in name.split(".") if part != "base_layer")


def _check_one_adapter(names: set[str | None], where: str) -> None:
    listed = sorted(name for name in names if name is not None)
    if len(listed) > 1:
        hint = "save each one in a folder of its own"
        raise MergeError(f"holds several adapters: {', '.join(listed)}", where=where, hint=hint)
