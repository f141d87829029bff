"""Run two models over the same data: their joint statistics, ready to be stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from ..alignment.groups_document import groups_document
from ..calibration.facts import Facts
from .heads import output_axes
from .joint_file import GRAM, KIND, ORDER, SIMILARITY, STAND_IN, Joint, joint_of
from .joint_grams import JointGrams, joint_grams
from .pairs import Matching, Pairs, match_pairs
from .proving import Proof

if TYPE_CHECKING:
    from torch import Tensor

    from .proving import RunWide


class Computed(NamedTuple):
    """The content of a file of kind ``joint``: what `Store.finish` takes."""

    tensors: dict[str, Tensor]
    facts: Facts

    def joint(self) -> Joint:
        """Return it as it would be read from the file, but for rounding."""
        return joint_of(self.facts, lambda name: self.tensors[name].cpu().numpy(), "joint statistics")


def compute_joint(matching: Matching, run: RunWide, identities: Sequence[str]) -> Computed:
    """Match two models, run both over the same data, and prove which groups may be widened.

    The data is run twice: for the pairs of units and for the Gram matrices.

    Args:
        matching: The networks, the data, and how units are matched.
        run: Runs the first model's network with given tensors, wider ones too, on inputs that are always the same.
        identities: Content ids of both checkpoints.

    Raises:
        MergeError: A network does not run or gives numbers that are not finite, or the models do not fit each other.
    """
    pairs = match_pairs(matching)
    found = joint_grams(matching)
    proof = _proof(matching, found, run)
    widens = proof.widening([name for name in pairs.similarity if name in pairs.orders])
    merged = {name: proof.reason(name) for name in matching.groups.groups if name not in widens}
    facts = _facts(matching, pairs, found, identities)
    about = {**facts.about, "widens": widens, "always_merged": merged}
    return Computed(_tensors(pairs, found), replace(facts, about=about))


def _proof(matching: Matching, found: JointGrams, run: RunWide) -> Proof:
    reader = matching.readers[0]
    state = {name: reader.read(name) for name in reader.shapes}
    return Proof(matching.groups, state, found.reads, run, matching.settings.seed)


def _tensors(pairs: Pairs, found: JointGrams) -> dict[str, Tensor]:
    import torch

    tensors = {GRAM + name: mean for name, mean in found.grams.means.items()}
    tensors |= {ORDER + name: torch.from_numpy(order) for name, order in pairs.orders.items()}
    return tensors | {SIMILARITY + name: torch.from_numpy(values) for name, values in pairs.similarity.items()}


def _facts(matching: Matching, pairs: Pairs, found: JointGrams, identities: Sequence[str]) -> Facts:
    about: dict[str, Any] = {
        "models": list(identities),
        "data": STAND_IN if matching.options.stand_in else dict(matching.sample.about),
        "options": asdict(matching.options),
        "seed": matching.settings.seed,
        "groups": groups_document(matching.groups),
        "orders": sorted(pairs.orders),
        "similarities": sorted(pairs.similarity),
        "reads": dict(found.reads),
        "outputs": output_axes(matching.groups, found.reads),
        "left_out": dict(found.left_out),
    }
    grams = found.grams
    return Facts(KIND, identities[0], grams.aliases, {}, grams.rows, about=about)
