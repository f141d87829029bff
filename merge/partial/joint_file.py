"""What is known of two models before a budget is chosen: a statistics file of kind ``joint``.

Its tensors are ``gram.PARAMETER`` [inputs of both, the same], ``order.GROUP`` and ``similarity.GROUP``. The metadata is
that of `Facts`, with the groups in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..alignment.groups_document import read_groups_document
from ..alignment.permutations import is_valid
from ..calibration.facts import AGAIN, Facts
from ..errors import MergeError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..alignment.groups import Groups
    from ..checkpoints.checkpoint import Source

KIND = "joint"
GRAM, ORDER, SIMILARITY = "gram.", "order.", "similarity."
STAND_IN = "stand-in"  # what the facts say of data that was drawn rather than given

Read = Callable[[str], Any]  # name of a tensor ▸ array


@dataclass(frozen=True, eq=False)
class Joint:
    """Two models, matched.

    Attributes:
        groups: Of both models.
        orders: By group: unit ``order[i]`` of the second model matches unit i of the first.
        similarity: Of each matched pair [units], by group.
        widens: Groups that may be split, which was proven.
        reads: The axis on which each matrix or filter is multiplied; all other axes are written.
        outputs: Axes that hold the models' outputs, by tensor, as far as they are known.
        facts: What the file says of itself.
        read: Reads a tensor of the file.
    """

    groups: Groups
    orders: Mapping[str, NDArray[np.int64]]
    similarity: Mapping[str, NDArray[np.float64]]
    widens: frozenset[str]
    reads: Mapping[str, int]
    outputs: Mapping[str, int]
    facts: Facts
    read: Read

    def has_gram(self, name: str) -> bool:
        """Tell whether a parameter has a Gram matrix."""
        return self.facts.aliases.get(name, name) in self.facts.rows

    def gram(self, name: str) -> NDArray[np.float64] | None:
        """Return the Gram matrix [inputs of both, the same] of a parameter; None where it has none.

        Raises:
            MergeError: It cannot be read, or is none.
        """
        import numpy as np

        from ..calibration.soundness import what_is_wrong

        if not self.has_gram(name):
            return None
        owner = self.facts.aliases.get(name, name)
        found: NDArray[np.float64] = np.asarray(self.read(GRAM + owner), np.float64)
        wrong = what_is_wrong("gram", found, np)
        if wrong or found.ndim != 2:
            raise MergeError(f"the joint statistics of '{owner}' {wrong or 'are no matrix'}", hint=AGAIN)
        return found


def joint_of(facts: Facts, read: Read, where: str) -> Joint:
    """Return what a file says.

    Args:
        facts: What it says of itself.
        read: Reads a tensor of it.
        where: The file, for messages.

    Raises:
        MergeError: It is broken, or of another kind.
    """
    if facts.kind != KIND:
        raise MergeError(f"it holds no {KIND} statistics of two models", where=where, hint="merge pleas computes such")
    try:
        about = facts.about
        groups = read_groups_document(about["groups"], where)
        joint = Joint(
            groups=groups,
            orders={name: read(ORDER + name) for name in about["orders"]},
            similarity={name: read(SIMILARITY + name) for name in about["similarities"]},
            widens=frozenset(about["widens"]),
            reads={name: int(axis) for name, axis in about["reads"].items()},
            outputs={name: int(axis) for name, axis in about["outputs"].items()},
            facts=facts,
            read=read,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise MergeError(f"its metadata is broken: {error!r}", where=where, hint=AGAIN) from None
    _check(joint, where)
    return joint


def _check(joint: Joint, where: str) -> None:
    """Refuse orders and similarities that do not belong to the groups."""
    import numpy as np

    _check_facts(joint, where)
    for name, found in joint.orders.items():
        group = joint.groups.groups.get(name)
        if group is None or not is_valid(found, group, joint.groups):
            raise MergeError(f"the order of group '{name}' does not hold every unit once", where=where, hint=AGAIN)
    for name in joint.widens:
        values, order = joint.similarity.get(name), joint.orders.get(name)
        if values is None or order is None or values.shape != order.shape or not np.isfinite(values).all():
            raise MergeError(f"the similarities of group '{name}' are not those of its units", where=where, hint=AGAIN)


def _check_facts(joint: Joint, where: str) -> None:
    """Refuse what the file says of the models where it is of another type than it must be."""
    about = joint.facts.about
    models = about.get("models")
    if not isinstance(models, list) or len(models) != 2 or not all(isinstance(one, str) for one in models):
        raise MergeError("its metadata do not name two models", where=where, hint=AGAIN)
    for key in ("left_out", "always_merged"):
        if not isinstance(about.get(key, {}), Mapping):
            raise MergeError(f"its metadata hold no mapping under '{key}'", where=where, hint=AGAIN)
    if not set(joint.reads.values()) <= {0, 1}:
        raise MergeError(
            "a matrix is multiplied on axis 0 or 1, and its metadata name another", where=where, hint=AGAIN
        )


def check_reads(joint: Joint, shapes: Mapping[str, tuple[int, ...]], where: str) -> None:
    """Refuse statistics that take for a matrix what is none in the models.

    Raises:
        MergeError: Naming the tensor.
    """
    for name in joint.reads:
        if name in shapes and len(shapes[name]) < 2:
            raise MergeError(f"it takes '{name}' for a matrix, of shape {list(shapes[name])}", where=where, hint=AGAIN)


def read_joint(source: Source) -> Joint:
    """Return what an open file says; its Gram matrices are read when they are needed.

    Raises:
        MergeError: It is broken, or of another kind.
    """
    facts = Facts.from_metadata(source.metadata, source.location)
    return joint_of(facts, lambda name: _read(source, name), source.location)


def _read(source: Source, name: str) -> NDArray[Any]:
    import numpy as np

    from ..dtypes import numpy_dtype

    info = source.tensors.get(name)
    if info is None:
        raise MergeError(f"lacks '{name}', of which its metadata tells", where=source.location, hint=AGAIN)
    stored = np.empty(info.shape, numpy_dtype(info.dtype))
    if info.nbytes:
        source.read_into(info, 0, stored.reshape(-1).view(np.uint8).data)
    return stored
