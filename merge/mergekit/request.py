"""What a recipe of mergekit asks for, before it is turned into options of ours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from .methods import Known
from .settings import Choice, Settings


@dataclass(frozen=True)
class Member:
    """One model that is merged.

    Attributes:
        location: Path or hub id.
        where: ``recipe.yaml:line:column``.
        settings: Its own parameters.
    """

    location: str
    where: str
    settings: Settings = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """One merge.

    Attributes:
        known: The method.
        members: The models that are merged, a base that only task vectors are subtracted from not among them.
        base: The base.
        everywhere: The parameters that count for all models.
        where: Where the method stands.
        appended: Whether the base is the last member because no model is it.
        unused: Where the base has parameters that nothing reads.
    """

    known: Known
    members: tuple[Member, ...]
    base: Member | None
    everywhere: Settings
    where: str
    appended: bool = False
    unused: str | None = None

    @property
    def first(self) -> Member:
        """The model that decides names, types and what is copied beside the weights."""
        return self.base or self.members[0]

    @property
    def alone(self) -> bool:
        """Whether what is left of a mean is its one model."""
        return len(self.members) == 1 and self.known.ours in {"soup", "karcher", "multislerp"}

    def choices(self) -> Iterator[Choice]:
        """Yield every value, whatever it is for."""
        for settings in (*(member.settings for member in self.members), self.everywhere):
            for setting in settings.values():
                yield from setting
