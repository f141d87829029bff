"""What becomes of the files beside the weights: copied, edited, left out, written anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Edit = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class Beside:
    """Changes to the files that are copied from the folder of the base or first model.

    Attributes:
        edits: By name of a JSON file, functions that return its object changed, applied in turn.
        leaves_out: Glob patterns of files that are not copied.
        files: By name, the bytes of files that are written; instead of a copy, where there is one.
    """

    edits: Mapping[str, Sequence[Edit]] = field(default_factory=dict)
    leaves_out: Sequence[str] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)

    def __or__(self, other: Beside) -> Beside:
        """Return the changes of both, those of the other one after these."""
        names = {*self.edits, *other.edits}
        edits = {name: (*self.edits.get(name, ()), *other.edits.get(name, ())) for name in sorted(names)}
        return Beside(edits, (*self.leaves_out, *other.leaves_out), {**self.files, **other.files})


AS_IT_IS = Beside()


def beside_of(source: Any) -> Beside:
    """Return what the sources that one is made from change in the files beside the weights, the lowest first."""
    below = getattr(source, "source", None)
    changes = AS_IT_IS if below is None else beside_of(below)
    return changes | getattr(source, "own_beside", AS_IT_IS)
