"""The modules of a model under mergekit's names, found in the names of its tensors.

mergekit has names of its own for some architectures (`text_decoder`, `vision_tower` …); for others it names modules by
what stands in front of their layers' numbers, and `default` is all the rest. Both are known here for every model.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from ..planning.patterns import compile_pattern
from .outline import layer_stacks

DEFAULT = "default"
_PROJECTOR = r"(?:^|\.)(?:multi_modal_projector|mm_projector|visual\.(?:merger|deepstack_merger_list))\."
_TOWERS = {"vision_tower": r"(?:^|\.)(?:vision_tower|visual)\.", "vision_model": r"(?:^|\.)vision_model\."}
_LANGUAGE = r"(?:^|\.)language_model\.|^(?:model\.)?(?:layers|embed_tokens)\."
_HALVES = {"encoder": r"^(?:model\.)?encoder\.", "decoder": r"^(?:model\.)?decoder\."}


def module_patterns(names: Iterable[str]) -> dict[str, str]:
    """Return a pattern for the tensors of each module, as our own grammar has patterns."""
    listed = list(names)
    stacks = [f"{prefix}." for prefix in sorted(layer_stacks(listed))]
    found = _named(listed)
    if len(stacks) > 1:
        found |= {prefix[:-1]: _pattern([prefix]) for prefix in stacks} | {DEFAULT: _pattern([], but=stacks)}
    else:
        found[DEFAULT] = "*"
    return {name: pattern for name, pattern in found.items() if any(map(compile_pattern(pattern), listed))}


def find_module(name: str, known: Iterable[str]) -> str | None:
    """Return the one of some modules that a recipe means.

    mergekit goes by names in memory, where transformers 5 has ``model.language_model.layers``, and in files
    ``language_model.model.layers``.
    """
    listed = list(known)
    alike = [one for one in listed if _bare(one) == _bare(name)]
    return name if name in listed else alike[0] if len(alike) == 1 else None


def _bare(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in {"model", "vision_model"})


def has_modules(names: Iterable[str]) -> bool:
    """Tell whether a model consists of modules for which mergekit has names, each with layers of its own."""
    return bool(_named(list(names)))


def rest_of(patterns: Mapping[str, str], names: Iterable[str]) -> list[str]:
    """Return the tensors that are in none of these modules."""
    tests = [compile_pattern(pattern) for pattern in patterns.values()]
    return [name for name in names if not any(test(name) for test in tests)]


def _named(names: Sequence[str]) -> dict[str, str]:
    """Return the modules of architectures for which mergekit has names."""
    halves = {name: _starts(names, pattern) for name, pattern in _HALVES.items()}
    if all(halves.values()):
        both = [start for starts in halves.values() for start in starts]
        return {name: _pattern(starts) for name, starts in halves.items()} | {"shared": _pattern([], but=both)}
    towers = {name: starts for name, pattern in _TOWERS.items() if (starts := _starts(names, pattern))}
    if not towers or not _starts(names, _LANGUAGE):
        return {}
    (called, tower), *_ = towers.items()
    projector = _starts(names, _PROJECTOR)
    within = [start for start in projector if start.startswith(tuple(tower))]
    found = {"text_decoder": _pattern([], but=[*projector, *tower])}
    found |= {"multi_modal_projector": _pattern(projector)} if projector else {}
    return found | {called: _pattern(tower, but=within)}


def _starts(names: Iterable[str], pattern: str) -> list[str]:
    """Return how names begin that match, up to the end of the match."""
    test = re.compile(pattern)
    return sorted({name[: match.end()] for name in names if (match := test.search(name))})


def _pattern(starts: Sequence[str], but: Sequence[str] = ()) -> str:
    """Return a pattern for names that begin in one of these ways, and in none of those."""
    if len(starts) == 1 and not but:
        return f"{starts[0]}*"
    without = f"(?!{_one_of(but)})" if but else ""
    return f"/^{without}{f'(?:{_one_of(starts)})' if starts else ''}/"


def _one_of(starts: Iterable[str]) -> str:
    return "|".join(map(re.escape, starts))
