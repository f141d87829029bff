"""Input embeddings that all experts have in common, kept once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def embedding_name(expert: Any) -> str:
    """Return the name of an expert's matrix of input embeddings."""
    module = expert.get_input_embeddings()
    return next(f"{name}.weight" for name, each in expert.named_modules() if each is module)


def all_equal(experts: Sequence[Any]) -> bool:
    """Tell whether all experts have the same matrix of input embeddings, bit for bit."""
    import torch

    first, *others = (expert.get_input_embeddings().weight for expert in experts)
    return bool(others) and all(
        first.dtype == other.dtype and first.shape == other.shape and torch.equal(first.cpu(), other.cpu())
        for other in others
    )


def ties(experts: Sequence[Any], shared: bool) -> dict[str, str]:
    """Return which parameters are another one: {its name: name of the one that is kept}.

    Args:
        experts: Each may have ties within itself, as of its output layer to its input embeddings.
        shared: All experts use the first one's input embeddings, as far as they are on its device.
    """
    names = [f"experts.{number}.{embedding_name(expert)}" for number, expert in enumerate(experts)]
    weights = [expert.get_input_embeddings().weight for expert in experts]
    found = {}
    for name, weight in zip(names[1:], weights[1:], strict=True):
        if shared and weight.device == weights[0].device:
            found[name] = names[0]
    for number, expert in enumerate(experts):
        for target, source in getattr(expert, "all_tied_weights_keys", {}).items():
            source = f"experts.{number}.{source}"
            found[f"experts.{number}.{target}"] = found.get(source, source)
    return found


def tie(experts: Sequence[Any], shared: bool) -> None:
    """Give all experts the first one's input embeddings, if they share them and are on its device or nowhere yet."""
    first = experts[0].get_input_embeddings().weight
    for expert in experts[1:] if shared else ():
        old = expert.get_input_embeddings().weight
        if old.device == first.device or old.is_meta:
            _replace(expert, old, first)


def copies(experts: Sequence[Any]) -> set[str]:
    """Return the names of the input embeddings of all experts but the first."""
    return {f"experts.{number}.{embedding_name(expert)}" for number, expert in enumerate(experts) if number}


def are_apart(experts: Sequence[Any]) -> bool:
    """Tell whether experts have their input embeddings on several devices."""
    return len({expert.get_input_embeddings().weight.device for expert in experts}) > 1


def move(experts: Sequence[Any], devices: Sequence[Any]) -> None:
    """Bring each expert to a device; what several of them share is copied to each device that needs it."""
    import torch

    for expert, device in zip(experts, devices, strict=True):
        module = expert.get_input_embeddings()
        kept, target = module.weight, torch.device(device)
        if any(other is not expert and other.get_input_embeddings().weight is kept for other in experts):
            own = torch.nn.Parameter(kept.detach().to(target, copy=True), requires_grad=kept.requires_grad)
            _replace(expert, kept, own)
        expert.to(target)


def _replace(expert: Any, old: Any, new: Any) -> None:
    """Put a parameter in the place of another, wherever the expert uses it."""
    for module in expert.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            if parameter is old:
                setattr(module, name, new)
