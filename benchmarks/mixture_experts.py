"""Small language models on one frozen input embedding, trained on one text each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


class Size(NamedTuple):
    """How large and how long.

    Attributes:
        tokens: Of the vocabulary.
        context: Tokens that a model sees at once.
        steps: Of training an expert.
        batch: Stretches of text a step.
        windows: Of held-out text, at most.
    """

    tokens: int
    width: int
    layers: int
    heads: int
    context: int
    steps: int
    batch: int
    windows: int
    rate: float = 3e-3


FULL = Size(tokens=1024, width=128, layers=4, heads=4, context=128, steps=600, batch=16, windows=400)
QUICK = Size(tokens=300, width=32, layers=1, heads=2, context=32, steps=15, batch=4, windows=100)


def substrate(size: Size, seed: int) -> Tensor:
    """Return the embedding that all experts read by and none may change: random rows [tokens, width] of length 1.

    Growing Transformers (arXiv:2507.07129) takes rows made from the pictures of characters; what counts for mixing is
    that all experts have the same and that it stays.
    """
    rows = torch.randn(size.tokens, size.width, generator=torch.Generator().manual_seed(seed))
    return nn.functional.normalize(rows, dim=1)


def new_model(size: Size, embedding: Tensor, seed: int) -> Any:
    """Return an untrained model with blocks and an output layer of its own."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=size.tokens,
        hidden_size=size.width,
        intermediate_size=4 * size.width,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        max_position_embeddings=size.context,
        tie_word_embeddings=False,
        bos_token_id=0,
        eos_token_id=0,
    )
    model = LlamaForCausalLM(config)
    model.model.embed_tokens.weight.data.copy_(embedding)
    model.model.embed_tokens.weight.requires_grad_(False)
    return model


def train(model: Any, texts: Sequence[Tensor], size: Size, seed: int, steps: int) -> Any:
    """Return a model trained on stretches of texts drawn at random, of one text after the other, in evaluation mode.

    Args:
        model: Untrained.
        texts: Tokens of each [n].
        size: Batch, context and learning rate.
        seed: Of the draws.
        steps: How many.
    """
    random = torch.Generator().manual_seed(seed)
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=size.rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, size.rate, total_steps=steps, pct_start=0.1)
    places = torch.arange(size.context)
    model.train()
    for step in range(steps):
        tokens = texts[step % len(texts)]
        starts = torch.randint(len(tokens) - size.context, (size.batch, 1), generator=random)
        batch = tokens[starts + places]
        model(batch, labels=batch, use_cache=False).loss.backward()
        nn.utils.clip_grad_norm_(learned, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return model.eval()


@torch.inference_mode()
def token_losses(model: Any, tokens: Tensor, size: Size, batch: int = 32) -> Tensor:
    """Return nats [windows, context - 1] of the tokens of windows side by side, the first of each not scored."""
    windows = tokens[: len(tokens) // size.context * size.context].reshape(-1, size.context)[: size.windows]
    found = []
    for part in windows.split(batch):
        logits = model(part, use_cache=False).logits[:, :-1].double()
        found.append(nn.functional.cross_entropy(logits.transpose(1, 2), part[:, 1:], reduction="none"))
    return torch.cat(found)
