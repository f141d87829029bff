"""What is wrong with a single-file adapter is said in one line before a weight is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_files import State, save
from command_line import assert_refused, contents
from diffusion_layouts import random_model
from single_files import adapted_layers, kohya_name, normal, pair

Cli = Callable[..., Any]
GOOD = pair("lora_unet_x", (6, 4))
DOWN, UP, ALPHA = GOOD.values()
NAME = "lora_unet_x"


def with_(**parts: torch.Tensor) -> State:
    """Return the good adapter with other tensors; a double underscore is a dot."""
    return GOOD | {f"{NAME}.{name.replace('__', '.')}": tensor for name, tensor in parts.items()}


def only(**parts: torch.Tensor) -> State:
    return {f"{NAME}.{name.replace('__', '.')}": tensor for name, tensor in parts.items()}


LOHA = {"hada_w1_a": normal(6, 2), "hada_w1_b": normal(2, 4), "hada_w2_a": normal(6, 2), "hada_w2_b": normal(2, 4)}
LOKR = {"lokr_w1": normal(2, 2), "lokr_w2": normal(3, 2)}
BAD: dict[str, tuple[State, tuple[str, ...]]] = {
    "nothing in common": (pair("lora_unet_y", (6, 4)), ("lora_unet_y", "base.st does not have", "another base?")),
    "one of several": (GOOD | pair("lora_unet_z", (6, 4)), ("lora_unet_z", "of 2 modules it lacks 1")),
    "none of several": (
        pair("lora_a", (6, 4)) | pair("lora_b", (6, 4)),
        ("lora_a", "of 2 modules it lacks all"),
    ),
    "one module twice": (GOOD | pair("lora_te_x", (6, 4)), ("lora_te_x", "lora_unet_x", "both 'x'")),
    "one tensor twice": (with_(lora_A__weight=DOWN.clone()), ("twice",)),
    "down without up": (only(lora_down__weight=DOWN), ("lacks its 'up'",)),
    "up without down": (only(lora_up__weight=UP), ("lacks its 'down'",)),
    "an alpha alone": (only(alpha=ALPHA), ("no factors",)),
    "alpha is not finite": (with_(alpha=torch.tensor(float("nan"))), ("alpha' is nan", "no scale")),
    "alpha is infinite": (with_(alpha=torch.tensor(float("inf")).half()), ("alpha' is inf",)),
    "alpha is a list": (with_(alpha=torch.ones(2)), ("alpha' is F32 of shape [2]", "one number")),
    "ranks differ": (with_(lora_up__weight=normal(6, 3)), ("rank 3 and 2",)),
    "other inputs": (with_(lora_down__weight=normal(2, 5)), ("[6, 5]", "[6, 4]")),
    "other outputs": (with_(lora_up__weight=normal(7, 2)), ("[7, 4]", "[6, 4]")),
    "a convolution for a matrix": (with_(lora_down__weight=normal(2, 4, 3, 3)), ("[6, 4, 3, 3]", "[6, 4]")),
    "factors without entries": (with_(lora_down__weight=torch.empty(0, 4)), ("no matrices",)),
    "a core that does not fit": (with_(lora_mid__weight=normal(3, 2, 3, 3)), ("core", "[3, 2, 3, 3]")),
    "magnitudes of another size": (with_(dora_scale=normal(5, 1)), ("magnitudes", "[5, 1]")),
    "magnitudes alone": (only(dora_scale=normal(6, 1)), ("no factors",)),
    "half a loha": (only(**{name: LOHA[name] for name in list(LOHA)[:3]}), ("lacks its 'hada_w2_b'",)),
    "a loha with one core": (only(**LOHA, hada_t1=normal(2, 2, 3, 3)), ("lacks its 'hada_t2'",)),
    "a loha of another shape": (only(**LOHA | {"hada_w1_b": normal(2, 5)}), ("[6, 5]", "[6, 4]")),
    "a loha of two ranks": (only(**LOHA | {"hada_w1_b": normal(3, 4)}), ("rank 2 and 3",)),
    "loha and lora": (with_(**LOHA), ("nothing accounts for",)),
    "half a lokr": (only(lokr_w1=LOKR["lokr_w1"]), ("lacks its 'lokr_w2'",)),
    "a lokr whole and factorised": (only(**LOKR, lokr_w1_a=normal(2, 1)), ("'lokr_w1' and 'lokr_w1_a'",)),
    "half a factor of lokr": (only(lokr_w1=LOKR["lokr_w1"], lokr_w2_a=normal(3, 1)), ("lacks its 'lokr_w2_b'",)),
    "a lokr of another shape": (only(**LOKR | {"lokr_w2": normal(3, 3)}), ("[6, 6]", "[6, 4]")),
    "a difference of another shape": (only(diff=normal(4, 6)), ("[4, 6]", "[6, 4]")),
    "a bias that the base lacks": (
        only(diff=normal(6, 4), diff_b=normal(6)),
        ("the bias of 'lora_unet_x'", "has none"),
    ),
    "a norm of another shape": ({"lora_unet_norm.w_norm": normal(5)}, ("[5]", "[4]")),
    "a type that is no number": (with_(lora_down__weight=torch.ones(2, 4, dtype=torch.int8)), ("I8",)),
    "(IA)3": (only(weight=normal(6), on_input=torch.tensor(0)), ("(IA)³",)),
    "GLoRA": (only(a1__weight=normal(4, 2), alpha=ALPHA), ("GLoRA",)),
    "OFT": (only(oft_blocks=normal(2, 3, 3), alpha=ALPHA), ("OFT",)),
    "AdaLoRA": (with_(lora_E=normal(2, 1)), ("AdaLoRA",)),
    "unknown": (with_(lora_strange=normal(2)), ("lora_strange", "kind that is not known")),
    "a model": ({"x.weight": normal(6, 4), "norm.weight": normal(4)}, ("no tensor of an adapter", "is it a model?")),
    "nothing": ({"bundle_emb.word.string_to_param.*": normal(1, 4)}, ("no tensors",)),
    "metadata that are no json": (GOOD, ("lora_adapter_metadata", "no JSON")),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files(cli: Cli, here: Path, case: str) -> None:
    adapter, words = BAD[case]
    save(here / "base.st", {"x.weight": normal(6, 4), "norm.weight": normal(4), "norm.bias": normal(4)})
    save(here / "lora.st", adapter, {"lora_adapter_metadata": "{"} if "json" in case else None)
    before = contents(here)
    for arguments in (("soup", "base.st+lora.st=0.5", "base.st", "-o", "out.st"), ("inspect", "base.st+lora.st")):
        assert_refused(cli(*arguments), 2 if case == "a model" else 1, "lora.st", *words)
    assert contents(here) == before


def test_quantised_weights_take_no_file(cli: Cli, here: Path) -> None:
    save(here / "base.st", {"x.weight": torch.zeros(6, 4, dtype=torch.uint8)})
    save(here / "lora.st", GOOD)
    assert_refused(cli("inspect", "base.st+lora.st"), 1, "x.weight", "U8", "quantised")


def full(family: str) -> State:
    """Return an adapter of some layers of a family."""
    adapter: State = {}
    for named in list(adapted_layers(family))[::40]:
        adapter |= pair(kohya_name(named, family), named.shape)
    return adapter


@pytest.mark.parametrize(
    ("family", "base", "metadata", "words"),
    [
        ("sdxl", "sd1", None, ("an adapter for SDXL base", "the base is Stable Diffusion 1")),
        ("sd1", "sdxl", {"ss_base_model_version": "sd_v1"}, ("an adapter for Stable Diffusion 1", "SDXL base")),
        ("sd1", "sdxl", {"modelspec.architecture": "stable-diffusion-v1/lora"}, ("Stable Diffusion 1", "SDXL base")),
        (
            "sd1",
            "sd2",
            {"ss_sd_model_name": "v1-5.safetensors", "ss_new_sd_model_hash": "0123456789abcdef"},
            ("trained on v1-5.safetensors (0123456789)",),
        ),
        ("sdxl", None, None, ("an adapter for SDXL base", "no diffusion model that is known")),
    ],
)
def test_another_family(
    cli: Cli, here: Path, family: str, base: str | None, metadata: dict[str, str] | None, words: tuple[str, ...]
) -> None:
    save(here / "base.st", random_model(base) if base else {"x.weight": normal(6, 4)})
    save(here / "lora.st", full(family), metadata)
    assert_refused(cli("inspect", "base.st+lora.st"), 1, "lora.st", *words)


def test_real_widths_tell_the_family_without_metadata(cli: Cli, here: Path) -> None:
    attention = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"
    save(here / "base.st", random_model("sdxl"))
    for width, words in ((768, "Stable Diffusion 1"), (1024, "Stable Diffusion 2")):
        save(here / "lora.st", pair(attention, (640, width)))
        assert_refused(cli("inspect", "base.st+lora.st"), 1, words, "SDXL base")


def test_what_is_left_out_or_doubtful_is_noted(cli: Cli, here: Path) -> None:
    save(here / "base.st", {"x.weight": normal(6, 4)})
    metadata = {"ss_sd_model_name": "mine.safetensors", "ss_base_model_version": "sdxl_base_v1-0"}
    save(here / "lora.st", GOOD | {"bundle_emb.word.string_to_param.*": normal(1, 4)}, metadata)
    result = cli("passthrough", "base.st+lora.st", "-o", "out.st", "--dry-run")
    assert result.code == 0
    for words in ("trained on mine.safetensors", "1 tensors of embeddings"):
        assert words in result.out + result.err
    save(here / "base.st", random_model("sd1"))
    named = next(iter(adapted_layers("sd1")))
    save(here / "lora.st", pair(kohya_name(named, "sd1"), named.shape), metadata)
    assert "SDXL base, and the base is Stable Diffusion 1; but all of it fits" in cli("inspect", "base.st+lora.st").out


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("base.st+lora.st=abc", ("the strength 'abc' is no number",)),
        ("base.st+lora.st=0,8", ("the strength '0,8' is no number",)),
        ("base.st+lora.st=1e999", ("not finite",)),
        ("base.st+lara.st=0.8", ("lara.st: no such adapter", "did you mean 'lora.st'?")),
        ("base.st+lora.st=", ("the strength '' is no number",)),
    ],
)
def test_bad_strengths(cli: Cli, here: Path, location: str, words: tuple[str, ...]) -> None:
    save(here / "base.st", {"x.weight": normal(6, 4)})
    save(here / "lora.st", GOOD)
    assert_refused(cli("inspect", location), 2, *words)


def test_folders_with_one_file_and_with_several(cli: Cli, here: Path) -> None:
    """Diffusers saves its adapters in a folder, as pytorch_lora_weights.safetensors, without a configuration."""
    save(here / "base.st", {"x.weight": normal(6, 4)})
    save(here / "folder" / "pytorch_lora_weights.safetensors", GOOD)
    assert cli("passthrough", "base.st+folder=0.5", "-o", "out.st").code == 0
    save(here / "folder" / "other.safetensors", GOOD)
    assert_refused(cli("inspect", "base.st+folder"), 1, "2 files", "folder/other.safetensors")
