"""What all networks that read texts have in common, once they are built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import MergeError
from .placing import places_in
from .text_reader import TextReader
from .text_subject import TextSubject

if TYPE_CHECKING:
    from torch import Tensor

    from ...evaluation.candidate import Candidate
    from ...evaluation.heads import Head
    from ...evaluation.task import Settings

    Rebuild = Callable[[Mapping[str, Tensor]], Any]
    ToLogits = Callable[[Any, Mapping[str, Tensor]], Tensor]


@dataclass(frozen=True)
class Wanted:
    """What the data says of the models that read it.

    Attributes:
        data: Its name, for messages.
        model: Folder with configuration and tokenizer for checkpoints that have none beside them.
        head: A fixed head, or None.
        predicts: Whether the head is the same for all of the data.
        context: The most tokens of a text; None: what the model takes.
    """

    data: str
    model: Path | None
    head: Head | None
    predicts: bool
    context: int | None


def text_subject(
    candidate: Candidate, network: Any, reader: TextReader, rebuild: Rebuild, predicts: str, to_logits: ToLogits
) -> TextSubject:
    """Return a built network as the subject of calibration.

    Args:
        candidate: The checkpoint.
        network: Built from it.
        reader: Turns texts into inputs.
        rebuild: Builds it from tensors of the same names and shapes, which shows where each one goes.
        predicts: ``classes``, ``tokens`` or ``nothing``.
        to_logits: Outputs and inputs ▸ logits.
    """
    from ...evaluation.networks.weights import trace_names

    names = trace_names(rebuild, candidate.tensors, where=candidate.name, lenient=True)
    return TextSubject(
        name=candidate.name,
        module=network,
        device=str(network.device),
        predicts=predicts,
        reader=reader,
        call=lambda inputs: network(**inputs),
        to_logits=to_logits,
        placed=places_in(network, names, candidate.tensors),
    )


def ready(network: Any, settings: Settings) -> Any:
    """Move a network to the device, with weights that share no memory with the checkpoint and may be trained."""
    from ...evaluation.networks.network import own_memory

    network.requires_grad_(True)
    network.config.use_cache = False
    own_memory(network.to(settings.device))
    return network


def longest_read(network: Any, tokenizer: Any, wanted: Wanted, name: str, most: int | None) -> int | None:
    """Return the most tokens of a text.

    Raises:
        MergeError: The model does not take as many as the data asks for.
    """
    from ...evaluation.language.network import longest_text

    limit = longest_text(network, tokenizer)
    if wanted.context is not None and limit is not None and wanted.context > limit:
        what = f"the model takes {limit} tokens at once; a context of {wanted.context} is too long"
        raise MergeError(what, where=name)
    known = [length for length in (wanted.context, limit, most) if length is not None]
    return wanted.context or min(known, default=None)
