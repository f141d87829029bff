"""``corruption`` and ``corruptions`` of a benchmark file: the same images under noise, blur, weather and compression.

``corruption: {name: fog, severity: 3}`` lays one over a benchmark's images. ``corruptions: {names: …, severities: …}``
adds to the clean benchmark one more for every corruption and severity, called ``digits/fog/3``. With ``names:
medmnist-c`` these are the corruptions of MedMNIST-C, read from its own files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from ..errors import UsageError, suggest
from ..section import Section
from .data.shared import Shared
from .data_source import Corruption, DataSource, PublishedCorruption
from .task import Benchmark

KEYS = ("corruption", "corruptions")
ALL = "all"
PUBLISHED = "medmnist-c"


def take_corruptions(section: Section) -> tuple[Section, tuple[Corruption, ...]]:
    """Split a benchmark into what its kind reads, and the corruptions to lay over its images.

    Returns:
        The section without its two keys, and the corruptions: of ``corruptions`` they carry the benchmark's name.

    Raises:
        UsageError: With the place of what is wrong.
    """
    found = [key for key in KEYS if key in section.mapping]
    if len(found) > 1:
        raise UsageError("give 'corruption', which is one, or 'corruptions'", where=section.where(KEYS[1]))
    corruptions = tuple(_READERS[found[0]](section)) if found else ()
    return Section(section.name, _without(section.mapping, found)), corruptions


def lay_over(benchmark: Benchmark, corruptions: Sequence[Corruption], where: str) -> list[Benchmark]:
    """Return a benchmark under one corruption, or the clean one followed by those under several.

    Raises:
        UsageError: The benchmark has no images.
    """
    data = getattr(benchmark, "data", None)
    if not isinstance(data, DataSource):
        raise UsageError(f"a benchmark of kind '{benchmark.kind}' has no images to corrupt", where=where)
    if corruptions[0].benchmark is None:
        return [_with_data(benchmark, benchmark.name, replace(data, corruption=corruptions[0]))]
    if not isinstance(corruptions[0], PublishedCorruption):
        data = replace(data, shared=Shared(users=1 + len(corruptions)))
    named = {f"{benchmark.name}/{one.name}/{one.severity}": one for one in corruptions}
    laid = [
        _with_data(benchmark, name, replace(data, corruption=one._replace(benchmark=benchmark.name)))
        for name, one in named.items()
    ]
    return [_with_data(benchmark, benchmark.name, data), *laid]


def corruption_of(benchmark: Benchmark) -> Corruption | None:
    """Return what is laid over the images of a benchmark, if anything."""
    data = getattr(benchmark, "data", None)
    return data.corruption if isinstance(data, DataSource) else None


def _with_data(benchmark: Benchmark, name: str, data: DataSource) -> Benchmark:
    return cast("Benchmark", replace(cast("Any", benchmark), name=name, data=data))


def _read_one(section: Section) -> list[Corruption]:
    given = section.section("corruption")
    given.check_keys(("name", "severity"), required=("name", "severity"))
    name, severity = given.mapping["name"], given.mapping["severity"]
    return [Corruption(_name(name, given.where("name")), _severity(severity, given.where("severity")))]


def _read_several(section: Section) -> list[Corruption]:
    from .corruptions import NAMES, SEVERITIES

    given = section.section("corruptions")
    given.check_keys(("names", "severities"), required=("names", "severities"))
    published = given.mapping["names"] == PUBLISHED
    names = _published(section, given) if published else [_name(*item) for item in _listed(given, "names", NAMES)]
    severities = [_severity(*item) for item in _listed(given, "severities", SEVERITIES)]
    for key, values in (("names", names), ("severities", severities)):
        if len({*values}) < len(values) or not values:
            raise UsageError(f"'{key}' is empty or repeats itself", where=given.where(key))
    kind = PublishedCorruption if published else Corruption
    return [kind(name, severity, "") for name in names for severity in severities]


def _published(section: Section, given: Section) -> list[str]:
    """Return the corruptions that MedMNIST-C has of the benchmark's data."""
    from .data.medmnist_c import corruptions_of

    text = section.section("data").text("path", "-") if "data" in section.mapping else "-"
    return [*corruptions_of(text, given.where("names"))]


def _listed(given: Section, key: str, known: Sequence[Any]) -> list[tuple[Any, str]]:
    """Return the items of a list with their places; ``all`` stands for every one there is."""
    if given.mapping[key] == ALL:
        return [(item, given.where(key)) for item in known]
    return list(given.items(key))


def _name(name: object, where: str) -> str:
    from .corruptions import NAMES

    if name not in NAMES:
        hint = suggest(name, NAMES) or f"there are: {', '.join(NAMES)}"
        raise UsageError(f"no corruption '{name}'", where=where, hint=hint)
    return str(name)


def _severity(severity: object, where: str) -> int:
    from .corruptions import SEVERITIES

    if not isinstance(severity, int) or isinstance(severity, bool) or severity not in SEVERITIES:
        hint = "1 is the mildest, 5 the most severe"
        raise UsageError(f"no severity {severity!r}", where=where, hint=hint)
    return int(severity)


def _without(mapping: Any, keys: Sequence[str]) -> Any:
    """Return a mapping without some keys, which still knows the lines of the others."""
    from copy import copy

    if not keys:
        return mapping
    rest = copy(mapping)
    for key in keys:
        del rest[key]
    return rest


_READERS = {"corruption": _read_one, "corruptions": _read_several}
