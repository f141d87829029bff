"""What a shell offers when TAB is pressed, beyond commands and flags: words, names of methods and benchmarks.

Most flags mean the same in every command, so one table by flag will do; options of methods bring their own words.
Where nothing is offered the shell completes files. Everything is looked up when a shell asks, and nothing heavy.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ..dtypes import float_names
from ..recipe import OVERFLOWS, POLICIES, ROUNDINGS
from .flags import ENGINES

Candidates = Callable[[str], Iterable[str]]  # what is typed so far -> candidates, of which Typer takes those that fit


def words(*choices: str) -> Candidates:
    """Return what offers these words."""

    def offer(incomplete: str) -> tuple[str, ...]:
        return choices

    return offer


def declared_names(incomplete: str) -> list[str]:
    """Offer the names of methods and of rules that join models at inference."""
    from ..bundles.rules import rule_names
    from ..registry import method_names

    return [*method_names(), *rule_names()]


def _method_names(incomplete: str) -> list[str]:
    from ..registry import method_names

    return method_names()


def _benchmarks(incomplete: str) -> list[str]:
    """Offer the bundled benchmarks and suites, and YAML files."""
    from ..evaluation.specification import suite_names

    folder, slash, _ = incomplete.rpartition("/")
    place = Path(folder + slash)
    files = sorted(place.iterdir()) if place.is_dir() else []
    return [*suite_names(), *(f"{folder}{slash}{path.name}" for path in files if path.suffix in {".yaml", ".yml"})]


def _definitions(incomplete: str) -> tuple[str, ...]:
    from ..search.barrier import DEFINITIONS

    return DEFINITIONS


def _samplers(incomplete: str) -> tuple[str, ...]:
    from ..search.samplers import SAMPLERS

    return SAMPLERS


def _embeddings(incomplete: str) -> tuple[str, ...]:
    from ..adapters.extracting.request import EMBEDDINGS

    return EMBEDDINGS


_BY_FLAG: dict[str, Candidates] = {
    "--missing": words(*POLICIES),
    "--mismatch": words(*POLICIES),
    "--overflow": words(*OVERFLOWS),
    "--rounding": words(*ROUNDINGS),
    "--dtype": words(*float_names()),
    "--device": words("auto", "cpu", "cuda"),
    "--engine": words(*ENGINES),
    "--benchmark": _benchmarks,
    "--report-benchmark": _benchmarks,
    "--method": _method_names,
    "--accept": words("ge", "gt"),
    "--ensemble": words("logits", "probs"),
    "--precision": words("float32", "bfloat16"),
    "--barrier": _definitions,
    "--sampler": _samplers,
    "--embeddings": _embeddings,
}


def with_candidates(function: Callable[..., None]) -> Callable[..., None]:
    """Return a command's function after its flags were told what to offer."""
    found = inspect.signature(function, eval_str=True)
    for parameter in found.parameters.values():
        for info in getattr(parameter.annotation, "__metadata__", ()):
            _tell(info)
    function.__signature__ = found  # type: ignore[attr-defined]
    function.__annotations__ = {name: parameter.annotation for name, parameter in found.parameters.items()}
    return function


def _tell(info: Any) -> None:
    """Give an option its candidates where it has none of its own."""
    names = (info.default, *(info.param_decls or ()))  # in an annotation the first name stands where a default would
    flag = next((name for name in names if isinstance(name, str) and name in _BY_FLAG), None)
    if flag is not None and info.autocompletion is None:
        info.autocompletion = _BY_FLAG[flag]
