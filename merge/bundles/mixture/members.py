"""The experts of a mixture that has no weights in its own folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import MergeError, some_of
from ..bundle import open_bundle
from ..document import is_bundle
from .calling import expert_class

if TYPE_CHECKING:
    from ..member import Member

WEIGHTS = ("*.safetensors", "*.safetensors.index.json", "*.bin")


def read_members(folder: Path) -> tuple[Member, ...] | None:
    """Return the members that ``merge.json`` names, or None where the folder has weights itself or names none.

    Args:
        folder: Of the mixture.

    Raises:
        MergeError: ``merge.json`` is damaged, or a member is not there.
    """
    if not is_bundle(folder) or any(next(folder.glob(pattern), None) for pattern in WEIGHTS):
        return None
    return open_bundle(str(folder)).members


def load_member(member: Member, config: Any, options: dict[str, Any]) -> Any:
    """Return the network of a member.

    Args:
        member: Of the bundle.
        config: Its configuration.
        options: As for ``from_pretrained`` of transformers.

    Raises:
        MergeError: The member is missing, not what it was when the bundle was made, or does not fit its configuration.
    """
    network = expert_class(config, member.name)
    tensors = dict(member.load().tensors)
    own = {"dtype": config.dtype, **options, "config": config, "state_dict": tensors, "output_loading_info": True}
    found, told = network.from_pretrained(None, **own)
    for what in ("missing_keys", "mismatched_keys"):
        if names := sorted(map(str, told[what])):
            raise MergeError(f"its tensors do not fit {network.__name__}: {some_of(names, 3)}", where=member.name)
    return found
