"""The files of an extracted adapter: factors and whole tensors under PEFT's names, configuration, metadata."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from ...checkpoints.checkpoint import Source
from ...checkpoints.companions import is_companion
from ...checkpoints.derived import whole as whole_source
from ...checkpoints.files import Buffer
from ...checkpoints.header import TensorInfo
from ..config import CONFIG
from ..low_rank.collecting import Kept
from ..low_rank.configuration import PREFIX, render_config, shortened
from ..low_rank.spool import Spool, Spooled
from ..low_rank.writing import Adapter, AdapterTensor, own_metadata
from .difference import Difference
from .extracted import Extracted, Layer
from .kinds import factor_names, factor_shapes
from .module import Scheme

COMMAND = "extract-lora"


def make_adapter(
    extracted: Extracted, difference: Difference, scheme: Scheme, spool: Spool, card: Callable[[str], str]
) -> Adapter:
    """Return what is written of an extraction.

    Args:
        extracted: The extraction's outcome.
        difference: The two models, still open: what is saved whole is read from the tuned one.
        scheme: How the base's layers are called.
        spool: Holds the factors.
        card: Makes the card from the adapter's content id.
    """
    dtype = extracted.extraction.dtype
    tensors = [tensor for layer in extracted.layers for tensor in _factors(layer, spool, dtype)]
    layers = {layer.module.name for layer in extracted.layers}
    for name, tensor in extracted.whole.tensors.items():
        tensors.append(_whole(_within_wrapper(name, layers), tensor, difference.tuned))
    beside = {CONFIG: _config(extracted, difference, scheme)}
    if has_new_tokens(extracted, difference):
        beside |= _tokenizer(difference.tuned)
    return Adapter(tensors, lambda identity: metadata(extracted, identity), card, beside)


def _factors(layer: Layer, spool: Spool, dtype: str) -> list[AdapterTensor]:
    shapes = factor_shapes(layer.module.kind, layer.module.shape, layer.kept.rank)
    places = (layer.kept.a, layer.kept.b)
    return [
        AdapterTensor(f"{PREFIX}{layer.module.name}.{ending}", dtype, shape, spooled(spool, place))
        for ending, shape, place in zip(factor_names(layer.module.kind), shapes, places, strict=True)
    ]


def spooled(spool: Spool, place: Spooled) -> Callable[[int, Buffer], None]:
    """Return what reads an array of a spool."""
    return lambda offset, buffer: spool.read_into(place, offset, buffer)


def _whole(name: str, tensor: TensorInfo, tuned: Source) -> AdapterTensor:
    def read(offset: int, buffer: Buffer) -> None:
        tuned.read_into(tensor, offset, buffer)

    return AdapterTensor(f"{PREFIX}{name}", tensor.dtype, tensor.shape, read)


def _within_wrapper(name: str, layers: Collection[str]) -> str:
    """Return the name of a bias where PEFT has it while the layer has factors: in the layer that it wraps."""
    module, _, leaf = name.rpartition(".")
    return f"{module}.base_layer.{leaf}" if leaf == "bias" and module in layers else name


def _config(extracted: Extracted, difference: Difference, scheme: Scheme) -> bytes:
    ranks = {layer.module.name: layer.kept.rank for layer in extracted.layers}
    return render_config(
        base_name(difference.base),
        ranks,
        difference.base.config,
        targets=shortened(ranks.keys(), [scheme.called(name) for name in difference.base.tensors]),
        saved=extracted.whole.modules,
        fan_in_fan_out=any(layer.module.kind == "transposed" for layer in extracted.layers),
        bias="all" if extracted.whole.has_biases else "none",
        more={"ensure_weight_tying": True} if extracted.whole.is_tied else None,
    )


def base_name(base: Source) -> str:
    """Return what names the base for whoever loads the adapter: its id on the hub, or its place."""
    model = whole_source(base)
    origin = getattr(model, "origin", None)
    return str(origin).partition("@")[0] if origin else base.location


def has_new_tokens(extracted: Extracted, difference: Difference) -> bool:
    """Tell whether an embedding is saved that has more or fewer rows than the base's."""
    known = difference.matched()
    new = {tensor.name for tensor in extracted.whole.tensors.values()}
    return any(
        tensor.name in new and tensor.shape != difference.base.tensors[name].shape and len(tensor.shape) > 1
        for name, tensor in known.items()
    )


def _tokenizer(tuned: Source) -> dict[str, bytes]:
    """Return the tuned model's tokenizer: without it nobody knows what the new rows stand for."""
    words = ("token", "vocab", "merges", "spiece", "sentencepiece", "chat_template")
    folder = getattr(tuned, "folder", None)
    paths = sorted(path for path in folder.iterdir() if path.is_file() and is_companion(path.name)) if folder else []
    return {path.name: path.read_bytes() for path in paths if path.name.startswith((*words, "special", "added"))}


def recipe_of(extracted: Extracted, tuned: str, base: str) -> dict[str, Any]:
    """Return what stands for a recipe: the request, with these names for the two models."""
    return {COMMAND: tuned, "base": base, "options": extracted.extraction.options()}


def metadata(extracted: Extracted, identity: str) -> dict[str, str]:
    """Return the metadata of the adapter's file."""
    base, tuned = extracted.measured.input_ids
    device = "cpu" if extracted.measured.device == "cpu" else "cuda"
    return own_metadata(recipe_of(extracted, tuned, base), (base, tuned), identity) | {"merge.device": device}


def factor_bytes(kept: Kept) -> int:
    """Return the size of a layer's factors."""
    return kept.a.nbytes + kept.b.nbytes
