"""What a statistics file says of itself, in its metadata.

The file is safetensors. Its tensors go by the names of the checkpoint's parameters: Fisher information in the shape of
the parameter, Gram matrices [inputs, inputs], coefficients of task vectors [parts]. A file without metadata is taken as
it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import MergeError
from ..json_text import parse_json

KINDS = ("fisher", "gram", "coefficients", "joint")
# How a parameter's entries form a matrix [outputs, inputs]; a Linear's own form goes without saying.
IN_OUT = "in_out"  # GPT-2's Conv1D, projections: stored [inputs, outputs]
CONVOLUTION = "convolution"  # [outputs, channels, height, width]: inputs are the unfolded patches
AGAIN = "compute the file again"


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


_CHECKS: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("aliases", lambda value: isinstance(value, str), "no name of a tensor"),
    ("layout", lambda value: value in ["out_in", IN_OUT, CONVOLUTION], "no layout"),
    ("rows", _is_count, "no positive whole number"),
)


@dataclass(frozen=True)
class Facts:
    """The metadata of a statistics file.

    Attributes:
        kind: ``fisher``, ``gram`` or ``coefficients``; empty where the file does not say.
        model: Content id of the checkpoint; empty where the file does not say.
        aliases: Name of the tensor that serves a parameter, where it is another's: q, k and v share a Gram matrix.
        layout: Of parameters that are not stored [outputs, inputs].
        rows: Number of rows (tokens, patches) that a Gram matrix is the mean of, by the name of its tensor.
        data_use: ``unlabeled`` or ``labels``.
        about: Whatever else is recorded: data, samples, seed, options, convergence.
    """

    kind: str = ""
    model: str = ""
    aliases: Mapping[str, str] = field(default_factory=dict)
    layout: Mapping[str, str] = field(default_factory=dict)
    rows: Mapping[str, int] = field(default_factory=dict)
    data_use: str = "unlabeled"
    about: Mapping[str, Any] = field(default_factory=dict)

    def metadata(self) -> dict[str, str]:
        """Return the metadata as safetensors stores it: texts."""
        from ..provenance import DATA_USE_KEY, TOOL

        found = {"format": "pt", "kind": self.kind, "model": self.model, DATA_USE_KEY: self.data_use}
        mappings = {"aliases": self.aliases, "layout": self.layout, "rows": self.rows, "about": self.about}
        found |= {name: json.dumps(dict(value), sort_keys=True) for name, value in mappings.items()}
        return found | {"merge.tool": TOOL}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], where: str) -> Facts:
        """Read the metadata of a file that may have none.

        Raises:
            MergeError: It is broken.
        """
        found = {name: _mapping(metadata.get(name, "{}"), name, where) for name in ("aliases", "layout", "rows")}
        about = _mapping(metadata.get("about", "{}"), "about", where)
        for name, check, wanted in _CHECKS:
            wrong = next((entry for entry, value in found[name].items() if not check(value)), None)
            if wrong is not None:
                what = f"'{name}' in the metadata gives '{wrong}' {found[name][wrong]!r}, which is {wanted}"
                raise MergeError(what, where=where, hint=AGAIN)
        return cls(
            metadata.get("kind", ""),
            metadata.get("model", ""),
            found["aliases"],
            found["layout"],
            found["rows"],
            about=about,
        )


def _mapping(text: str, name: str, where: str) -> dict[str, Any]:
    try:
        found = parse_json(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise MergeError(f"'{name}' in the metadata is no JSON object", where=where, hint=AGAIN)
    return found
