"""What a mixture of k experts costs beside k single models, in turn in one process."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch


class Cost(NamedTuple):
    """Median seconds of one piece of work."""

    what: str
    singles: float
    mixture: float

    @property
    def ratio(self) -> float:
        """Seconds of the mixture over those of all its experts run one by one."""
        return self.mixture / self.singles


def networks(quick: bool, experts: int, seed: int = 0) -> list[Any]:
    """Return models of random weights with a vocabulary of a usual size."""
    from transformers import LlamaConfig, LlamaForCausalLM

    width, layers, tokens = (64, 2, 1000) if quick else (512, 8, 32_000)
    config = LlamaConfig(
        vocab_size=tokens,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=8,
        max_position_embeddings=512,
        eos_token_id=None,
    )
    found = []
    for number in range(experts):
        torch.manual_seed(seed + number)
        found.append(LlamaForCausalLM(config).eval())
    return found


def costs(quick: bool, experts: int = 2) -> list[Cost]:
    """Return the cost of reading a text, of the same for its last position alone, and of writing with a cache."""
    from merge.bundles.mixture import LogitMixtureForCausalLM

    singles = networks(quick, experts)
    mixture = LogitMixtureForCausalLM.from_experts(singles)
    length, new, runs = (32, 8, 3) if quick else (256, 64, 7)
    tokens = torch.randint(1, singles[0].config.vocab_size, (2, length))
    works: dict[str, Callable[[Any], Any]] = {
        f"read {length} tokens, logits of all": lambda model: model(tokens, use_cache=False),
        f"read {length} tokens, logits of the last": lambda model: model(tokens, use_cache=False, logits_to_keep=1),
        f"write {new} tokens": lambda model: model.generate(
            tokens[:, :16], attention_mask=torch.ones_like(tokens[:, :16]), max_new_tokens=new, do_sample=False
        ),
    }
    with torch.inference_mode():
        return [_cost(what, work, singles, mixture, runs) for what, work in works.items()]


def _cost(what: str, work: Callable[[Any], Any], singles: list[Any], mixture: Any, runs: int) -> Cost:
    seconds: list[tuple[float, float]] = []
    for _ in range(runs + 1):
        seconds.append((sum(_seconds(work, model) for model in singles), _seconds(work, mixture)))
    apart, together = zip(*seconds[1:], strict=True)  # the first run warms up
    return Cost(what, statistics.median(apart), statistics.median(together))


def _seconds(work: Callable[[Any], Any], model: Any) -> float:
    started = time.perf_counter()
    work(model)
    return time.perf_counter() - started
