"""Models of several layers whose every tensor says which model and layer it is from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from checkpoint_files import load, save

PARTS = ("self_attn.o_proj", "mlp.down_proj")
EMBED, NORM, HEAD = "model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"
DEPTHS = {"a": 4, "b": 4, "c": 4, "deep": 6}
SIGNS = {name: 100 * number for number, name in enumerate(DEPTHS, start=1)}


def tensor_of(value: float) -> torch.Tensor:
    return torch.tensor([value, value], dtype=torch.float64)


def values_of(name: str) -> dict[str, torch.Tensor]:
    """Return the tensors of a model: 100 times its number, plus 1 for the layer 0, 2 for the layer 1 …"""
    sign = SIGNS[name]
    found = {EMBED: tensor_of(sign), NORM: tensor_of(sign + 50), HEAD: tensor_of(sign + 51)}
    for layer in range(DEPTHS[name]):
        found |= {f"model.layers.{layer}.{part}.weight": tensor_of(sign + 1 + layer) for part in PARTS}
    return found


def make_layered(folder: Path) -> None:
    """Write all of them as single files; one without layers, and one of two halves."""
    for name in DEPTHS:
        save(folder / f"{name}.st", values_of(name))
    save(folder / "plain.st", {"w": tensor_of(1.0)})
    halves = {f"{half}.block.{layer}.w": tensor_of(layer) for half in ("decoder", "encoder") for layer in range(2)}
    save(folder / "halves.st", halves)


def merged(cli: Any, folder: Path, text: str, *more: str) -> dict[str, float]:
    """Run a recipe, and what `--print-recipe` makes of it, which must give the same; return a number per tensor."""
    (folder / "old.yml").write_text(text)
    result = cli("run", "old.yml", "-o", "out.st", "--force", *more)
    assert result.code == 0, result.err
    printed = cli("run", "old.yml", "--print-recipe", *more)
    assert printed.code == 0, printed.err
    (folder / "ours.yaml").write_text(printed.out)
    assert cli("run", "ours.yaml", "-o", "again.st", "--force").code == 0
    found, again = load(folder / "out.st"), load(folder / "again.st")
    assert found.keys() == again.keys()
    assert all(torch.equal(again[name], tensor) for name, tensor in found.items())
    return {name: tensor[0].item() for name, tensor in found.items()}


def layers_of(found: dict[str, float], part: str = PARTS[1]) -> list[float]:
    """Return the values of one tensor of every layer."""
    count = sum(name.endswith(f".{part}.weight") for name in found)
    return [found[f"model.layers.{layer}.{part}.weight"] for layer in range(count)]
