"""What a recipe of mergekit asks for, before it is turned into options of ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from ..recipe import Merge, Model, Placed
from .methods import Known
from .settings import Choice, Settings


class Cut(NamedTuple):
    """Some layers of a model: from the first up to, not including, the last.

    Attributes:
        where: ``recipe.yaml:line:column``.
        whole: Whether these are all layers that the model has.
        prefix: What stands in front of their numbers in the model.
    """

    first: int
    last: int
    where: str
    whole: bool = False
    prefix: str = ""

    @property
    def text(self) -> str:
        """The range as our own grammar has it."""
        return f"{self.first}:{self.last}"


@dataclass(frozen=True)
class Member:
    """One model that is merged.

    Attributes:
        location: Path or hub id, or the name of another document of the file.
        where: ``recipe.yaml:line:column``.
        settings: Its own parameters.
        nested: What that other document merges.
        cut: The layers of it that are merged; None for all of the model.
    """

    location: str
    where: str
    settings: Settings = field(default_factory=dict)
    nested: Merge | None = None
    cut: Cut | None = None

    @property
    def whole(self) -> Model:
        """All of the model."""
        return Model(self.location if self.nested is None else self.nested, {}, self.where)


class Tensor(NamedTuple):
    """One tensor of an outcome.

    Attributes:
        name: Its name within the merge, whose layers are numbered from 0.
        output: Its name in the output, or the module of the output, by which parameters for all models are chosen.
        inputs: Its name in each model, by which the models' own parameters are chosen.
        depth: Where its layer lies among those of the merge, from 0 to 1; None outside the layers.
    """

    name: str
    output: str
    inputs: tuple[str, ...]
    depth: float | None


@dataclass(frozen=True)
class Request:
    """One merge: of whole models, or of the layers of one slice.

    Attributes:
        known: The method.
        members: The models that are merged, a base that only task vectors are subtracted from not among them.
        base: The base.
        scopes: The parameters that count for all models, the narrowest first: of a slice, a module, the recipe.
        where: Where the method stands, or the slice.
        listing: Lists the outcome's tensors, by the names of the model that decides them.
        stack: What stands in front of the numbers of the layers that are cut out; empty where the models show it.
        appended: Whether the base is the last member because no model is it.
        unused: Where the base has parameters that nothing reads.
    """

    known: Known
    members: tuple[Member, ...]
    base: Member | None
    scopes: tuple[Settings, ...]
    where: str
    listing: Callable[[Request], Sequence[Tensor]]
    stack: str = ""
    appended: bool = False
    unused: str | None = None

    @cached_property
    def tensors(self) -> Sequence[Tensor]:
        """The outcome's tensors. Raises MergeError when the model that decides them cannot be opened."""
        return self.listing(self)

    @property
    def first(self) -> Member:
        """The model that decides names, types and what is copied beside the weights."""
        return self.base or self.members[0]

    @property
    def alone(self) -> bool:
        """Whether what is left of a mean is its one model."""
        return len(self.members) == 1 and self.known.ours in {"soup", "karcher", "multislerp"}

    def settings(self) -> Iterator[Settings]:
        """Yield all parameters, the models' own before those for all."""
        yield from (member.settings for member in self.members)
        yield from self.scopes

    def choices(self) -> Iterator[Choice]:
        """Yield every value, whatever it is for."""
        for settings in self.settings():
            for setting in settings.values():
                yield from setting


def cut_model(member: Member, stack: str) -> Model:
    """Return what is merged of a model, as a model of ours."""
    if member.cut is None or member.cut.whole:
        return member.whole
    options = Placed({"layer_range": member.cut.text}, {"layer_range": member.cut.where})
    part = Model(member.whole.model, options, member.where)
    return Model(
        Merge("stack", (part,), options={"stack": stack} if stack else {}, where=member.where), {}, member.where
    )
