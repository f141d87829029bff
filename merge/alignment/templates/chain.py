"""Plain networks, VGG among them: layers one after the other, whatever their names, told by shapes."""

from __future__ import annotations

from itertools import pairwise

from .draft import Checkpoint, Draft
from .modules import STATISTICS, Layer, plain_chain


def chain(checkpoint: Checkpoint) -> Draft | None:
    """Return the groups of a plain chain of linear layers and convolutions, or None when it is none."""
    layers = plain_chain(checkpoint.shapes)
    if layers is None:
        return None
    draft = Draft("a plain chain of layers")
    for number, (layer, following) in enumerate(pairwise(layers)):
        if _is_doubtful(layer):
            what = "what normalises these channels may do so in groups of them"
            draft.stays(what, [f"{layer.module}.*:0", f"{following.module}.weight:1", *_norm_globs(layer)])
        else:
            _add(draft, layer, following, number)
    draft.stays("the model's outputs", [f"{layers[-1].module}.*:0", *_norm_globs(layers[-1])])
    draft.stays("the model's inputs", _input_norms(checkpoint, layers))
    order = " > ".join(layer.module or "the top" for layer in layers)
    plain = "no connections that skip layers, no transposed or depthwise convolutions"
    draft.notes.append(f"taken for a plain chain ({plain}): {order}; --model would prove it")
    return draft if draft.patterns else None


def _add(draft: Draft, layer: Layer, following: Layer, number: int) -> None:
    """Add the order of what one layer makes and the next one reads."""
    start = f"{layer.module}." if layer.module else ""
    members = [f"{start}weight:0"] + ([f"{start}bias:0"] if layer.bias else [])
    follows = []
    for module, parameters in layer.norms:
        members += [f"{module}.{name}:0" for name in parameters if name in ("weight", "bias")]
        follows += [f"{module}.{name}:0" for name in parameters if name in STATISTICS]
    flattened = following.used // layer.made
    cut = f"[{layer.made},{flattened}]/0" if flattened > 1 else ""
    members.append(f"{following.module}.weight:1{cut}")
    kind = "mlp" if layer.dimensions == 2 else "other"
    draft.group(f"{'mlp' if kind == 'mlp' else 'channels'}.{number}", members, follows=follows, kind=kind)
    draft.stays("a count", [f"{module}.num_batches_tracked" for module, _ in layer.norms])


def _is_doubtful(layer: Layer) -> bool:
    """Tell whether a convolution's norm may be one over groups of channels: it has gains and shifts, no statistics."""
    return layer.dimensions > 2 and any(
        {"weight", "bias"} <= set(parameters) and not set(STATISTICS) & set(parameters) for _, parameters in layer.norms
    )


def _norm_globs(layer: Layer) -> list[str]:
    return [f"{module}.*" for module, _ in layer.norms]


def _input_norms(checkpoint: Checkpoint, layers: list[Layer]) -> list[str]:
    """Return the tensors of norms in front of the first layer."""
    known = {layer.module for layer in layers} | {module for layer in layers for module, _ in layer.norms}
    return [name for name in checkpoint.shapes if name.rpartition(".")[0] not in known]
