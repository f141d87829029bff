"""The contract of a rule that joins the members of a bundle at inference, with its options declared once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ..described import Described
from ..errors import UsageError
from ..options import Options
from ..recipe import place_of
from .resolving import resolve_options

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
        self, given: Mapping[str, Any], of_members: Sequence[Mapping[str, Any]], where: str | None = None
    ) -> Any:
        """Return the options, checked, with one value per member where an option is the members' own.

        Args:
            given: Options of the whole.
            of_members: Options of each member.
            where: The place of the request, for messages; a file's options have places of their own.

        Raises:
            UsageError: An option is unknown, wrong, or given for some members only; or they do not go together.
        """
        members = len(of_members)
        self._check_count(members, where)
        resolved = self.options(**resolve_options(self.name, self.options.declarations, given, of_members, where))
        self.check(resolved, members, lambda name: place_of(given, name, where))
        return resolved

    def _check_count(self, members: int, where: str | None) -> None:
        if self.roles and members != len(self.roles):
            what = f"{self.name} joins {len(self.roles)} models, {' and '.join(self.roles)}, and {members} are given"
            raise UsageError(what, where=where)
        if members < self.minimum_models:
            raise UsageError(f"{self.name} joins at least {self.minimum_models} models", where=where)

    def check(self, options: Any, members: int, place: Callable[[str], str | None]) -> None:
        """Refuse options that are sound one by one but not together.

        Args:
            options: Resolved.
            members: How many there are.
            place: Where an option was given, for messages.

        Raises:
            UsageError: With what is wrong and what to do.
        """

    def examine(self, members: Sequence[FileCheckpoint], options: Any) -> Any:
        """Check members by what lies beside their weights, before these are read.

        Returns:
            What `furnish` needs to know of them.

        Raises:
            MergeError: They do not fit one another.
        """

    def furnish(self, folder: Path, found: Any, options: Any) -> None:
        """Write what else makes a bundle useful into its folder, after what `examine` found."""

    def remarks(self, members: Sequence[FileCheckpoint]) -> list[str]:
        """Return what a user who made a bundle should know of it, a sentence each."""
        return []

    @abstractmethod
    def evaluate(self, bundle: Bundle, task: Task, settings: Settings) -> dict[str, Outcome]:
        """Run the bundle over a benchmark's items.

        Returns:
            Its outcome under the empty name, then whatever belongs beside it, by name.

        Raises:
            MergeError: The members do not fit the benchmark, or one another.
            UsageError: The rule has no meaning for a benchmark of this kind.
        """
