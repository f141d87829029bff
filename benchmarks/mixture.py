"""The frozen-substrate experiment in miniature: two language models on one frozen embedding, mixed by their logits.

Run it from a checkout: ``python benchmarks/mixture.py --first english.txt --second russian.txt``. It trains a tokenizer
on both texts, one small model on each, and one of the same size on both; mixes the first two; and prints what each
loses on held-out parts of both texts, whether the mixture's loss stays below the mean of the experts' losses token by
token, and what the mixture costs. ``--quick`` does everything with hardly any training: does everything work?
"""

from __future__ import annotations

import argparse
import math
import shlex
import sys
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from alignment_tables import table
from mixture_cost import Cost, costs
from mixture_experts import FULL, QUICK, Size, new_model, substrate, token_losses, train
from mixture_texts import Text, at_hand, read, train_tokenizer
from table import machine
from torch import Tensor

SEED = 0
WANTED = 1.1  # of k singles
RESAMPLES = 1000
RULES = ("logits", "probs")
Losses = Mapping[str, tuple[Tensor, Tensor]]  # of every model on both texts: nats [windows, tokens]
LABELS = {"first": "expert of the first text", "second": "expert of the second text", "both": "one model, both texts"}


def main() -> None:
    """Run everything and print the tables."""
    arguments = _arguments()
    torch.set_num_threads(1)  # sums come out the same on any machine
    about, started = machine(), time.perf_counter()  # the load before the work
    texts = _texts(arguments)
    size = QUICK if arguments.quick else FULL
    losses, parameters = experiment(texts, size)
    spent = costs(arguments.quick)
    print(f"```\n{shlex.join(['python', 'benchmarks/mixture.py', *sys.argv[1:]])}\n```\n")
    libraries = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "tokenizers"))
    print(f"{about} {libraries}. {time.perf_counter() - started:.0f} seconds, one thread.\n")
    print(f"{_described(size, texts)}\n")
    print(f"### Perplexity per token on held-out text\n\n{perplexities(texts, losses)}\n")
    print(f"### The bound\n\n{bounds(losses)}\n")
    print(f"### Parameters\n\n{table(('model', 'parameters'), [[name, f'{n:,}'] for name, n in parameters.items()])}\n")
    print(f"### Cost\n\n{cost_table(spent)}\n\n{HONEST}")


HONEST = """\
What is promised is the bound: no token costs the mixture more than it costs the experts on average, since log-sum-exp
is convex. Nothing is promised beyond it. An expert of the right language is expected to be better than the mixture on
that language, and the published results of the method (Growing Transformers, arXiv:2507.07129) have families of
models whose mixture is worse than both experts on tasks; the mixture released there was trained further after joining.
"""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--first", type=Path, metavar="FILE", help="text in one language, UTF-8")
    parser.add_argument("--second", type=Path, metavar="FILE", help="text in another language, UTF-8")
    parser.add_argument("--quick", action="store_true", help="hardly train: does everything work?")
    found = parser.parse_args()
    if (found.first is None) != (found.second is None):
        parser.error("give both --first and --second, or neither")
    return found


def _texts(arguments: argparse.Namespace) -> tuple[Text, Text]:
    return at_hand() if arguments.first is None else (read(arguments.first), read(arguments.second))


def experiment(texts: tuple[Text, Text], size: Size) -> tuple[Losses, dict[str, int]]:
    """Return what every model loses on the held-out parts of both texts, and how many parameters it has."""
    tokenizer = train_tokenizer(texts, size.tokens)
    training, held_out = (
        [_encode(tokenizer, getattr(text, part)) for text in texts] for part in ("training", "held_out")
    )
    size = size._replace(tokens=len(tokenizer))
    embedding = substrate(size, SEED)
    models = {
        name: train(new_model(size, embedding, SEED + number), tokens, size, SEED + number, steps)
        for number, (name, tokens, steps) in enumerate(_plans(training, size), start=1)
    }
    return _measured(models, held_out, size)


def _plans(training: list[Tensor], size: Size) -> list[tuple[str, list[Tensor], int]]:
    """Return what each model is trained on and for how long: the one of both texts as long as both experts together."""
    first, second = training
    return [("first", [first], size.steps), ("second", [second], size.steps), ("both", training, 2 * size.steps)]


