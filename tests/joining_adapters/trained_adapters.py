"""Adapters made by PEFT itself on tiny networks, with random numbers where training would have put some."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

State = dict[str, torch.Tensor]


class Small(nn.Module):
    """Every kind of layer that LoRA adapts, without a configuration of transformers."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(12, 6)
        self.first = nn.Linear(6, 10)
        self.second = nn.Linear(10, 8, bias=False)
        self.conv = nn.Conv2d(3, 5, (2, 3))
        self.head = nn.Linear(8, 4)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.head(self.second(self.first(self.embed(tokens))))
        return scores


def small(seed: int = 0) -> Small:
    """Return the network with weights that depend on the seed alone."""
    torch.manual_seed(seed)
    return Small()


def llama() -> Any:
    """Return a tiny Llama."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    settings = LlamaConfig(
        vocab_size=64,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
    )
    return LlamaForCausalLM(settings)


def gpt2() -> Any:
    """Return a tiny GPT-2, whose layers are stored as [inputs, outputs]."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    return GPT2LMHeadModel(GPT2Config(vocab_size=48, n_positions=16, n_embd=12, n_layer=1, n_head=2))


def train(network: nn.Module, folder: Path, seed: int, **settings: Any) -> Path:
    """Let PEFT write an adapter of a network whose trained numbers are random; the network is left as it is."""
    from peft import LoraConfig, get_peft_model

    given = {"r": 3, "lora_alpha": 6, "target_modules": ["first", "second"]} | settings
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = get_peft_model(network, LoraConfig(**given))
        generator = torch.Generator().manual_seed(seed)
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data = torch.randn(parameter.shape, generator=generator) * 0.3
        model.save_pretrained(folder)
    return folder


def added(network: nn.Module, folder: Path) -> State:
    """Return what PEFT adds to the weights of a network when it merges an adapter into it, in float64."""
    from peft import PeftModel

    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # of keys that are missing or too many
        merged = PeftModel.from_pretrained(network.double(), folder).merge_and_unload()
    after = merged.state_dict()
    return {name: after[name].double() - tensor.double() for name, tensor in before.items()}


def weighted(*terms: tuple[float, State]) -> State:
    """Return the sum of states, each times its weight."""
    return {name: sum((weight * state[name] for weight, state in terms), torch.zeros(())) for name in terms[0][1]}


def assert_close(found: State, wanted: State, *, rtol: float = 1e-5) -> None:
    """Assert that states are equal, relative to the largest entry of each tensor."""
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        largest = float(tensor.abs().max())
        assert float((found[name] - tensor).abs().max()) <= rtol * largest + 1e-12, name
