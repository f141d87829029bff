"""A candidate ▸ the network of it that reads texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ...errors import UsageError
from ...evaluation.language.windows import DEFAULT_CONTEXT
from .classifier_subject import classifier_subject
from .fitting import WHOLE
from .text_kinds import TextKind, text_kind
from .text_network import Wanted, longest_read, ready, text_subject
from .text_reader import TextReader
from .token_tasks import task_of

if TYPE_CHECKING:
    from torch import Tensor

    from ...evaluation.candidate import Candidate
    from ...evaluation.task import Settings
    from .text_subject import TextSubject


def load_text_subject(candidate: Candidate, wanted: Wanted, settings: Settings) -> TextSubject:
    """Build the network of a candidate.

    Raises:
        UsageError: Nothing says what architecture or tokenizer it has, or it reads no texts.
        MergeError: The checkpoint does not fit its architecture.
    """
    from ...evaluation.configuration import read_configuration
    from ...evaluation.model_name import folder_name
    from ...evaluation.networks import choose_model
    from .tower_subject import load_tower_subject

    fallback = folder_name(wanted.model, str(wanted.model)) if wanted.model else None
    model = choose_model(candidate, settings.model, fallback)
    if model.kind in ("timm", "file"):
        what = f"'{model.label}' reads images, but the data '{wanted.data}' is texts"
        raise UsageError(what, where=candidate.name, hint="give images with --data, or another model")
    if model.kind == "open_clip":
        return load_tower_subject(candidate, model, settings)
    config = read_configuration(model)
    if config.model_type in WHOLE:
        return load_tower_subject(candidate, model, settings)
    if wanted.head is not None:
        return classifier_subject(candidate, wanted, settings)
    return _of_kind(text_kind(config, candidate.name, wanted.data), candidate, config, wanted, settings)


def _of_kind(kind: TextKind, candidate: Candidate, config: Any, wanted: Wanted, settings: Settings) -> TextSubject:
    from ...evaluation.language.tokenizer import load_tokenizer

    if kind.kind == "classes":
        return classifier_subject(candidate, wanted, settings)
    rebuild = _builder(kind, config, candidate)
    tokenizer = load_tokenizer(candidate, settings.model, wanted.model)
    network = ready(rebuild(candidate.tensors), settings)
    context = longest_read(network, tokenizer, wanted, candidate.name, DEFAULT_CONTEXT)
    task = task_of(kind.kind, network, tokenizer, context, candidate.name)
    gives_texts = kind.kind == "seq2seq"
    reader = TextReader(candidate.name, network, tokenizer, context, task, _has_segments(network), None, gives_texts)
    predicts = "tokens" if kind.has_head else "nothing"
    return text_subject(candidate, network, reader, rebuild, predicts, lambda outputs, inputs: outputs.logits)


def _builder(kind: TextKind, config: Any, candidate: Candidate) -> Callable[[Mapping[str, Tensor]], Any]:
    from ...evaluation.language.load_text_classifier import without_pooler
    from ...evaluation.language.network import UNUSED, build_as

    options = {} if kind.has_head else without_pooler(kind.architecture, candidate.tensors)

    def build(tensors: Mapping[str, Tensor]) -> Any:
        kept = {name: tensor for name, tensor in tensors.items() if kind.kind != "masked" or not UNUSED.search(name)}
        return build_as(kind.architecture, config, kept, candidate.name, **options)

    return build


def _has_segments(network: Any) -> bool:
    return (getattr(network.config, "type_vocab_size", 0) or 0) > 1
