"""What is wrong with an adapter is said in one line before a weight is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_files import save
from command_line import assert_refused, contents
from made_adapters import base_state, configure, factors, normal, write_adapter

from merge.checkpoints.checkpoint import FileCheckpoint


def config(**changes: Any) -> Callable[[Path], Any]:
    return lambda folder: configure(folder, **changes)


def tensors(state: dict[str, torch.Tensor], **changes: Any) -> Callable[[Path], Any]:
    return lambda folder: write_adapter(folder, state, **changes)


GOOD = factors("layers.0.q", 6, 4)
A, B = GOOD["layers.0.q.lora_A.weight"], GOOD["layers.0.q.lora_B.weight"]
NAMED = {
    f"layers.0.q.lora_{part}.{name}.weight": tensor for part, tensor in (("A", A), ("B", B)) for name in ("one", "two")
}
KOHYA = {"lora_unet_q.lora_down.weight": A, "lora_unet_q.lora_up.weight": B}
BAD: dict[str, tuple[Callable[[Path], Any], tuple[str, ...]]] = {
    "no configuration": (lambda folder: (folder / "adapter_config.json").unlink(), ("has no adapter_config.json",)),
    "no weights": (lambda folder: (folder / "adapter_model.safetensors").unlink(), ("adapter_model.safetensors",)),
    "no json": (lambda folder: (folder / "adapter_config.json").write_text("{"), ("adapter_config.json", "JSON")),
    "no type": (config(peft_type=None), ("peft_type",)),
    "another type": (config(peft_type="OFT"), ("OFT", "merge_and_unload")),
    "an unknown type": (config(peft_type="NEW"), ("NEW",)),
    "only after tokens": (config(alora_invocation_tokens=[1]), ("aLoRA",)),
    "block-diagonal": (config(use_bdlora={"nblocks": 2}), ("BD-LoRA",)),
    "parameters": (config(target_parameters=["experts.up"]), ("target_parameters",)),
    "a changed base": (config(init_lora_weights="pissa_niter_4"), ("pissa_niter_4",)),
    "another rank": (config(r=3), ("layers.0.q", "its rank is 3", "[2, 4]")),
    "no rank": (config(r=None), ("'r'",)),
    "a negative rank": (config(r=-2), ("'r'",)),
    "half a rank": (config(r=2.5), ("2.5",)),
    "alpha is text": (config(lora_alpha="6"), ("lora_alpha",)),
    "alpha is true": (config(lora_alpha=True), ("lora_alpha",)),
    "a flag that is text": (config(use_rslora="no"), ("use_rslora",)),
    "a bad pattern": (config(rank_pattern={"q(": 2}), ("q(",)),
    "a bad target": (config(target_modules="q("), ("pattern",)),
    "patterns in a list": (config(alpha_pattern=["q"]), ("alpha_pattern",)),
    "not a target": (config(target_modules=["v"]), ("layers.0.q", "target_modules")),
    "not a layer": (config(layers_to_transform=[1]), ("layers.0.q", "layers_to_transform")),
    "magnitudes missing": (config(use_dora=True), ("lora_magnitude_vector",)),
    "magnitudes unsaid": (tensors(GOOD | {"layers.0.q.lora_magnitude_vector": normal(6)}), ("use_dora",)),
    "magnitudes of another size": (
        tensors(GOOD | {"layers.0.q.lora_magnitude_vector": normal(5)}, use_dora=True),
        ("magnitudes", "[5]"),
    ),
    "half a pair": (tensors({"layers.0.q.lora_A.weight": A}), ("layers.0.q", "lora_B")),
    "factors of other inputs": (tensors(factors("layers.0.q", 6, 5)), ("[2, 5]", "[6, 4]", "me/base")),
    "factors without entries": (tensors(GOOD | {"layers.0.q.lora_A.weight": torch.empty(0)}), ("no matrices",)),
    "another base": (tensors(factors("layers.9.q", 6, 4)), ("layers.9.q.weight", "me/base")),
    "a tensor too many": (tensors(GOOD | {"extra.weight": A}), ("extra.weight",)),
    "adalora": (tensors(GOOD | {"layers.0.q.lora_E": A}), ("layers.0.q.lora_E",)),
    "kohya": (tensors(KOHYA), ("lora_unet_q.lora_down.weight", "kohya")),
    "two adapters": (tensors(NAMED), ("several adapters: one, two",)),
    "a tensor twice": (tensors(GOOD | {"layers.0.q.lora_A.default.weight": A}), ("twice",)),
    "nothing": (tensors({}), ("no tensors",)),
    "a bias that the base lacks": (
        tensors(factors("layers.0.o", 4, 4) | {"layers.0.o.lora_B.bias": A[0]}),
        ("o.bias",),
    ),
    "a resized vocabulary": (tensors({"embed.weight": normal(12, 4)}), ("[12, 4]", "[10, 4]", "vocabulary")),
    "tokens that are not listed": (tensors({"embed.token_adapter.trainable_tokens_delta": A}), ("trainable_token",)),
    "tokens beyond the end": (
        tensors({"embed.token_adapter.trainable_tokens_delta": A}, trainable_token_indices=[1, 10]),
        ("token 10",),
    ),
    "another number of tokens": (
        tensors({"embed.token_adapter.trainable_tokens_delta": A}, trainable_token_indices=[1]),
        ("[2, 4]",),
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_adapters(cli: Callable[..., Any], here: Path, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    save(here / "base.st", base_state())
    write_adapter(here / "adapter", GOOD)
    spoil, words = BAD[case]
    spoil(here / "adapter")
    before = contents(here)

    def read_nothing(*_: object) -> None:
        raise AssertionError("a weight was read")

    monkeypatch.setattr(FileCheckpoint, "read_into", read_nothing)
    result = cli("soup", "base.st+adapter", "base.st", "-o", "out.st")
    assert_refused(result, 2 if case == "no weights" else 1, "adapter", *words)
    assert contents(here) == before


def test_quantised_weights_take_no_adapter(cli: Callable[..., Any], here: Path) -> None:
    state = base_state() | {"layers.0.q.weight": torch.zeros(6, 4, dtype=torch.uint8)}
    save(here / "base.st", state)
    write_adapter(here / "adapter", GOOD)
    assert_refused(cli("inspect", "base.st+adapter"), 1, "layers.0.q.weight", "U8", "quantised")


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("base.st+adaptor", ("adaptor: no such adapter", "did you mean 'adapter'?")),
        ("bas.st+adapter", ("bas.st: no such file or folder", "did you mean 'base.st'?")),
        ("base.st+", ("base.st+: no such file or folder",)),
        ("+adapter", ("+adapter: no such file or folder",)),
        ("base.st+base.st", ("base.st: holds", "is it a model?")),
    ],
)
def test_halves_that_are_not_there(cli: Callable[..., Any], here: Path, location: str, words: tuple[str, ...]) -> None:
    save(here / "base.st", base_state())
    write_adapter(here / "adapter", GOOD)
    result = cli("inspect", location)
    assert_refused(result, 1 if "adapter_config" in words[0] else 2, *words)


def test_an_adapter_merged_without_its_base(cli: Callable[..., Any], here: Path) -> None:
    save(here / "base.st", base_state())
    write_adapter(here / "adapter", GOOD)
    assert_refused(cli("soup", "base.st", "adapter", "-o", "out.st"), 2, "this is an adapter", "BASE+ADAPTER")


def test_unknown_weights_of_the_configuration_change_nothing(cli: Callable[..., Any], here: Path) -> None:
    save(here / "base.st", base_state())
    write_adapter(here / "adapter", GOOD, peft_version="9.9", revision=None, qalora_group_size=16, loftq_config={})
    assert json.loads(cli("inspect", "base.st+adapter", "--json").out)["files"] == [
        "base.st",
        "adapter_model.safetensors",
        "adapter_config.json",
    ]
