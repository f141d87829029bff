"""A recipe: what to merge and how, as plain data. Flags, YAML and the Python API all end in one of these."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from .errors import UsageError, suggest
from .vocabulary.request import TokenizerRequest

if TYPE_CHECKING:
    from .checkpoints.address import OutputPath

Policy = Literal["error", "base", "skip", "average-present"]
POLICIES: tuple[Policy, ...] = ("error", "base", "skip", "average-present")
Overflow = Literal["error", "saturate"]
OVERFLOWS: tuple[Overflow, ...] = ("error", "saturate")
Rounded = Literal["nearest", "stochastic"]
ROUNDINGS: tuple[Rounded, ...] = ("nearest", "stochastic")
OptionValue = Any  # a scalar, or a list of numbers interpolated over depth
Choice = TypeVar("Choice", bound=str)
DEFAULT_SHARD_BYTES = 5 * 10**9


class Placed(dict[str, OptionValue]):
    """Options as a file gives them, with the ``recipe.yaml:line:column`` of each."""

    def __init__(self, options: Mapping[str, OptionValue], places: Mapping[str, str]) -> None:
        super().__init__(options)
        self.places = dict(places)


def place_of(options: Mapping[str, OptionValue], name: str, otherwise: str | None) -> str | None:
    """Return where an option was given, if a file gave it."""
    return options.places.get(name, otherwise) if isinstance(options, Placed) else otherwise


@dataclass(frozen=True)
class LayerRule:
    """Options for the tensors whose names match; ``keep`` copies them from the base instead.

    Attributes:
        match: A glob, or a regular expression between slashes.
        where: ``recipe.yaml:12:5``, for messages.
        models: Per-model options, one mapping for each model; empty where the models' own ones count.
    """

    match: str
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    keep: bool = False
    where: str | None = None
    models: tuple[Mapping[str, OptionValue], ...] = ()


@dataclass(frozen=True)
class Alignment:
    """A model whose units are brought into the order of another model's.

    Attributes:
        model: The model that is moved.
        to: The model whose order it takes.
        options: How the order is found; see `AlignmentOptions`.
        permutations: File that holds the order already.
        groups: File that says which axes of which tensors carry the same units.
        data: Data to find the order by, for matching by activations or gradients.
    """

    model: Model
    to: Model
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    permutations: str | None = None
    groups: str | None = None
    data: str | None = None
    where: str | None = None


@dataclass(frozen=True)
class Model:
    """One model of a merge: a location, tensors in memory, or something of its own; with its per-model options.

    Attributes:
        model: Where it is; or the tensors; or a merge, or an alignment, whose outcome it is.
        statistics: Files with what the method must learn from data, or their tensors in memory, by kind: ``fisher``,
            ``gram``.
        data: Data to compute them from, where there are none.
    """

    model: str | Mapping[str, Any] | Merge | Alignment
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    where: str | None = None
    statistics: Mapping[str, str | Mapping[str, Any]] = field(default_factory=dict)
    data: str | None = None


def named(model: Model, kind: str) -> str:
    """Return what a recipe calls a model, or its statistics or order of a kind."""
    if kind == "permutations" and isinstance(model.model, Alignment):
        return str(model.model.permutations)
    return str(model.statistics[kind] if kind else model.model)


@dataclass(frozen=True)
class Merge:
    """A method over models.

    Attributes:
        then: Methods over one task vector, applied in turn to outcome minus base.
        calibration: Options with which statistics are computed from data, where some are.
    """

    method: str
    models: tuple[Model, ...]
    base: Model | None = None
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    layers: tuple[LayerRule, ...] = ()
    then: tuple[tuple[str, Mapping[str, OptionValue]], ...] = ()
    where: str | None = None
    calibration: Mapping[str, OptionValue] = field(default_factory=dict)

    @property
    def parts(self) -> dict[str, Model]:
        """The models by their numbers, counted from 1, and ``base``, where there is one."""
        numbered = {str(number): model for number, model in enumerate(self.models, start=1)}
        return numbered | ({"base": self.base} if self.base is not None else {})

    def with_parts(self, parts: Mapping[str, Model]) -> Merge:
        """Return the merge with other models and another base, under the names that `parts` gives them."""
        models = tuple(parts[str(number)] for number in range(1, len(self.models) + 1))
        return replace(self, models=models, base=parts.get("base"))


@dataclass(frozen=True)
class Output:
    """Where the result goes and in which form.

    Attributes:
        path: On this machine or elsewhere.
        dtype: A format code such as ``BF16``; None where every tensor keeps its own.
        tokenizer: The tokenizer that it gets, where models of different vocabularies are merged.
        chat_template: ``auto``, the name of a template, or a template; None where it is copied with the tokenizer.
        overflow: What happens to a finite result beyond the largest number of its type: ``saturate`` makes it that.
        rounding: To types of at most 16 bits: to nearest even, or by chance to one of the two neighbours, so that the
            mean is kept. Wider types are rounded to nearest.
    """

    path: OutputPath | None = None
    dtype: str | None = None
    max_shard_size: int = DEFAULT_SHARD_BYTES
    tokenizer: TokenizerRequest | None = None
    chat_template: str | None = None
    overflow: Overflow = "error"
    rounding: Rounded = "nearest"


@dataclass(frozen=True)
class Recipe:
    """A whole merge: the tree of methods, the policies, the output, and what to do afterwards.

    Attributes:
        keep: Patterns of tensors that come from the base (or the first model) untouched.
        missing: What happens to a tensor that only some models have.
        mismatch: What happens to a tensor whose shapes differ.
        evaluate: Benchmarks to run on the result.
        report: Folder for the report.
        folder: Folder from which relative paths in the recipe count; None is the current one.
        data_use: Which data the weights in the recipe were found with: ``none``, ``held-out`` …
        remarks: What the model card says about how they were found.
        notes: What is to be said of it to whoever runs it; the plan's notes begin with them.
        warnings: What whoever runs it should look at; the plan's warnings begin with them.
    """

    merge: Merge
    keep: tuple[str, ...] = ()
    missing: Policy = "error"
    mismatch: Policy = "error"
    seed: int = 0
    output: Output = field(default_factory=Output)
    evaluate: tuple[str, ...] = ()
    report: Path | None = None
    name: str | None = None
    folder: Path | None = None
    data_use: str = "none"
    remarks: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def choose(name: str, value: object, choices: tuple[Choice, ...], *, where: str | None = None) -> Choice:
    """Return the choice that a key or a flag names.

    Raises:
        UsageError: There is no such choice.
    """
    for choice in choices:
        if value == choice:
            return choice
    what = f"{name} must be one of {', '.join(choices)}, not '{value}'"
    raise UsageError(what, where=where, hint=suggest(str(value), choices))


_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


def parse_size(text: str | int, *, where: str | None = None) -> int:
    """Turn ``5GB``, ``200MiB`` or a number of bytes into bytes.

    Raises:
        UsageError: For anything else, and for less than one byte.
    """
    match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([A-Za-z]*)\s*", str(text))
    size = float(match[1]) * _UNITS.get(match[2].upper(), 0) if match else 0
    if not 1 <= size < float("inf"):
        raise UsageError(f"'{text}' is no size", where=where, hint="write 5GB, 200MB or a number of bytes")
    return int(size)
