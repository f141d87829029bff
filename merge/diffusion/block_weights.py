"""``--block-weights``: a number for each block of a diffusion model, as a list, by name, or as a preset."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation

from ..errors import UsageError
from .block_patterns import canonical, listed, named
from .block_presets import find_preset, fitted
from .blocks import AUTOENCODER, BASE, BLOCKS, Blocks

FLAG = "--block-weights"
_COUNTS = "Stable Diffusion 1, 2 and the refiner of SDXL take 25 to 27 numbers, SDXL takes 19 to 21"
_FORMS = "write numbers 0,0.5,…, or names IN00=0.2,OUT*=0.5, or a preset GRAD_V,BASE=0.5"


@dataclass
class BlockWeights:
    """The number of every block that was given one, in the order of the blocks.

    Attributes:
        notes: The numbers in words, and what was done to fit a preset to the model.
    """

    numbers: dict[str, Decimal] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read_block_weights(text: str, blocks: Blocks, model: str) -> BlockWeights:
    """Read the weights for a model.

    Args:
        text: What was given.
        blocks: The model's blocks.
        model: What the model is called in messages.

    Returns:
        Numbers of blocks that the model has. The VAE has that of BASE, unless it is given its own.

    Raises:
        UsageError: Too many numbers or too few, a block or a preset that there is none of, or no number.
    """
    items = [item.strip() for item in text.split(",")]
    found = BlockWeights()
    if _is_number(items[0]):
        given = _by_position(items, blocks, model)
    else:
        given = _by_preset(items.pop(0), blocks, model, found) if "=" not in items[0] else {}
        for item in items:
            given |= _by_name(item, blocks)
    if BASE in given and AUTOENCODER in blocks.names:
        given.setdefault(AUTOENCODER, given[BASE])
    found.numbers = {name: given[name] for name in blocks.names if name in given}
    shown = ", ".join(f"{name} {float(number):.4g}" for name, number in found.numbers.items())
    found.notes.append(f"share of the last model by block: {shown}")
    return found


def _by_position(items: list[str], blocks: Blocks, model: str) -> dict[str, Decimal]:
    numbers = [_number(item) for item in items]
    order = list(blocks.numbered)
    forms = {len(order): order, len(order) + 1: [BASE, *order], len(order) + 2: [BASE, *order, AUTOENCODER]}
    if len(numbers) not in forms:
        many = "1 number" if len(numbers) == 1 else f"{len(numbers)} numbers"
        takes = f"takes {len(order)} ({listed(order)}), {len(order) + 1} with BASE in front"
        what = f"{many} for {model}, which {takes}, or {len(order) + 2} with VAE behind as well"
        raise UsageError(what, where=FLAG, hint=_COUNTS)
    return dict(zip(forms[len(numbers)], numbers, strict=True))


def _by_preset(name: str, blocks: Blocks, model: str, found: BlockWeights) -> dict[str, Decimal]:
    if canonical(name) in blocks.names and not _is_preset(name):
        raise UsageError(f"the block '{name}' has no number", where=FLAG, hint=f"write {canonical(name)}=0.5")
    shown, preset = find_preset(name, FLAG)
    numbers = fitted(preset, blocks)
    if set(numbers) != set(preset):
        found.notes.append(
            f"the preset {shown} has {len(preset)} numbers; they are interpolated for the {len(numbers)} of {model}"
        )
    return {block: Decimal(str(number)) for block, number in numbers.items()}


def _is_preset(name: str) -> bool:
    try:
        find_preset(name)
    except UsageError:
        return False
    return True


def _by_name(item: str, blocks: Blocks) -> dict[str, Decimal]:
    name, equals, number = item.partition("=")
    if not equals:
        raise UsageError(f"'{item}' is no NAME=NUMBER", where=FLAG, hint=_FORMS)
    known = [block for block in BLOCKS if block in blocks.names]
    return dict.fromkeys(named(name, known, FLAG), _number(number))


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(Decimal(text))
    except InvalidOperation:
        return False


def _number(text: str) -> Decimal:
    if not _is_number(text.strip()):
        raise UsageError(f"'{text}' is no number", where=FLAG, hint=_FORMS)
    return Decimal(text.strip())
