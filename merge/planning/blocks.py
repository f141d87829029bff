"""Which block of its stack a tensor belongs to, by the names that architectures give their blocks.

Unlike `depth`, which takes the first number in a name, this knows stacks: numbers elsewhere (a head that is a
sequence of layers, an expert) are no blocks. Parts that follow each other, as the input, middle and output blocks of a
diffusion model, form one stack.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from ..errors import UsageError
from ..method import Place

# Each line is one stack: the parts that follow each other in it. `#` stands for the number of a block; what stands
# in front of a match (`model.`, `vision_model.`, a tower's name) tells stacks of the same kind apart. `a/b` is a or b.
_STACKS: tuple[tuple[str, ...], ...] = (
    ("input_blocks.#.", "middle_block.", "output_blocks.#."),  # Stable Diffusion, as it was released
    ("down_blocks.#.", "mid_block.", "up_blocks.#."),  # the same in diffusers
    ("double_blocks.#.", "single_blocks.#."),  # Flux
    ("joint_blocks.#.",),  # Stable Diffusion 3
    ("stages.#.",),  # ConvNeXt, ResNet in transformers: by stage
    ("layers.#.blocks/downsample.",),  # Swin: by stage
    ("transformer.resblocks.#.",),  # open_clip and CLIP
    ("encoder.block.#.",),  # T5
    ("decoder.block.#.",),
    ("encoder.layers.#.",),  # CLIP, SigLIP, BART in transformers
    ("decoder.layers.#.",),
    ("encoder.layer.#.",),  # BERT, ViT
    ("transformer.layer.#.",),  # DistilBERT
    ("blocks.#.",),  # timm
    ("h.#.",),  # GPT-2, Bloom, Falcon
    ("gpt_neox.layers.#.",),
    ("layers.#.",),  # Llama, Mistral, Qwen, Gemma, Phi
)
# Modules that work on what the last block puts out, unless they belong to an embedding.
_BEFORE = re.compile(r"embed(?!_out)|feature_extractor|patch|stem")
_AFTER = re.compile(
    r"(?:^|\.)(?:norm|fc_norm|final_norm|final_layer_norm|final_layernorm|ln_f|ln_post|ln_final|post_layernorm|"
    r"layernorm|layer_norm|proj|text_projection|visual_projection|pooler|attn_pool|head|heads|lm_head|classifier|"
    r"score|out|embed_out|norm_f|qa_outputs|pre_classifier|conv_out|conv_norm_out|final_layer|cls)(?:\.|$)"
)


def is_after(name: str) -> bool:
    """Tell whether a tensor outside the blocks works on what the last of them puts out."""
    return bool(_AFTER.search(name)) and not _BEFORE.search(name)


def layer_of(name: str) -> tuple[int, str]:
    """Return the layer that a tensor belongs to, for a reader.

    Returns:
        0 before all blocks, 1 in a block, 2 after them; and the block as the name has it (``vit.encoder.layer.0``), or
        outside the blocks the first two parts of the module's name.
    """
    for stack in _known():
        for expression in stack:
            match = expression.search(name)
            if match:
                return 1, name[: match.end()].rstrip(".")
    module = name.rpartition(".")[0] or name
    return 2 if is_after(name) else 0, ".".join(module.split(".")[:2])


class BlockIndex:
    """The places of a checkpoint's tensors.

    Args:
        names: All output names, from which the blocks are counted.
        pattern: A regular expression with one group, the block's number; instead of the known architectures.

    Raises:
        UsageError: When the pattern is broken, no name has a block, or the numbers of a stack have gaps.
    """

    def __init__(self, names: Iterable[str], pattern: str = "") -> None:
        self._stacks = [[_compile(pattern)]] if pattern else _known()
        self._places: dict[str, tuple[tuple[str, int], int, int]] = {}  # stack, part, number
        found: dict[tuple[str, int], dict[int, set[int]]] = {}
        for name in names:
            place = self._find(name)
            if place is not None:
                self._places[name] = place
                found.setdefault(place[0], {}).setdefault(place[1], set()).add(place[2])
        if not found:
            raise UsageError(
                "no tensor's name shows its block", hint=r"give the pattern, e.g. --pattern 'encoder\.layer\.(\d+)\.'"
            )
        self._sizes = {stack: _sizes(stack, parts) for stack, parts in found.items()}

    def place(self, name: str) -> Place:
        """Return where a tensor lies in its stack."""
        known = self._places.get(name)
        if known is None:
            return Place(None, after=is_after(name))
        stack, part, number = known
        sizes = self._sizes[stack]
        ahead = sum(size for other, size in sizes.items() if other < part)
        last = sum(sizes.values()) - 1
        return Place((ahead + number) / last if last else 1.0)

    def _find(self, name: str) -> tuple[tuple[str, int], int, int] | None:
        for kind, parts in enumerate(self._stacks):
            for part, expression in enumerate(parts):
                match = expression.search(name)
                if match:
                    number = match.group(1) if match.re.groups else "0"
                    if number is None or not number.isdecimal():
                        raise UsageError(f"'{match.re.pattern}' finds no block number in '{name}'")
                    return (name[: match.start()], kind), part, int(number)
        return None


@cache
def _known() -> list[list[re.Pattern[str]]]:
    """Return the parts of all known stacks."""
    start = r"(?:(?<=\.)|^)"
    return [[re.compile(start + _expression(part)) for part in stack] for stack in _STACKS]


def _expression(part: str) -> str:
    """Return a part of `_STACKS` as a regular expression."""
    either = re.sub(r"\w+(?:/\w+)+", lambda words: f"(?:{words[0].replace('/', '|')})", re.escape(part))
    return either.replace(r"\#", r"(\d+)")


def _compile(pattern: str) -> re.Pattern[str]:
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise UsageError(f"'{pattern}' is no regular expression: {error}") from None
    if expression.groups != 1:
        raise UsageError(f"'{pattern}' must have one group, the block's number", hint=r"for example layers\.(\d+)\.")
    return expression


def _sizes(stack: tuple[str, int], parts: dict[int, set[int]]) -> dict[int, int]:
    """Return the number of blocks of each part, refusing gaps: a lost block would shift the depth of all others."""
    sizes = {}
    for part, numbers in parts.items():
        missing = sorted(set(range(max(numbers) + 1)) - numbers)
        if missing:
            where = f"'{stack[0]}'" if stack[0] else "the stack"
            raise UsageError(f"{where} has blocks up to {max(numbers)}, but none numbered {missing[0]}")
        sizes[part] = max(numbers) + 1
    return sizes
