"""The contract of a rule that joins the members of a bundle at inference, with its options declared once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ..described import Described
from ..errors import UsageError
from ..options import Options, check_name

if TYPE_CHECKING:
    from pathlib import Path

    from ..checkpoints.checkpoint import FileCheckpoint
    from ..evaluation.outcome import Outcome
    from ..evaluation.task import Settings, Task
    from .bundle import Bundle


class Rule(Described, ABC):
    """Base class of every rule. The module's name is the rule's name and its command's.

    Class attributes:
        options: The declaration of its options.
        roles: What its members are called, in order; empty where any number of them are alike.
        minimum_models: How many members there must be.
        one_architecture: Whether all members must have the same tensors, since their weights are interpolated.
        seeded: Whether it draws random numbers.
        data_use: Which data it consumes when it runs, beyond the sample at hand.
    """

    options: ClassVar[type[Options]] = Options
    roles: ClassVar[tuple[str, ...]] = ()
    minimum_models: ClassVar[int] = 2
    one_architecture: ClassVar[bool] = False
    seeded: ClassVar[bool] = False
    data_use: ClassVar[Literal["none", "unlabeled"]] = "none"

    @property
    def maximum_models(self) -> int | None:
        """How many members there may be."""
        return len(self.roles) or None

    def role(self, position: int) -> str:
        """Return what the member at a position is called."""
        return self.roles[position] if self.roles else f"expert {position + 1}"

    def resolve(
        self,
        given: Mapping[str, Any],
        of_members: Sequence[Mapping[str, Any]],
        where: str | None = None,
        places: Mapping[str, str] | None = None,
    ) -> Any:
        """Return the options, checked, with one value per member where an option is the members' own.

        Args:
            given: Options of the whole.
            of_members: Options of each member.
            where: The place of the request, for messages.
            places: The places of single options, where a file gave them.

        Raises:
            UsageError: An option is unknown, wrong, or given for some members only; or they do not go together.
        """
        declared, members = self.options.declarations, len(of_members)
        self._check_count(members, where)
        for mapping in (given, *of_members):
            for name in mapping:
                check_name(name, declared, self.name, (places or {}).get(name, where))
        values: dict[str, Any] = {}
        for name, option in declared.items():
            place = (places or {}).get(name, where)
            if not option.per_model:
                values[name] = option.check(given[name], place) if name in given else option.default
                continue
            listed = [one.get(name, given.get(name) if option.shared else None) for one in of_members]
            if all(value is None for value in listed):
                default = option.default
                listed = [default(members) if callable(default) else default] * members
            if any(value is None for value in listed):
                raise UsageError(f"'{name}' is given for some members and not for others", where=place)
            values[name] = tuple(option.check(value, place) for value in listed)
        resolved = self.options(**values)
        self.check(resolved, members)
        return resolved

    def _check_count(self, members: int, where: str | None) -> None:
        if self.roles and members != len(self.roles):
            what = f"{self.name} joins {len(self.roles)} models, {' and '.join(self.roles)}, and {members} are given"
            raise UsageError(what, where=where)
        if members < self.minimum_models:
            raise UsageError(f"{self.name} joins at least {self.minimum_models} models", where=where)

    def check(self, options: Any, members: int) -> None:
        """Refuse options that are sound one by one but not together.

        Raises:
            UsageError: With what is wrong and what to do.
        """

    def furnish(self, folder: Path, members: Sequence[FileCheckpoint], options: Any) -> None:
        """Write what else makes a bundle useful into its folder.

        Raises:
            MergeError: The members do not fit one another in a way that headers do not tell.
        """

    @abstractmethod
    def evaluate(self, bundle: Bundle, task: Task, settings: Settings) -> dict[str, Outcome]:
        """Run the bundle over a benchmark's items.

        Returns:
            Its outcome under the empty name, then whatever belongs beside it, by name.

        Raises:
            MergeError: The members do not fit the benchmark, or one another.
            UsageError: The rule has no meaning for a benchmark of this kind.
        """
