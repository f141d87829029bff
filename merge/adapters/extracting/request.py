"""What is asked of an extraction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ...planning.patterns import compile_pattern
from ..low_rank.truncation import Truncation

if TYPE_CHECKING:
    from ...checkpoints.address import OutputPath

Embeddings = Literal["lora", "whole", "skip"]
EMBEDDINGS: tuple[Embeddings, ...] = ("lora", "whole", "skip")
AUTO = "auto"  # of --whole: everything that differs and that factors cannot hold


@dataclass(frozen=True)
class Extraction:
    """Which model less which, how far cut down, and what of it.

    Attributes:
        tuned: The tuned model's place.
        base: Its base's.
        truncation: What is kept of every matrix.
        out: Where the adapter goes; None for a dry run.
        dtype: Format code of the factors' type.
        embeddings: What becomes of the embeddings of tokens and of the output matrix.
        whole: Patterns of tensors that are saved whole; ``auto`` stands for all that factors cannot hold.
        only: Patterns of the modules that are taken; none for all.
        skip: Patterns of modules that are left out.
        folder: Folder from which the two places count; None is the current one.
    """

    tuned: str
    base: str
    truncation: Truncation
    out: OutputPath | None = None
    dtype: str = "F32"
    embeddings: Embeddings = "lora"
    whole: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    folder: Path | None = None

    def options(self) -> dict[str, Any]:
        """Return everything that decides about the adapter's numbers, as a recipe lists it."""
        cut = self.truncation
        found: dict[str, Any] = {"rank": cut.rank, "energy": cut.energy, "max_rank": cut.max_rank}
        found |= {"exact": cut.exact or None, "dtype": self.dtype, "embeddings": self.embeddings}
        found |= {"whole": list(self.whole), "only": list(self.only), "skip": list(self.skip)}
        return {name: value for name, value in found.items() if value not in (None, [])}


@dataclass(frozen=True)
class Selection:
    """The patterns of a request, compiled; each is tried on the name of a tensor and on that of its module.

    Raises:
        UsageError: A pattern is broken.
    """

    extraction: Extraction
    _tests: dict[str, list[Callable[[str], object]]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        asked = self.extraction
        lists = {"whole": [one for one in asked.whole if one != AUTO], "only": asked.only, "skip": asked.skip}
        tests = {kind: [compile_pattern(one, f"--{kind}") for one in patterns] for kind, patterns in lists.items()}
        object.__setattr__(self, "_tests", tests)

    @property
    def is_auto(self) -> bool:
        """Whether everything is saved whole that factors cannot hold."""
        return AUTO in self.extraction.whole

    def is_left_out(self, name: str, layer: str = "") -> bool:
        """Tell whether the user wants nothing of a tensor, or of one of its layers by the adapter's name for that."""
        return self._fits("skip", name, layer) or bool(self._tests["only"] and not self._fits("only", name, layer))

    def is_whole(self, name: str) -> bool:
        """Tell whether a pattern asks for a tensor to be saved whole."""
        return self._fits("whole", name)

    def _fits(self, kind: str, name: str, layer: str = "") -> bool:
        names = [name, name.rpartition(".")[0], *([layer] if layer else [])]
        return any(test(one) for test in self._tests[kind] for one in names)