def _encode(tokenizer: Any, text: str) -> Tensor:
    return torch.tensor(tokenizer.backend_tokenizer.encode(text).ids)


def _measured(models: dict[str, Any], held_out: list[Tensor], size: Size) -> tuple[Losses, dict[str, int]]:
    from merge.bundles.combine import Combination
    from merge.bundles.mixture import LogitMixtureForCausalLM

    experts = [models["first"], models["second"]]
    parameters = {LABELS[name]: model.num_parameters() for name, model in models.items()}
    for rule in RULES:
        models[f"mixture ({rule})"] = LogitMixtureForCausalLM.from_experts(experts, Combination(rule))
    assert models["mixture (logits)"].config.shared_input_embeddings  # which training left alone
    parameters["mixture, embedding kept once"] = models["mixture (logits)"].num_parameters()
    losses = {
        name: (token_losses(model, held_out[0], size), token_losses(model, held_out[1], size))
        for name, model in models.items()
    }
    return losses, parameters


def _described(size: Size, texts: tuple[Text, Text]) -> str:
    shown = " and ".join(f"{text.name} ({len(text.training):,} + {len(text.held_out):,} characters)" for text in texts)
    return (
        f"Texts: {shown}, training + held out at the end. Llama with {size.layers} layers of width {size.width}, "
        f"byte-level tokenizer of up to {size.tokens:,} tokens, context {size.context}, {size.steps} steps of "
        f"{size.batch} stretches for an expert and twice as many for the model of both texts."
    )


def perplexities(texts: tuple[Text, Text], losses: Losses) -> str:
    """Return the table of perplexities with 95 % intervals over windows, and the mean loss over both texts."""
    rows = []
    for name, pair in losses.items():
        mean = sum(float(each.mean()) for each in pair) / 2
        rows.append([LABELS.get(name, name), *map(_perplexity, pair), f"{mean:.3f}"])
    headings = ("model", *(f"{text.name}: perplexity (95 %)" for text in texts), "nats per token, mean of both")
    return table(headings, rows)


def _perplexity(losses: Tensor) -> str:
    windows = losses.mean(dim=1)
    drawn = torch.randint(len(windows), (RESAMPLES, len(windows)), generator=torch.Generator().manual_seed(SEED))
    low, high = windows[drawn].mean(dim=1).quantile(torch.tensor([0.025, 0.975], dtype=windows.dtype)).tolist()
    return f"{math.exp(float(windows.mean())):.2f} ({math.exp(low):.2f} to {math.exp(high):.2f})"


def bounds(losses: Losses) -> str:
    """Return the table of how far the mixture stays below the experts' mean loss. Raises where it does not."""
    mean = [(first + second) / 2 for first, second in zip(losses["first"], losses["second"], strict=True)]
    rows = []
    for rule in RULES:
        gaps = torch.cat([(one - each).flatten() for one, each in zip(mean, losses[f"mixture ({rule})"], strict=True)])
        if gaps.min() < -1e-4:  # float32 logits
            raise SystemExit(f"the bound is broken: {rule}, by {-float(gaps.min())} nats")
        best = sum(
            float(torch.minimum(one.mean(), two.mean()))
            for one, two in zip(losses["first"], losses["second"], strict=True)
        )
        own = sum(float(each.mean()) for each in losses[f"mixture ({rule})"])
        rows.append([rule, f"{len(gaps):,}", "0", f"{gaps.mean():.3f}", f"{(own - best) / 2:+.3f}"])
    return table(("rule", "tokens", "above the mean", "mean gap, nats", "against the better expert of each text"), rows)


def cost_table(spent: list[Cost]) -> str:
    """Return the table of seconds, with what is wanted."""
    rows = [
        [
            cost.what,
            f"{cost.singles:.3f}",
            f"{cost.mixture:.3f}",
            f"{cost.ratio:.2f}",
            "yes" if cost.ratio <= WANTED else "no",
        ]
        for cost in spent
    ]
    return table(("two experts, batch 2", "both singly, s", "mixture, s", "ratio", f"at most {WANTED}"), rows)


if __name__ == "__main__":
    main()
